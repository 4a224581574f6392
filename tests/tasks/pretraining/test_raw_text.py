"""``plainbert.tasks.pretraining.raw_text``: text as training data, masked anew in every epoch."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from plainbert.tasks.pretraining import instances, raw_text
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.wordpiece import WordPiece
from tests.helpers import slow_corpus, texts

SETTINGS = InstanceSettings(32, 0.1, 0.15, 5, seed=3)
MODEL = Path(__file__).parents[2] / "fixtures" / "text" / "unigram1000.model"


def make(path: Path, settings: InstanceSettings = SETTINGS, **options: object) -> RawText:
    return RawText.of(
        [str(path)], texts.tokenizer(), settings, path.parent / "cache", bar=False, **options
    )  # type: ignore[arg-type]


def equal(one: InstanceRows, two: InstanceRows) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(two, f.name)) for f in fields(InstanceRows)
    )


def test_rows(tmp_path: Path) -> None:
    found = make(texts.write(tmp_path))
    assert len(found) == len(found.lengths)
    index = np.array([5, 0, len(found) - 1, 5])
    rows = found.rows(index)
    assert np.array_equal(rows.lengths, found.lengths[index])
    # Without masks they are the texts of the plan.
    ids = rows.ids.copy()
    ids[rows.masked_rows] = rows.masked_ids
    plain, _ = instances.gather(
        found.store, found.plan.take(index), slow_corpus.CLS, slow_corpus.SEP
    )
    assert np.array_equal(ids, plain)
    assert np.array_equal(rows.next_sentence, found.plan.random_next[index])


def test_masks_depend_on_seed_epoch_and_instance_only(tmp_path: Path) -> None:
    path = texts.write(tmp_path)
    found = make(path)
    every = np.arange(len(found))
    whole = found.rows(every, 1)
    assert equal(whole, make(path).rows(every, 1))
    assert not np.array_equal(whole.ids, found.rows(every, 2).ids)
    reversed_ = found.rows(every[::-1], 1)
    for row in range(0, len(found), 7):
        alone = found.rows(np.array([row]), 1)
        for one in (whole, reversed_):
            at = row if one is whole else len(found) - 1 - row
            assert np.array_equal(alone.ids, one.ids[one.offsets[at] : one.offsets[at + 1]])
    # Over many epochs, every token is masked as often.
    counts = np.zeros(len(whole.ids))
    for epoch in range(300):
        counts[found.rows(every, epoch).masked_rows] += 1
    free = ~np.isin(np.arange(len(counts)), np.append(whole.offsets[:-1], whole.offsets[1:] - 1))
    long = np.repeat(found.lengths > 28, found.lengths) & free
    assert np.quantile(counts[long], 0.05) > 20
    assert np.quantile(counts[long], 0.9) < 90


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = texts.write(tmp_path)
    cache = tmp_path / "cache"
    first = make(path)
    names = {each.name for each in cache.iterdir()}
    assert len(names) == 2
    with monkeypatch.context() as patch:
        patch.setattr(raw_text.tokens, "tokenise", None)
        patch.setattr(raw_text, "make_plan", None)
        again = make(path, replace(SETTINGS, masked_lm_prob=0.5, whole_word_mask=True))
    assert np.array_equal(again.plan.a_start, first.plan.a_start)
    make(path, replace(SETTINGS, max_seq_length=20))
    make(path, replace(SETTINGS, seed=4))
    assert len(list(cache.glob("tokens-*"))) == 1
    assert len(list(cache.glob("plan-*"))) == 3
    os.utime(path, (1, 1))
    make(path)
    assert len(list(cache.glob("tokens-*"))) == 2


def test_fingerprints(tmp_path: Path) -> None:
    path = texts.write(tmp_path)
    vocab = texts.tokenizer().vocab
    readings = [
        raw_text.Reading(tokenizer, language, seed)
        for tokenizer, language, seed in (
            (texts.tokenizer(), None, 0),
            (texts.tokenizer(), "en", 0),
            (WordPiece(vocab, lower=False), None, 0),
            (SentencePiece(MODEL), None, 0),
            (SentencePiece(MODEL, nbest=-1), None, 0),
            (SentencePiece(MODEL, nbest=-1), None, 1),
            (SentencePiece(MODEL, nbest=-1, alpha=0.5), None, 0),
        )
    ]
    found = [raw_text.fingerprint([path], reading) for reading in readings]
    assert len(set(found)) == len(found)
    assert found[0] == raw_text.fingerprint([path], raw_text.Reading(texts.tokenizer(), None, 9))
    assert found == [raw_text.fingerprint([path], reading) for reading in readings]


def test_workers_and_sentences(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("The cab came. The\nfog rose. It rained.\n\n" * 30, "utf-8")
    found = make(path, num_workers=2, language="en")
    assert found.store.num_documents == 30
    assert found.store.num_sentences == 90


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """It tells a resumed run whether the text is the one it began with."""
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for folder in (one, two, other):
        folder.mkdir()
        texts.write(folder)
    (path,) = other.iterdir()
    words = path.read_text("utf-8").replace("c", "d", 1)
    path.write_text(words, "utf-8")
    os.utime(next(two.iterdir()), (1, 1))
    first, second, third = (make(next(folder.iterdir())) for folder in (one, two, other))
    assert first.fingerprint == second.fingerprint
    assert len(first) == len(third)
    assert first.fingerprint != third.fingerprint
    assert first.fingerprint != make(path, replace(SETTINGS, max_seq_length=24)).fingerprint
