"""``plainbert.tasks.pretraining.plan``: what holds for every instance."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.corpus import random_numbers
from plainbert.corpus.tokens import Store
from plainbert.errors import UsageError
from plainbert.tasks.pretraining import plan
from plainbert.tasks.pretraining.plan import InstancePlan, InstanceSettings, make_plan
from tests.helpers import texts


def of_lengths(documents: list[list[int]]) -> Store:
    return texts.store([[[7] * length for length in document] for document in documents])


def equal(one: InstancePlan, two: InstancePlan) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(two, f.name)) for f in fields(InstancePlan)
    )


DOCUMENTS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=12), min_size=1, max_size=5)


@given(documents=DOCUMENTS, limit=st.integers(5, 40), seed=st.integers(0, 2**70))
def test_every_instance(documents: list[list[int]], limit: int, seed: int) -> None:
    store = of_lengths(documents)
    found = make_plan(
        store,
        np.arange(len(documents)),
        np.zeros(len(documents), np.int64),
        InstanceSettings(limit, short_seq_prob=0.5, seed=seed),
    )
    assert len(found) >= len(documents)
    assert found.lengths.max() <= limit
    assert min(found.a_length.min(), found.b_length.min()) >= 1
    bounds = store.sentences[store.documents]
    home = np.searchsorted(bounds, found.a_start, "right") - 1
    last = np.searchsorted(bounds, found.a_start + found.a_length - 1, "right") - 1
    assert np.array_equal(home, last)  # no text crosses the end of a document
    other = np.searchsorted(bounds, found.b_start, "right") - 1
    end = np.searchsorted(bounds, found.b_start + found.b_length - 1, "right") - 1
    assert np.array_equal(other, end)
    drawn = found.random_next == 1
    if len(documents) > 1:
        assert np.array_equal(home == other, ~drawn)
    assert (found.a_start + found.a_length <= found.b_start)[~drawn].all()
    assert len(set(found.keys.tolist())) == len(found)
    uncut = (found.cut == 0) & ~drawn
    assert (found.a_start + found.a_length == found.b_start)[uncut].all()


def test_short_documents_are_covered() -> None:
    """Without cuts, first texts and what comes next hold every sentence once."""
    store = of_lengths([[1, 2, 3, 1], [2, 2], [1]])
    for seed in range(20):
        found = make_plan(
            store, np.arange(3), np.zeros(3, np.int64), InstanceSettings(64, 0.0, seed=seed)
        )
        seen = [0] * len(store.ids)
        for row in range(len(found)):
            for token in range(found.a_start[row], found.a_start[row] + found.a_length[row]):
                seen[token] += 1
            if not found.random_next[row]:
                for token in range(found.b_start[row], found.b_start[row] + found.b_length[row]):
                    seen[token] += 1
        assert seen == [1] * len(store.ids)


@pytest.mark.parametrize("limit", [12, 13])
@pytest.mark.parametrize(("A", "B"), [(a, b) for a in (1, 4, 5, 9, 30) for b in (1, 4, 5, 9, 30)])
def test_what_is_cut(A: int, B: int, limit: int) -> None:
    """Taking tokens one by one from the longer text leaves as many of each."""
    store = of_lengths([[A, B], [50]])
    settings = InstanceSettings(limit, 0.0)
    for seed in range(8):
        found = make_plan(store, np.array([0]), np.array([0]), replace(settings, seed=seed))
        for row in range(len(found)):
            if found.random_next[row] or found.a_start[row] >= A:
                continue
            a, b = A, B
            while a + b > limit - 3:
                a, b = (a - 1, b) if a > b else (a, b - 1)
            assert (found.a_length[row], found.b_length[row]) == (a, b)


def test_company_and_windows_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = texts.documents(30, 1, sentences=200)
    store = texts.store(documents)
    settings = InstanceSettings(32, 0.3)
    whole = make_plan(store, np.arange(30), np.full(30, 2), settings)
    alone = [make_plan(store, np.array([d]), np.array([2]), settings) for d in range(30)]
    joined = InstancePlan(
        *(np.concatenate([getattr(part, f.name) for part in alone]) for f in fields(InstancePlan))
    )
    assert equal(whole, joined)
    monkeypatch.setattr(plan, "WINDOW", 1)  # twice the target is the least
    assert equal(whole, make_plan(store, np.arange(30), np.full(30, 2), settings))
    assert not np.array_equal(
        whole.a_length, make_plan(store, np.arange(30), np.full(30, 3), settings).a_length
    )


def test_one_document_is_its_own_other() -> None:
    store = of_lengths([[3] * 20_000])
    found = make_plan(store, np.array([0]), np.array([0]), InstanceSettings(20))
    assert 0.47 < found.random_next.mean() < 0.53
    assert (found.b_start + found.b_length).max() <= len(store.ids)


def test_random_documents_come_from_all_of_the_corpus() -> None:
    store = of_lengths([[5]] * 50)
    found = make_plan(store, np.full(4000, 7), np.arange(4000), InstanceSettings(20))
    other = found.b_start // 5
    counts = np.bincount(other, minlength=50)
    assert counts[7] == 0
    assert counts[np.arange(50) != 7].min() > 40


def test_binomial() -> None:
    trials = np.array([0, 1, 63, 64, 65, 1000, 1_000_000])
    successes = np.array(
        [random_numbers.binomial(random_numbers.keys(n, np.arange(7)), trials) for n in range(400)]
    )
    assert (successes >= 0).all()
    assert (successes <= trials).all()
    spread = np.sqrt(trials[1:] / 4)
    assert (abs(successes.mean(0)[1:] - trials[1:] / 2) < 4 * spread / 20).all()
    assert (abs(successes.std(0)[1:] / spread - 1) < 0.2).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seq_length": 4},
        {"dupe_factor": 0},
        {"short_seq_prob": 1.5},
        {"masked_lm_prob": -0.1},
        {"max_predictions_per_seq": 0},
    ],
)
def test_settings_that_make_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(wrong))} "):
        InstanceSettings(**wrong)  # type: ignore[arg-type]
