"""``plainbert.corpus.tokens``: text to a store on disk."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from plainbert.containers import npz
from plainbert.corpus import documents, tokens
from plainbert.corpus.tokens import Reading, Store, tokenise
from plainbert.errors import DataError, FormatError
from plainbert.processes import WorkerProcesses
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import texts

FIXTURES = Path(__file__).parent.parent / "fixtures" / "text"


def make(paths: list[Path], path: Path, reading: Reading, num_workers: int = 0) -> Store:
    with WorkerProcesses(num_workers, reading) as workers:
        return tokenise(paths, reading, path, workers, bar=False)


def lists(store: Store) -> list[list[list[int]]]:
    """Documents as lists of sentences, the slow way."""
    found = []
    for d in range(store.num_documents):
        rows = range(store.documents[d], store.documents[d + 1])
        found.append(
            [store.ids[store.sentences[r] : store.sentences[r + 1]].tolist() for r in rows]
        )
    return found


def test_documents_and_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 7)
    one, two, empty = (tmp_path / name for name in ("1", "2", "3"))
    one.write_text("\n\na b\n\x01\nc\n \n\t\n\nd", "utf-8")  # \x01: no token, and not blank either
    two.write_text("e\r\n\r\nf\r\n", "utf-8")
    empty.write_text("\n\n", "utf-8")
    ids = dict(zip(texts.TOKENS, range(99), strict=False))
    store = make([one, empty, two], tmp_path / "store.npz", texts.reading())
    a, b, c, d, e, f = (ids[letter] for letter in "abcdef")
    assert lists(store) == [[[a, b], [c]], [[d]], [[e]], [[f]]]
    assert store.document_tokens.tolist() == [3, 1, 1, 1]
    assert store.ids.dtype == np.uint16
    assert not isinstance(store.ids.base, type(None))  # mapped


def test_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 500)
    path = texts.write(tmp_path, 100)
    drawing = Reading(SentencePiece(FIXTURES / "unigram1000.model", nbest=-1, alpha=0.5), seed=4)
    for reading in (texts.reading(), drawing):
        alone = make([path, path], tmp_path / "1.npz", reading)
        many = make([path, path], tmp_path / "2.npz", reading, 2)
        assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
        half = len(alone.ids) // 2
        same = np.array_equal(alone.ids[:half], many.ids[half:])
        assert same == (reading is not drawing)  # the same text again is drawn anew


def test_many_rows_of_the_vocabulary(tmp_path: Path) -> None:
    extra = [f"x{n}" for n in range(1 << 16)]
    tokenizer = WordPiece(Vocab.from_tokens([*texts.TOKENS, *extra]), lower=True)
    path = tmp_path / "t"
    path.write_text("x65500 a\n", "utf-8")
    store = make([path], tmp_path / "s.npz", Reading(tokenizer))
    assert store.ids.dtype == np.int32
    assert [tokenizer.vocab.tokens[row] for row in store.ids] == ["x65500", "a"]


def test_no_text_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [tmp_path / "1", tmp_path / "2"]
    names[0].touch()
    names[1].write_text("\n \n", "utf-8")
    with pytest.raises(DataError, match="1: holds no text, nor do the other 1 files"):
        make(names, tmp_path / "s.npz", texts.reading())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    make([*names, texts.write(tmp_path)], tmp_path / "s.npz", texts.reading())
    assert "2 of 3 files hold no text" in caplog.text


def test_errors_of_workers_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(b"a b\n" * 300_000 + b"\xff\n")
    with pytest.raises(DataError, match="bad:300001: is not UTF-8"):
        make([path], tmp_path / "s.npz", texts.reading(), 2)
    assert [each.name for each in tmp_path.iterdir()] == ["bad"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    path = texts.write(tmp_path, 2000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make([path], tmp_path / "s.npz", texts.reading())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [each.name for each in tmp_path.iterdir()] == ["text.txt"]


def test_files_that_are_no_store(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    npz.write(path, {"ids": np.zeros(3, np.uint16)})
    with pytest.raises(FormatError, match="no store of tokens"):
        Store.read(path)
    arrays = {"version": np.array(tokens.VERSION), "ids": np.zeros(3, np.uint16)}
    npz.write(path, arrays | {"sentences": np.array([0, 4]), "documents": np.array([0, 1])})
    with pytest.raises(FormatError, match="damaged"):
        Store.read(path)
