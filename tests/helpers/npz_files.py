"""Random instances, as shards and as GluonNLP's files, and the slow way to read them."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.tasks.pretraining.shards import ShardColumns
from plainbert.text.vocab import Vocab

# Google's order, with [CLS] and [SEP] where GluonNLP does not keep them.
WORDS = [f"word{row}" for row in range(300)]
VOCAB = Vocab(["[PAD]", "[unused1]", *WORDS[:50], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[50:]])


def instances(number: int, seed: int = 0, vocab: Vocab = VOCAB) -> list[dict[str, Any]]:
    """Plain lists, one dictionary per instance."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        A, B = rng.integers(1, 20, 2)
        ids = rng.integers(0, len(vocab), A + B + 3)
        ids[[0, A + 1, A + B + 2]] = vocab.cls_id, vocab.sep_id, vocab.sep_id
        places = np.sort(rng.choice(np.arange(1, A + 1), rng.integers(0, min(A, 5) + 1), False))
        labels = rng.integers(0, len(vocab), len(places))
        made.append(
            {
                "ids": ids.tolist(),
                "split": int(A) + 2,
                "places": places.tolist(),
                "labels": labels.tolist(),
                "random": int(rng.integers(0, 2)),
            }
        )
    return made


def columns(made: list[dict[str, Any]]) -> ShardColumns:
    """The same, as a shard holds them."""

    def flat(name: str) -> np.ndarray:
        return np.array([value for one in made for value in one[name]], np.int64)

    def offsets(name: str) -> np.ndarray:
        return np.cumsum([0, *(len(one[name]) for one in made)])

    return ShardColumns(
        flat("ids"),
        offsets("ids"),
        np.array([one["split"] for one in made], np.int64),
        flat("places"),
        flat("labels"),
        offsets("places"),
        np.array([one["random"] for one in made], np.int64),
    )


def plain(rows: InstanceRows) -> list[dict[str, Any]]:
    """Instances as lists again."""
    made = []
    for number in range(len(rows)):
        begin, end = rows.offsets[number], rows.offsets[number + 1]
        mine = rows.masked_sequence == number
        made.append(
            {
                "ids": rows.ids[begin:end].tolist(),
                "split": int((rows.types[begin:end] == 0).sum()),
                "places": rows.masked_positions[mine].tolist(),
                "labels": rows.masked_ids[mine].tolist(),
                "random": int(rows.next_sentence[number]),
            }
        )
        assert np.all(np.diff(rows.types[begin:end].astype(int)) >= 0)
    return made


def old_arrays(made: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What GluonNLP's script hands to ``np.savez_compressed``; see write_to_files_np there."""

    def ragged(rows: list[Any], kind: str = "int32") -> np.ndarray:
        return np.array([np.ascontiguousarray(row, dtype=kind) for row in rows], dtype=object)

    return {
        "input_ids": ragged([one["ids"] for one in made]),
        "segment_ids": ragged(
            [[0] * one["split"] + [1] * (len(one["ids"]) - one["split"]) for one in made]
        ),
        "masked_lm_positions": ragged([one["places"] for one in made]),
        "masked_lm_ids": ragged([one["labels"] for one in made]),
        "masked_lm_weights": ragged([[1.0] * len(one["labels"]) for one in made], "float32"),
        "next_sentence_labels": np.array([one["random"] for one in made], dtype="int32"),
        "valid_lengths": np.array([len(one["ids"]) for one in made], dtype="int32"),
    }


def npy(array: np.ndarray, protocol: int = 3) -> bytes:
    """A .npy file; arrays of objects pickled as the versions of NumPy did, with protocol 2 to 4."""
    file = io.BytesIO()
    if array.dtype.hasobject:
        head = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, head)
        pickle.dump(array, file, protocol=protocol)
    else:
        np.lib.format.write_array(file, array, version=(1, 0))
    return file.getvalue()


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    """An archive of members as they are given."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def unpickled(path: Path) -> dict[str, np.ndarray]:
    """A file of GluonNLP through Python's own pickle: only for the fixtures, which we made."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            head = 10 + int.from_bytes(data[8:10], "little")
            plain_numbers = b"|O" not in data[:head]
            array = np.load(io.BytesIO(data)) if plain_numbers else pickle.loads(data[head:])
            found[name.removesuffix(".npy")] = array
    return found
