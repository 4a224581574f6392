"""``plainbert.tasks.pretraining.instances``: gathering tokens, columns and rows."""

from __future__ import annotations

import numpy as np
import pytest

from plainbert.corpus.tokens import Store
from plainbert.tasks.pretraining import instances
from plainbert.tasks.pretraining.masking import Masker
from plainbert.tasks.pretraining.plan import InstancePlan, InstanceSettings, make_plan
from tests.helpers import slow_corpus, texts


@pytest.fixture(scope="module")
def made() -> tuple[Store, InstancePlan, Masker]:
    store = texts.store(texts.documents(50, 2))
    settings = InstanceSettings(40, 0.2)
    plan = make_plan(store, np.arange(50), np.zeros(50, np.int64), settings)
    return store, plan, Masker.of(texts.tokenizer(), settings)


def test_gathered_one_by_one(made: tuple[Store, InstancePlan, Masker]) -> None:
    store, plan, _ = made
    ids, offsets = instances.gather(store, plan, slow_corpus.CLS, slow_corpus.SEP)
    tokens = store.ids.tolist()
    wanted = []
    for row in range(len(plan)):
        first = tokens[plan.a_start[row] :][: plan.a_length[row]]
        second = tokens[plan.b_start[row] :][: plan.b_length[row]]
        wanted.append([slow_corpus.CLS, *first, slow_corpus.SEP, *second, slow_corpus.SEP])
    assert [part.tolist() for part in np.split(ids, offsets[1:-1])] == wanted
    assert ids.dtype == store.ids.dtype
    assert 0 in plan.a_start  # the place before the first token was not read
    assert len(store.ids) in plan.b_start + plan.b_length  # nor the one behind the last


@pytest.mark.parametrize("tokens", [1, 100, 10**6])
def test_slices_are_the_plan(made: tuple[Store, InstancePlan, Masker], tokens: int) -> None:
    _, plan, _ = made
    parts = list(instances.slices(plan, tokens))
    assert np.array_equal(np.concatenate([part.keys for part in parts]), plan.keys)
    assert all(len(part) == 1 or part.lengths.sum() <= tokens for part in parts)


def test_rows_and_columns_agree(made: tuple[Store, InstancePlan, Masker]) -> None:
    store, plan, masker = made
    columns = instances.columns(store, plan, masker, slow_corpus.CLS, slow_corpus.SEP)
    rows = instances.rows(store, plan, masker, slow_corpus.CLS, slow_corpus.SEP)
    assert rows.ids.dtype == np.int32
    assert np.array_equal(rows.ids, columns.input_ids)
    assert np.array_equal(rows.offsets, columns.offsets)
    assert np.array_equal(rows.masked_positions, columns.masked_lm_positions)
    assert np.array_equal(rows.masked_ids, columns.masked_lm_ids)
    assert np.array_equal(np.bincount(rows.masked_sequence), np.diff(columns.masked_offsets))
    assert np.array_equal(rows.next_sentence, columns.next_sentence_labels)
    for row, types in enumerate(np.split(rows.types, rows.offsets[1:-1])):
        split = columns.segment_split[row]
        assert types.tolist() == [0] * split + [1] * (len(types) - split)
    plain, _ = instances.gather(store, plan, slow_corpus.CLS, slow_corpus.SEP)
    assert np.array_equal(plain[rows.masked_rows], rows.masked_ids)
