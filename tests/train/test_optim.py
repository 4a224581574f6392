"""Each optimizer for 10 steps against its formula, written slowly, and against torch's own."""

import numpy as np
import pytest
import torch

from plainbert.errors import CheckpointError, UnknownNameError
from plainbert.train.names import OPTIMIZERS
from plainbert.train.optim import Optimizer, decays

SHAPES = {"dense.weight": (5, 3), "dense.bias": (5,), "LayerNorm.weight": (3,)}
RATES = [0.0, 0.01, 0.1, 0.05, 0.02, 0.1, 0.3, 0.001, 0.04, 0.02]


def values(seed):
    generator = np.random.default_rng(seed)
    start = {name: generator.normal(size=shape) for name, shape in SHAPES.items()}
    grads = [{n: generator.normal(size=s) for n, s in SHAPES.items()} for _ in RATES]
    return start, grads


def run(name, dtype, divisor=1.0, **options):
    start, grads = values(3)
    weights = {n: torch.nn.Parameter(torch.tensor(v, dtype=dtype)) for n, v in start.items()}
    optimizer = Optimizer(name, weights.items(), **options)
    for rate, step in zip(RATES, grads, strict=True):
        for key, weight in weights.items():
            weight.grad = torch.tensor(step[key], dtype=dtype)
        optimizer.step(rate, divisor)
        assert all(weight.grad is None for weight in weights.values())
    return {key: weight.detach().numpy() for key, weight in weights.items()}


def by_the_formula(name, wd=0.01, eps=1e-6, b1=0.9, b2=0.999, divisor=1.0):
    weights, grads = values(3)
    m = {key: np.zeros(shape) for key, shape in SHAPES.items()}
    v = {key: np.zeros(shape) for key, shape in SHAPES.items()}
    for t, (lr, step) in enumerate(zip(RATES, grads, strict=True), start=1):
        for key in SHAPES:
            decay = wd if key == "dense.weight" else 0.0
            w, g = weights[key], step[key] / divisor
            if name in ("adam", "sgd"):
                g = g + decay * w
            m[key] = b1 * m[key] + (1 - b1) * g
            v[key] = b2 * v[key] + (1 - b2) * g * g
            mean, root = m[key] / (1 - b1**t), np.sqrt(v[key] / (1 - b2**t))
            if name == "bertadam":
                w = w - lr * (m[key] / (np.sqrt(v[key]) + eps) + decay * w)
            elif name == "adamw":
                w = w - lr * (mean / (root + eps) + decay * w)
            elif name == "adam":
                w = w - lr * mean / (root + eps)
            elif name == "sgd":
                w = w - lr * g
            else:
                update = mean / (root + eps) + decay * w
                w = w - lr * np.linalg.norm(w) / np.linalg.norm(update) * update
            weights[key] = w
    return weights


@pytest.mark.parametrize("name", list(OPTIMIZERS))
@pytest.mark.parametrize("divisor", [1.0, 3.7])
def test_ten_steps_are_the_formula(name, divisor):
    ours = run(name, torch.float64, divisor)
    want = by_the_formula(name, divisor=divisor)
    for key in SHAPES:
        np.testing.assert_allclose(ours[key], want[key], rtol=0, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
@pytest.mark.parametrize("divisor", [1.0, 3.7])
def test_float32_takes_the_same_path_within_its_rounding(name, divisor):
    ours = run(name, torch.float32, divisor)
    want = by_the_formula(name, divisor=divisor)
    for key in SHAPES:
        np.testing.assert_allclose(ours[key], want[key], rtol=0, atol=5e-6, err_msg=key)


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_ten_steps_are_torchs_own(name, kind):
    start, grads = values(3)
    weights = {n: torch.nn.Parameter(torch.tensor(v)) for n, v in start.items()}
    options = {} if name == "sgd" else {"eps": 1e-6, "foreach": False}
    theirs = getattr(torch.optim, kind)(
        [
            {"params": [weights["dense.weight"]], "weight_decay": 0.01},
            {"params": [weights["dense.bias"], weights["LayerNorm.weight"]], "weight_decay": 0.0},
        ],
        lr=0.0,
        **options,
    )
    for rate, step in zip(RATES, grads, strict=True):
        for group in theirs.param_groups:
            group["lr"] = rate
        for key, weight in weights.items():
            weight.grad = torch.tensor(step[key])
        theirs.step()
    ours = run(name, torch.float64)
    for key, weight in weights.items():
        np.testing.assert_allclose(ours[key], weight.detach().numpy(), rtol=0, atol=1e-12)


def test_bertadam_still_corrects_nothing_after_many_steps():
    """The trick of a huge step count must not wear off."""
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = Optimizer("bertadam", [("weight", weight)], weight_decay=0.0)
    for _ in range(100):
        weight.grad = torch.ones(4)
        optimizer.step(0.0)
    state = optimizer.state()
    assert float(state["step.weight"]) == 1e9
    before = weight.detach().clone()
    weight.grad = torch.ones(4)
    optimizer.step(0.1)
    m, v = 1 - 0.9**101, 1 - 0.999**101
    torch.testing.assert_close(before - weight.detach(), torch.full((4,), 0.1 * m / v**0.5))


def test_decay_spares_biases_and_norms():
    assert decays(torch.zeros(2, 2))
    assert not decays(torch.zeros(2))


def test_the_state_goes_round_and_another_models_is_refused():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    first = Optimizer("adamw", [("a", weight)])
    weight.grad = torch.full((2, 2), 0.5)
    first.step(0.1)
    second = Optimizer("adamw", [("a", torch.nn.Parameter(torch.ones(2, 2)))])
    second.load({key: each.clone() for key, each in first.state().items()})
    for key, each in first.state().items():
        assert torch.equal(each, second.state()[key])
    with pytest.raises(CheckpointError, match="does not belong"):
        Optimizer("adamw", [("b", weight)]).load(first.state())
    with pytest.raises(CheckpointError, match="does not belong"):
        Optimizer("sgd", [("a", weight)]).load(first.state())


def test_an_unknown_name_is_an_error():
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        Optimizer("adamm", [])
