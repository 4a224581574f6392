"""Windows on disk: found again, made anew when anything differs or is damaged."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plainbert.tasks.squad import cache
from plainbert.tasks.squad.data import NOWHERE, GoldAnswer, Question
from plainbert.tasks.squad.windows import Limits, Windows, prepare
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"]
TOKENIZER = WordPiece(Vocab.from_tokens(TOKENS))
QUESTIONS = [
    Question("x", "a b", "c d a b c", (GoldAnswer("d a", 2),)),
    Question("y", "b", "c d a b c", impossible=True),
    Question("z", "a", "d \ud83d c", (GoldAnswer("q", NOWHERE), GoldAnswer("c", 4))),
]
LIMITS = Limits(12, 2, 4)


def equal(first: Windows, second: Windows) -> bool:
    """Every column, its type included."""

    def columns(made: Windows) -> list[Any]:
        features = made.features
        return [
            features.ids,
            features.offsets,
            features.types,
            features.labels,
            made.question,
            made.first,
            made.first_row,
            made.max_context,
            made.start,
            made.end,
        ]

    same = all(
        a is b is None or (a.dtype == b.dtype and np.array_equal(a, b))
        for a, b in zip(columns(first), columns(second), strict=True)
    )
    return same and (first.features.cut, first.unreached) == (second.features.cut, second.unreached)


def made(folder: Path, labelled: bool = True) -> Windows:
    return cache.windows(folder, TOKENIZER, QUESTIONS, LIMITS, labelled=labelled)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_second_time_nothing_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled: bool
) -> None:
    right = prepare(TOKENIZER, QUESTIONS, LIMITS, labelled=labelled)
    assert equal(made(tmp_path / "new", labelled), right)
    monkeypatch.setattr(cache, "prepare", None)

    assert equal(made(tmp_path / "new", labelled), right)
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".npz"]


def test_no_folder_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache.windows(None, TOKENIZER, QUESTIONS, LIMITS)

    assert not list(tmp_path.iterdir())


def test_the_fingerprint_follows_everything_that_matters() -> None:
    base = (TOKENIZER, QUESTIONS, LIMITS, True)
    other = [
        (WordPiece(Vocab.from_tokens([*TOKENS, "e"])), *base[1:]),
        (WordPiece(Vocab.from_tokens(TOKENS), lower=False), *base[1:]),
        (WordPiece(Vocab.from_tokens(TOKENS), max_word_chars=3), *base[1:]),
        (TOKENIZER, QUESTIONS[:2], *base[2:]),
        (TOKENIZER, QUESTIONS[::-1], *base[2:]),
        *(
            (TOKENIZER, [replace(QUESTIONS[0], **change), *QUESTIONS[1:]], *base[2:])
            for change in (
                {"question": "a"}, {"context": "c d a b"}, {"answers": ()}, {"impossible": True},
                {"answers": (GoldAnswer("c", 0),)}, {"answers": (GoldAnswer("d ", 2),)},
            )
        ),
        *((TOKENIZER, QUESTIONS, limits, True)
          for limits in (Limits(13, 2, 4), Limits(12, 3, 4), Limits(12, 2, 5))),
        (*base[:3], False),
    ]  # fmt: skip
    keys = [cache.fingerprint(*each) for each in (base, *other)]  # type: ignore[arg-type]

    assert len(set(keys)) == len(keys)
    again = (WordPiece(Vocab.from_tokens(TOKENS)), [replace(each) for each in QUESTIONS])
    assert cache.fingerprint(*again, LIMITS, labelled=True) == keys[0]
    # Ids and titles are not in the windows.
    named = [replace(each, id="n" + each.id, title="t") for each in QUESTIONS]
    assert cache.fingerprint(TOKENIZER, named, LIMITS, labelled=True) == keys[0]


def test_a_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    right = made(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"ids.npy") + 200] ^= 1
    for bad in (b"", whole[:100], whole[:-30], bytes(flipped), b"PK\x03\x04 no zip at all"):
        path.write_bytes(bad)
        caplog.clear()
        assert equal(made(tmp_path), right)
        assert "is damaged" in caplog.text
        assert path.read_bytes() == whole


def test_a_file_without_columns_or_with_objects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = made(tmp_path)
    (path,) = tmp_path.iterdir()
    with np.load(path) as file:
        columns = dict(file)
    for changes in ({"kept": None}, {"ids": np.array([{"an": "object"}])}):
        kept = {key: value for key, value in (columns | changes).items() if value is not None}
        np.savez(path, **kept)
        caplog.clear()
        assert equal(made(tmp_path), right)
        assert "is damaged" in caplog.text


def test_a_foreign_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    right = made(tmp_path)
    (path,) = tmp_path.iterdir()
    cache.save(path, "another", prepare(TOKENIZER, QUESTIONS[:1], LIMITS, labelled=True))

    assert equal(made(tmp_path), right)
    assert "made of other data" in caplog.text


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        found = made(tmp_path / "file")

    assert equal(found, prepare(TOKENIZER, QUESTIONS, LIMITS, labelled=True))
    assert "could not be written" in caplog.text
