"""Instances have the distribution of Google's algorithm: chi-square against the slow version.

Instances of one document depend on each other, so each pass over a document counts with one
instance only, drawn at random. Samples are of 100,000 passes or more.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from plainbert.corpus import random_numbers
from plainbert.tasks.pretraining import instances, plan
from plainbert.tasks.pretraining.masking import Masker
from plainbert.tasks.pretraining.plan import InstanceSettings, Ints, make_plan
from tests.helpers import slow_corpus, texts

D, PASSES = 2000, 50
LIMIT, SHARE, MOST = 20, 0.15, 3
SETTINGS = InstanceSettings(LIMIT, 0.1, SHARE, MOST, dupe_factor=PASSES, seed=3)
DOCUMENTS = texts.documents(D, seed=11)
V = len(texts.TOKENS)
PLAIN = ("length", "first text", "random next", "masks", "kinds", "places", "sentence begins")
WORDS = ("masks", "kinds", "places", "words masked whole", "longest word")
Tables = dict[str, Counter[int]]


def note(tables: Tables, made: slow_corpus.Made, changed: list[int], found: dict[int, int]) -> None:
    """Count what is compared, of one instance of the slow version."""
    count = lambda name, value: tables.setdefault(name, Counter()).update([value])
    tokens = made.tokens
    count("length", len(tokens))
    count("first text", made.split)
    count("random next", int(made.random_next))
    count("masks", len(found))
    count("sentence begins", int(tokens[1] == texts.FIRST))
    for place in found:
        kind = (
            0 if changed[place] == slow_corpus.MASK else 1 if changed[place] == tokens[place] else 2
        )
        count("kinds", kind)
        count("places", place)
        if kind == 2:
            count("instead", changed[place])
    words(tables, tokens, set(found))


def words(tables: Tables, tokens: list[int], found: set[int]) -> None:
    """Count the words of which all tokens were masked, and the longest of them."""
    groups: list[list[int]] = []
    for place, token in enumerate(tokens):
        if token not in (slow_corpus.CLS, slow_corpus.SEP):
            if groups and token in texts.INNER:
                groups[-1].append(place)
            else:
                groups.append([place])
    whole = [len(word) for word in groups if found.issuperset(word)]
    tables.setdefault("words masked whole", Counter()).update([len(whole)])
    tables.setdefault("longest word", Counter()).update([max(whole, default=0)])


@functools.cache
def expected(whole_words: bool) -> Tables:
    """Tables of the slow version."""
    rng = random.Random(1)
    tables: Tables = {}
    for index in range(D):
        for _ in range(PASSES):
            made = rng.choice(slow_corpus.pairs(DOCUMENTS, index, LIMIT, 0.1, rng))
            inner = texts.INNER if whole_words else None
            changed, found = slow_corpus.masks(made.tokens, SHARE, MOST, V, rng, inner)
            note(tables, made, changed, found)
    return tables


def observed(
    whole_words: bool,
    settings: InstanceSettings = SETTINGS,
    with_words: bool = False,
    **changes: Any,
) -> Tables:
    """The same of ours; ``changes`` are made to the masker."""
    store = texts.store(DOCUMENTS)
    number, turn = np.repeat(np.arange(D), PASSES), np.tile(np.arange(PASSES), D)
    settings = replace(settings, whole_word_mask=whole_words)
    found = make_plan(store, number, turn, settings)
    starts = first_of_pass(found)
    assert len(starts) == D * PASSES
    counts = np.diff(np.append(starts, len(found)))
    chosen = found.take(starts + np.random.default_rng(5).integers(0, counts))
    masker = replace(Masker.of(texts.tokenizer(), settings), **changes)
    plain, offsets = instances.gather(store, chosen, slow_corpus.CLS, slow_corpus.SEP)
    made = instances.columns(store, chosen, masker, slow_corpus.CLS, slow_corpus.SEP)
    assert np.array_equal(made.offsets, offsets)
    masks = np.diff(made.masked_offsets)
    rows = np.repeat(offsets[:-1], masks) + made.masked_lm_positions
    changed = made.input_ids[rows]
    assert np.array_equal(made.masked_lm_ids, plain[rows])
    kinds = np.where(changed == slow_corpus.MASK, 0, np.where(changed == plain[rows], 1, 2))
    tables = {
        "length": np.diff(offsets), "first text": made.segment_split, "masks": masks,
        "random next": made.next_sentence_labels, "kinds": kinds,
        "sentence begins": plain[offsets[:-1] + 1] == texts.FIRST,
        "places": made.masked_lm_positions, "instead": changed[kinds == 2],
    }  # fmt: skip
    counted = {name: Counter(values.astype(int).tolist()) for name, values in tables.items()}
    if not with_words:
        return counted
    for row, tokens in enumerate(np.split(plain, offsets[1:-1])):
        span = slice(made.masked_offsets[row], made.masked_offsets[row + 1])
        words(counted, tokens.tolist(), set(made.masked_lm_positions[span].tolist()))
    return counted


def first_of_pass(found: plan.InstancePlan) -> Ints:
    """Which instances are the first of a pass over a document, as their keys tell."""
    passes = random_numbers.keys(
        SETTINGS.seed, np.tile(np.arange(PASSES), D), np.repeat(np.arange(D), PASSES)
    )
    return np.flatnonzero(np.isin(found.keys, random_numbers.keys(passes, 0)))


def p_value(one: Counter[int], two: Counter[int]) -> float:
    """Of the two samples being of one distribution; rare values are counted together."""
    values = sorted(set(one) | set(two))
    table = np.array([[sample[value] for value in values] for sample in (one, two)])
    rare = table.sum(0) < 40
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
    table = table[:, table.sum(0) > 0]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


@pytest.mark.parametrize("whole_words", [False, True])
def test_equal_to_the_slow_version(whole_words: bool) -> None:
    wanted = expected(whole_words)
    found = observed(whole_words, with_words=whole_words)
    names = (*WORDS, "instead") if whole_words else (*PLAIN, "instead")
    assert all(sum(wanted[name].values()) >= 20_000 for name in names)
    assert sum(found["length"].values()) == sum(wanted["length"].values()) == 100_000
    assert min(len(wanted[name]) for name in names) >= 2
    values = {name: p_value(found[name], wanted[name]) for name in names}
    assert min(values.values()) > 1e-3, values


MASKER_FAULTS = {
    "75/15/10": ("kinds", {"masked": 0.75, "kept": 0.15}),
    "80/12/8": ("kinds", {"kept": 0.12}),
    "prob 0.18": ("masks", {"prob": 0.18}),
    "most 2": ("masks", {"most": 2}),
}
PLAN_FAULTS = {"short_seq 0.15": "length", "random next 0.45": "random next",
               "cut at the end only": "sentence begins"}  # fmt: skip


@pytest.mark.parametrize("fault", [*MASKER_FAULTS, *PLAN_FAULTS])
def test_faults_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS
    name, changes = MASKER_FAULTS.get(fault) or (PLAN_FAULTS[fault], {})
    if fault == "short_seq 0.15":
        settings = replace(SETTINGS, short_seq_prob=0.15)
    elif fault == "random next 0.45":
        monkeypatch.setattr(plan, "RANDOM_NEXT", 0.45)
    elif fault == "cut at the end only":
        monkeypatch.setattr(random_numbers, "binomial", lambda key, trials: np.zeros_like(trials))
    found = observed(False, settings, **changes)
    assert p_value(found[name], expected(False)[name]) < 1e-9


def test_words_are_not_torn() -> None:
    """The comparison sees whether words are masked together."""
    found = observed(False, with_words=True)
    assert p_value(found["longest word"], expected(True)["longest word"]) < 1e-9
