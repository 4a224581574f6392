"""Files of texts and their vectors, written at once or block by block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import files
from plainbert.containers import npz
from plainbert.containers.growing import GrowingFiles
from plainbert.containers.npz import StoredArray
from plainbert.containers.tables import json_line
from plainbert.errors import UsageError
from plainbert.tasks.embedding.encode import Vectors

# An array of strings has room for the longest in every row. Up to so many bytes that is no matter.
STRINGS = 64 << 20
FLOATS, COUNTS, BYTES = np.dtype("<f4"), np.dtype("<i8"), np.dtype("u1")


def write_vectors(
    path: str | Path, texts: Sequence[str], vectors: Vectors | Sequence[Vectors]
) -> None:
    """Write texts and their vectors, in order, in the form that the suffix names.

    ``.npz``: arrays "text" (N,) and "vector" (N, D'); vectors of tokens, of which there are
    different numbers per text, lie end to end in "vector" and text i has the rows ``offsets[i]``
    to ``offsets[i + 1]``. Where an array of strings would be large (many texts, or a long one),
    there is no "text": text i is ``text_utf8[text_offsets[i]:text_offsets[i + 1]]``, in UTF-8.
    ``.jsonl``: one object a line, with the keys "text" and "vector".

    Args:
        path: replaced in one step once it is complete.
        texts: N texts.
        vectors: (N, D'), or for each text (L, D').

    Raises:
        UsageError: another suffix.
    """
    path = Path(path)
    parts = parts_of(texts, vectors, path.suffix)
    if path.suffix == ".jsonl":
        with files.atomic_file(path) as file:
            file.write(parts["lines"])
        return
    npz.write(
        path,
        _columns(
            np.frombuffer(parts["text"], BYTES),
            np.frombuffer(parts["text_lengths"], COUNTS),
            np.frombuffer(parts["vector"], FLOATS).reshape(-1, width_of(vectors)),
            np.frombuffer(parts["lengths"], COUNTS) if "lengths" in parts else None,
        ),
    )


def parts_of(
    texts: Sequence[str], vectors: Vectors | Sequence[Vectors], suffix: str
) -> dict[str, bytes]:
    """What a block adds to each part of a file.

    Args:
        texts: N texts.
        vectors: (N, D'), or for each text (L, D').
        suffix: of the file.

    Returns:
        ``.jsonl``: "lines". ``.npz``: "text", "text_lengths" (bytes), "vector", and with vectors of
        tokens "lengths" (rows of each text).

    Raises:
        UsageError: another suffix.
    """
    if suffix == ".jsonl":
        rows = zip(texts, vectors, strict=True)
        lines = (json_line({"text": text, "vector": vector.tolist()}) for text, vector in rows)
        return {"lines": b"".join(lines)}
    if suffix != ".npz":
        raise UsageError(f"a name ending in .npz or .jsonl is expected, not in {suffix!r}.")
    # Half a character (a lone surrogate) comes back as it was.
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    parts = {
        "text": b"".join(encoded),
        "text_lengths": np.array([len(text) for text in encoded], COUNTS).tobytes(),
    }
    if isinstance(vectors, np.ndarray):
        return {**parts, "vector": vectors.astype(FLOATS, copy=False).tobytes()}
    joined = np.concatenate(list(vectors)).astype(FLOATS, copy=False)
    lengths = np.array([len(vector) for vector in vectors], COUNTS)
    return {**parts, "vector": joined.tobytes(), "lengths": lengths.tobytes()}


def width_of(vectors: Vectors | Sequence[Vectors]) -> int:
    """D', of vectors or of vectors of tokens."""
    width: int = vectors[0].shape[-1]
    return width


def publish(growing: GrowingFiles, path: Path) -> None:
    """Make the file of the parts of all blocks; ``state["width"]`` is D'.

    Args:
        growing: has what :func:`parts_of` returned for every block.
        path: replaced in one step.
    """
    if path.suffix == ".jsonl":
        growing.publish("lines", path)
        return

    def stored(name: str, dtype: np.dtype[Any], *shape: int) -> StoredArray:
        place = growing.path(name)
        rows = place.stat().st_size // dtype.itemsize // int(np.prod(shape))
        return StoredArray(place, dtype, (rows, *shape))

    tokens = growing.path("lengths")
    npz.write(
        path,
        _columns(
            stored("text", BYTES),
            np.fromfile(growing.path("text_lengths"), COUNTS),
            stored("vector", FLOATS, growing.state["width"]),
            np.fromfile(tokens, COUNTS) if tokens.exists() else None,
        ),
    )


def _columns(
    text: NDArray[Any] | StoredArray,
    text_lengths: NDArray[np.int64],
    vector: NDArray[Any] | StoredArray,
    lengths: NDArray[np.int64] | None,
) -> dict[str, NDArray[Any] | StoredArray]:
    """The arrays of an archive, see :func:`write_vectors`."""
    offsets = np.concatenate([np.zeros(1, np.int64), text_lengths.cumsum()])
    columns: dict[str, NDArray[Any] | StoredArray]
    if len(text_lengths) * int(text_lengths.max(initial=1)) * 4 <= STRINGS:
        raw = text.path.read_bytes() if isinstance(text, StoredArray) else text.tobytes()
        strings = [
            raw[start:stop].decode("utf-8", "surrogatepass")
            for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
        ]
        columns = {"text": np.array(strings, np.str_)}
    else:
        columns = {"text_utf8": text, "text_offsets": offsets}
    columns["vector"] = vector
    if lengths is not None:
        columns["offsets"] = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
    return columns
