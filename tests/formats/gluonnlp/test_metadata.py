"""The metadata that real GluonNLP wrote; hostile and garbled files do nothing."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.gluonnlp import metadata

REAL = Path(__file__).parents[2] / "fixtures" / "gluonnlp" / "ner_metadata.pkl"


def test_a_real_file() -> None:
    found = metadata.read(REAL)

    assert found.tags == ("X", "O", "B-PER", "E-PER", "S-PER")
    assert found.flags["bert_model"] == "bert_2_32_4"
    assert found.flags["learning_rate"] == 5e-05
    assert found.flags["gpu"] is None
    assert (found.flags["cased"], found.flags["seq_len"]) == (False, 180)
    assert found.dataset_name == "book_corpus_wiki_en_uncased"
    assert metadata.Metadata((), {"cased": True}).dataset_name == "book_corpus_wiki_en_cased"  # noqa: E501
    assert metadata.Metadata((), {}).dataset_name is None


def test_the_newest_weights_of_a_prefix(tmp_path: Path) -> None:
    for name in (
        "ner_002.params",
        "ner_010.params",
        "ner_9.params",
        "ner_best.params",
        "nerd_099.params",
        "ner_011.params.bak",
    ):
        (tmp_path / name).touch()

    assert metadata.last_weights(tmp_path / "ner") == tmp_path / "ner_010.params"
    assert metadata.last_weights(tmp_path / "ne") is None
    assert metadata.last_weights(tmp_path / "none" / "ner") is None
    weights = tmp_path / "ner_010.params"
    assert metadata.metadata_of(weights) is None
    (tmp_path / "ner_metadata.pkl").write_bytes(REAL.read_bytes())
    found = metadata.metadata_of(weights)
    assert found is not None
    assert len(found.tags) == 5


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_nothing_is_called(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for value in (Hostile(touched), [Hostile(touched)], (Hostile(touched), Hostile(touched))):
        path = tmp_path / "x_metadata.pkl"
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(FormatError, match=r"x_metadata\.pkl is not what.*--labels"):
            metadata.read(path)
    assert not touched.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_other_values(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x_metadata.pkl"
    for value in (None, {}, [1, 2], ("a", "b"), {"config": 1}, 2**70, b"bytes", {(1, 2): 3}):
        path.write_bytes(pickle.dumps(value, protocol))
        with pytest.raises(FormatError):
            metadata.read(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        metadata.read(tmp_path / "none")


def test_garbled_files(tmp_path: Path, seed: int) -> None:
    """Cut, or with some bytes changed: read, or refused as what it is."""
    generator = random.Random(seed)
    right = REAL.read_bytes()
    path = tmp_path / "x_metadata.pkl"
    refused = 0
    for trial in range(600):
        data = bytearray(right)
        if trial % 3 == 0:
            del data[generator.randrange(len(data)) :]
        for _ in range(trial % 4):
            if data:
                data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(bytes(data))
        try:
            found = metadata.read(path)
        except FormatError:
            refused += 1
        else:
            assert all(isinstance(tag, str) for tag in found.tags)
    assert refused > 200
