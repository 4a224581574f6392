from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.tasks.pretraining.shards import Shards, write_shard
from tests.helpers.npz_files import VOCAB, columns, instances


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "a.npz"
    made = instances(9)
    write_shard(path, columns(made), VOCAB.sha256)
    return made, Shards.open([str(path)], VOCAB)


@given(st.lists(st.integers(0, 8), max_size=20))
def test_places_of_masks_among_all_tokens(shard, numbers):
    made, shards = shard
    rows = shards.rows(np.array(numbers, np.int64))
    assert len(rows) == len(numbers)
    assert rows.lengths.tolist() == [len(made[number]["ids"]) for number in numbers]
    tokens = [token for number in numbers for token in made[number]["ids"]]
    assert rows.ids.tolist() == tokens
    expected, begin = [], 0
    for number in numbers:
        expected += [begin + place for place in made[number]["places"]]
        begin += len(made[number]["ids"])
    assert rows.masked_rows.tolist() == expected


def test_types(shard):
    rows = shard[1].rows(np.arange(9))
    kinds = {name: getattr(rows, name).dtype.name for name in rows.__dataclass_fields__}
    assert kinds == {
        "ids": "int32",
        "offsets": "int64",
        "types": "uint8",
        "masked_sequence": "int64",
        "masked_positions": "int64",
        "masked_ids": "int64",
        "next_sentence": "int64",
    }
