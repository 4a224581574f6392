"""One step: however the global batch is cut, the weights end the same."""

from __future__ import annotations

import math
import threading

import pytest
import torch

from plainbert.batching.batch import collate
from plainbert.batching.sampler import Sampler
from plainbert.train.module_state import ModuleState
from plainbert.train.objective import Labels, Sums
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.step import PATIENCE, DivergedError, Scaler, Stepper, _seed
from tests.helpers import tiny

STEPS = 11  # the last batch of each epoch of 53 / 12 has 5 examples, cut into unequal parts
GLOBAL = 12


def stepper(model, ranks=ALONE, clip=0.1, dtype=torch.float64, name="sgd", objective=None):
    optimizer = Optimizer(name, model.named_parameters())
    modules = ModuleState(model, dtype, ranks)
    return Stepper(modules, optimizer, Scaler.of(dtype), clip, 3, objective)


def train(accumulate, ranks=ALONE, model=None, clip=0.1):
    features = tiny.data(53)
    model = (model or tiny.model(0.0, torch.float64)).train()
    sampler = Sampler(
        features.lengths, GLOBAL // accumulate // ranks.size, 5, accumulate, ranks.size
    )
    assert sampler.global_size == GLOBAL
    ours = stepper(model, ranks, clip)
    losses = []
    for step in range(STEPS):
        parts = [ids for ids in sampler.batch(step, ranks.rank) if len(ids)]
        losses.append(ours.step(step, [collate(features, ids) for ids in parts], 0.3).loss)
    return model, losses


@pytest.fixture(scope="module")
def whole():
    return train(1)


@pytest.mark.parametrize("clip", [0.1, 0.0])  # clipping alone would hide a wrong common factor
@pytest.mark.parametrize("accumulate", [2, 3, 12])
def test_micro_batches_are_one_batch(accumulate, clip):
    whole, want = train(1, clip=clip)
    model, losses = train(accumulate, clip=clip)
    assert losses == pytest.approx(want, abs=1e-9)
    assert_equal(model, whole)


class Threads(ParallelStrategy):
    """Ranks as threads that add up what they have."""

    size = 2
    barrier, shared = threading.Barrier(size), []

    def __init__(self, rank):
        self.rank = rank

    def sum(self, tensors):
        self.shared.append([each.clone() for each in tensors])
        self.barrier.wait()
        sums = [torch.stack(each).sum(0) for each in zip(*self.shared, strict=True)]
        self.barrier.wait()
        self.shared.clear()
        self.barrier.wait()
        for each, total in zip(tensors, sums, strict=True):
            each.copy_(total)

    sum_gradients = sum


def test_ranks_are_one_batch(whole):
    results = {}
    # Made here: two threads that draw from one generator would get other weights.
    models = [tiny.model(0.0, torch.float64) for _ in range(Threads.size)]

    def work(rank):
        results[rank] = train(2, Threads(rank), models[rank])

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(Threads.size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model, losses in results.values():
        assert losses == pytest.approx(whole[1], abs=1e-9)
        assert_equal(model, whole[0])


def assert_equal(model, want):
    pairs = zip(model.named_parameters(), want.parameters(), strict=True)
    for (name, got), other in pairs:
        torch.testing.assert_close(got, other, rtol=0, atol=1e-9, msg=name)


def test_one_step_is_plain_torch():
    """One sequence at a time, autograd, clipping by the formula, torch's own optimizer."""
    features, model = tiny.data(10), tiny.model(0.0, torch.float64).train()
    other = tiny.model(0.0, torch.float64).train()
    batch = collate(features, torch.arange(10).numpy())
    result = stepper(model).step(0, [batch], 0.3)

    optimizer = torch.optim.SGD(
        [
            {
                "params": [p for n, p in other.named_parameters() if p.dim() > 1],
                "weight_decay": 0.01,
            },
            {"params": [p for n, p in other.named_parameters() if p.dim() == 1]},
        ],
        lr=0.3,
    )
    total = 0.0
    for row in range(10):
        ids = torch.tensor([features.row(row)])
        logits = other.classifier(other.bert(ids, attention_mask=torch.ones_like(ids)).pooled)
        label = torch.tensor([int(features.labels[row])])
        total = total + torch.nn.functional.cross_entropy(logits, label) / 10
    total.backward()
    norm = torch.stack([each.grad.square().sum() for each in other.parameters()]).sum().sqrt()
    for each in other.parameters():
        each.grad *= 0.1 / norm
    optimizer.step()

    assert result.loss == pytest.approx(total.item(), abs=1e-12)
    assert result.norm == pytest.approx(float(norm), rel=1e-9)
    assert result.norm > 0.1  # clipping had something to do
    for got, want in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_number_format_learns(dtype):
    features, model = tiny.data(64), tiny.model(0.0).train()
    ours = stepper(model, clip=1.0, dtype=dtype, name="bertadam")
    losses = [
        ours.step(step, [collate(features, torch.arange(64).numpy())], 0.003).loss
        for step in range(40)
    ]
    assert losses[-1] < 0.25 * losses[0]
    assert next(model.parameters()).dtype is torch.float32


class Spoilt(Labels):
    """The labels' loss times some number."""

    def __init__(self, factor):
        self.factor = factor

    def sums(self, model, batch):
        return Sums([super().sums(model, batch).losses[0] * self.factor], [])


def test_steps_without_finite_gradients_are_skipped_then_given_up():
    features, model = tiny.data(8), tiny.model(0.0).train()
    batch = [collate(features, torch.arange(8).numpy())]
    ours = stepper(model, dtype=torch.float32, name="adamw")
    before = [each.detach().clone() for each in model.parameters()]
    ours.objective = Spoilt(math.inf)
    for step in range(PATIENCE - 1):
        assert not ours.step(step, batch, 0.1).applied
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(DivergedError, match=r"10 steps in a row .*lower --lr"):
        ours.step(PATIENCE - 1, batch, 0.1)


def test_a_good_step_between_starts_the_count_anew():
    features, model = tiny.data(8), tiny.model(0.0).train()
    batch = [collate(features, torch.arange(8).numpy())]
    ours = stepper(model, dtype=torch.float32, name="adamw")
    for step in range(3 * PATIENCE):
        bad = step % PATIENCE != 0
        ours.objective = Spoilt(math.nan) if bad else Labels()
        assert ours.step(step, batch, 0.001).applied is not bad


def test_the_scaler_halves_and_doubles():
    scaler = Scaler.of(torch.float16)
    scaler.update(False)
    assert scaler.scale == 32768
    for _ in range(Scaler.WINDOW):
        scaler.update(True)
    assert scaler.scale == 65536
    assert Scaler.of(torch.bfloat16).scale == 1


def test_float16_overflow_costs_steps_and_then_goes_on():
    features, model = tiny.data(16), tiny.model(0.0).train()
    batch = [collate(features, torch.arange(16).numpy())]
    ours = stepper(model, dtype=torch.float16, name="bertadam")
    ours.scaler.scale = 2.0**40
    applied = [ours.step(step, batch, 0.001).applied for step in range(60)]
    assert not applied[0]
    assert applied[-1]
    assert ours.scaler.scale < 2.0**40


def test_seeds_differ_in_every_number():
    drawn = set()
    for numbers in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]:
        _seed(*numbers)
        drawn.add(float(torch.rand(())))
        _seed(*numbers)
        drawn.add(float(torch.rand(())))
    assert len(drawn) == 5
