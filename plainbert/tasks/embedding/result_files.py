"""Files of texts and their vectors, written at once or block by block."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import files, ragged
from plainbert.containers import npz
from plainbert.containers.growing import GrowingFiles
from plainbert.containers.npz import StoredArray
from plainbert.containers.tables import json_line
from plainbert.errors import UsageError
from plainbert.tasks.embedding.encode import Vectors
from plainbert.tasks.embedding.flags import FORMS
from plainbert.tasks.embedding.spreadsheet import csv_lines

# An array of strings has room for the longest in every row. Up to so many bytes that is no matter.
STRINGS = 64 << 20
FLOATS, COUNTS, BYTES = np.dtype("<f4"), np.dtype("<i8"), np.dtype("u1")


def write_vectors(
    path: str | Path,
    texts: Sequence[str],
    vectors: Vectors | Sequence[Vectors],
    words: Sequence[Sequence[str]] | None = None,
) -> None:
    """Write texts and their vectors, in order, in the form that the suffix names.

    ``.npz``: arrays "text" (N,) and "vector" (N, D'); vectors of tokens, of which there are
    different numbers per text, lie end to end in "vector" and text i has the rows ``offsets[i]``
    to ``offsets[i + 1]``. Where an array of strings would be large (many texts, or a long one),
    there is no "text": text i is ``text_utf8[text_offsets[i]:text_offsets[i + 1]]``, in UTF-8.
    Words of the texts are one more array, "word", beside the rows of "vector".
    ``.jsonl``: one object a line, with the keys "text" and "vector"; of words "text", "words" and
    "vectors". ``.csv``: see :mod:`plainbert.tasks.embedding.spreadsheet`. ``.npy``: the vectors
    alone, (N, D').

    Args:
        path: replaced in one step once it is complete.
        texts: N texts.
        vectors: (N, D'), or for each text (L, D').
        words: for each text the L words that the vectors are of; None where they are of no words.

    Raises:
        UsageError: another suffix.
    """
    path = Path(path)
    parts = parts_of(texts, vectors, path.suffix, words)
    if path.suffix != ".npz":
        with files.atomic_file(path) as file:
            if path.suffix == ".npy":
                file.write(_npy_header(len(texts), width_of(vectors)))
            file.write(parts["vector" if path.suffix == ".npy" else "lines"])
        return
    npz.write(
        path,
        _columns(
            *_read(parts, "text"),
            np.frombuffer(parts["vector"], FLOATS).reshape(-1, width_of(vectors)),
            np.frombuffer(parts["lengths"], COUNTS) if "lengths" in parts else None,
            None if words is None else _read(parts, "word"),
        ),
    )


def _read(parts: Mapping[str, bytes], name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What :func:`_encoded` made, as arrays."""
    lengths = np.frombuffer(parts[f"{name}_lengths"], COUNTS)
    return np.frombuffer(parts[name], BYTES), lengths


def parts_of(
    texts: Sequence[str],
    vectors: Vectors | Sequence[Vectors],
    suffix: str,
    words: Sequence[Sequence[str]] | None = None,
    header: bool = True,
) -> dict[str, bytes]:
    """What a block adds to each part of a file.

    Args:
        texts: N texts.
        vectors: (N, D'), or for each text (L, D').
        suffix: of the file.
        words: for each text the L words that the vectors are of; None where they are of no words.
        header: whether the block begins the file, and so the columns of a .csv get their names.

    Returns:
        ``.jsonl`` and ``.csv``: "lines". ``.npy``: "vector". ``.npz``: "text", "text_lengths"
        (bytes), "vector", with vectors of tokens "lengths" (rows of each text), and with words
        "word", "word_lengths" (bytes).

    Raises:
        UsageError: another suffix, or one whose files have no place for such vectors.
    """
    if suffix in (".csv", ".npy") and words is None and not isinstance(vectors, np.ndarray):
        raise UsageError(f"{suffix} has one vector for a text; for each token take .npz or .jsonl.")
    if suffix == ".csv":
        return {"lines": csv_lines(texts, vectors, words, header)}
    if suffix == ".npy":
        if words is not None:
            raise UsageError(".npy has no place for words; take .csv, .npz or .jsonl.")
        return {"vector": np.asarray(vectors, FLOATS).tobytes()}
    if suffix == ".jsonl":
        return {"lines": b"".join(map(json_line, _objects(texts, vectors, words)))}
    if suffix != ".npz":
        raise UsageError(f"a name ending in {', '.join(FORMS)} is expected, not in {suffix!r}.")
    parts = _encoded("text", texts)
    if words is not None:
        parts |= _encoded("word", itertools.chain.from_iterable(words))
    if isinstance(vectors, np.ndarray):
        return {**parts, "vector": vectors.astype(FLOATS, copy=False).tobytes()}
    joined = np.concatenate([*vectors]).astype(FLOATS, copy=False)
    lengths = np.array([len(vector) for vector in vectors], COUNTS)
    return {**parts, "vector": joined.tobytes(), "lengths": lengths.tobytes()}


def _objects(
    texts: Sequence[str],
    vectors: Vectors | Sequence[Vectors],
    words: Sequence[Sequence[str]] | None,
) -> Iterator[dict[str, Any]]:
    """The lines of a .jsonl file; one at a time, for as objects vectors are large."""
    if words is None:
        for text, vector in zip(texts, vectors, strict=True):
            yield {"text": text, "vector": vector.tolist()}
        return
    for text, names, rows in zip(texts, words, vectors, strict=True):
        yield {"text": text, "words": list(names), "vectors": rows.tolist()}


def _encoded(name: str, strings: Iterable[str]) -> dict[str, bytes]:
    """Strings end to end in UTF-8, and the bytes of each."""
    # Half a character (a lone surrogate) comes back as it was.
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    lengths = np.array([len(text) for text in encoded], COUNTS)
    return {name: b"".join(encoded), f"{name}_lengths": lengths.tobytes()}


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
    if path.suffix in (".jsonl", ".csv"):
        growing.publish("lines", path)
        return
    if path.suffix == ".npy":
        _publish_npy(growing, path)
        return

    def stored(name: str, dtype: np.dtype[Any], *shape: int) -> StoredArray:
        place = growing.path(name)
        rows = place.stat().st_size // dtype.itemsize // int(np.prod(shape))
        return StoredArray(place, dtype, (rows, *shape))

    tokens, words = growing.path("lengths"), growing.path("word_lengths")
    npz.write(
        path,
        _columns(
            stored("text", BYTES),
            np.fromfile(growing.path("text_lengths"), COUNTS),
            stored("vector", FLOATS, growing.state["width"]),
            np.fromfile(tokens, COUNTS) if tokens.exists() else None,
            (stored("word", BYTES), np.fromfile(words, COUNTS)) if words.exists() else None,
        ),
    )


def _publish_npy(growing: GrowingFiles, path: Path) -> None:
    width, place = growing.state["width"], growing.path("vector")
    rows = place.stat().st_size // FLOATS.itemsize // width
    with files.atomic_file(path) as file, place.open("rb") as vectors:
        file.write(_npy_header(rows, width))
        shutil.copyfileobj(vectors, file)


def _npy_header(rows: int, width: int) -> bytes:
    """How a .npy file of (rows, width) float32 numbers begins."""
    header = io.BytesIO()
    shape = {"descr": FLOATS.str, "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(header, shape)
    return header.getvalue()


def _columns(
    text: NDArray[Any] | StoredArray,
    text_lengths: NDArray[np.int64],
    vector: NDArray[Any] | StoredArray,
    lengths: NDArray[np.int64] | None,
    words: tuple[NDArray[Any] | StoredArray, NDArray[np.int64]] | None,
) -> dict[str, NDArray[Any] | StoredArray]:
    """The arrays of an archive, see :func:`write_vectors`."""
    columns = _strings("text", text, text_lengths)
    if words is not None:
        columns |= _strings("word", *words)
    columns["vector"] = vector
    if lengths is not None:
        columns["offsets"] = ragged.offsets(lengths)
    return columns


def _strings(
    name: str, text: NDArray[Any] | StoredArray, lengths: NDArray[np.int64]
) -> dict[str, NDArray[Any] | StoredArray]:
    """An array of strings, or where that would be large their bytes and where each begins."""
    offsets = ragged.offsets(lengths)
    if len(lengths) * int(lengths.max(initial=1)) * 4 > STRINGS:
        return {f"{name}_utf8": text, f"{name}_offsets": offsets}
    raw = text.path.read_bytes() if isinstance(text, StoredArray) else text.tobytes()
    strings = [
        raw[start:stop].decode("utf-8", "surrogatepass")
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    return {name: np.array(strings, np.str_)}
