"""Batches of masked sequences against rows written out by hand."""

from __future__ import annotations

import numpy as np
import torch

from plainbert.nn.names import IGNORE
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.rows import InstanceRows

CPU = torch.device("cpu")
# ids, types, masked places, what was there, next sentence
MADE = [
    ([2, 11, 12, 3, 13, 3], [0, 0, 0, 0, 1, 1], [1, 4], [21, 22], 1),
    ([2, 14, 3], [0, 0, 0], [1], [23], -1),
    ([2, 15, 3, 16, 17, 18, 3], [0, 0, 0, 1, 1, 1, 1], [3, 4, 5], [24, 25, 26], 0),
    ([2, 19, 3], [0, 0, 0], [], [], 0),
]


class Made:
    """The rows above; some may be damaged. Ids of later epochs are larger: masks drawn anew."""

    lengths = np.array([len(ids) for ids, *_ in MADE])

    def __init__(self, damaged=()):
        self.damaged, self.asked = damaged, []

    def rows(self, index, epoch=0):
        self.asked.append((index.tolist(), epoch))
        rows = [MADE[place] for place in index if place not in self.damaged]
        masked = [(row, place) for row, (_, _, places, *_) in enumerate(rows) for place in places]
        return InstanceRows(
            ids=np.array([each + epoch for ids, *_ in rows for each in ids], np.int32),
            offsets=np.cumsum([0, *(len(ids) for ids, *_ in rows)]),
            types=np.array([each for _, types, *_ in rows for each in types], np.uint8),
            masked_sequence=np.array([row for row, _ in masked], np.int64),
            masked_positions=np.array([place for _, place in masked], np.int64),
            masked_ids=np.array([word for *_, words, _ in rows for word in words], np.int64),
            next_sentence=np.array([kind for *_, kind in rows], np.int64),
        )


def check(batch, order, epoch=0):
    """A batch holds these rows in this order."""
    rows = [MADE[place] for place in order]
    assert len(batch) == len(rows)
    assert batch.ids.tolist() == [each + epoch for ids, *_ in rows for each in ids]
    assert batch.types.tolist() == [each for _, types, *_ in rows for each in types]
    assert batch.layout.lengths().tolist() == [len(ids) for ids, *_ in rows]
    assert batch.masked.tolist() == [
        [row, place] for row, (_, _, places, *_) in enumerate(rows) for place in places
    ]
    assert batch.mlm_labels.tolist() == [word for *_, words, _ in rows for word in words]
    assert batch.nsp_labels.tolist() == [kind if kind >= 0 else IGNORE for *_, kind in rows]
    for values in (batch.ids, batch.types, batch.masked, batch.mlm_labels, batch.nsp_labels):
        assert values.dtype is torch.int64


def test_a_batch_is_its_rows_shortest_first():
    source = Made()
    check(Instances(source).batch(np.array([2, 0, 3, 1]), 0, CPU), [3, 1, 0, 2])
    assert source.asked == [([3, 1, 0, 2], 0)]  # of equal length: as they were asked for


def test_the_masked_tokens_are_found_in_the_packed_batch():
    batch = Instances(Made()).batch(np.array([0, 2]), 0, CPU)
    places = batch.layout.rows(batch.masked)
    assert batch.ids[places].tolist() == [11, 13, 16, 17, 18]


def test_the_epoch_reaches_the_source():
    check(Instances(Made()).batch(np.array([1, 2]), 5, CPU), [1, 2], epoch=5)


def test_damaged_instances_are_missing():
    check(Instances(Made({0, 3})).batch(np.arange(4), 0, CPU), [1, 2])
    check(Instances(Made({1})).batch(np.array([2, 1]), 0, CPU), [2])


def test_a_batch_of_nothing_has_nothing_to_predict():
    batch = Instances(Made({0, 1, 2, 3})).batch(np.arange(4), 0, CPU)
    assert len(batch) == 1
    assert batch.layout.lengths().tolist() == [1]
    assert batch.ids.shape == batch.types.shape == (1,)
    assert batch.masked.shape == (0, 2)
    assert batch.mlm_labels.shape == (0,)
    assert batch.nsp_labels.tolist() == [IGNORE]


def test_the_first_instances_can_be_a_set():
    part = Instances(Made(), Made.lengths[:2], {"vocabulary": "abc"})
    assert part.lengths.tolist() == [6, 3]
    assert part.identity == {"vocabulary": "abc", "examples": 2}
    check(part.batch(np.array([0, 1]), 0, CPU), [1, 0])
    assert part.masked_share() == 3 / 9
    assert Instances(Made()).masked_share() == 6 / 19
