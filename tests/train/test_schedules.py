"""Schedules against the published formulas, written out."""

import math

import pytest

from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.names import SCHEDULES
from plainbert.train.schedules import schedule


def gluonnlp(step, total, ratio):
    """finetune_classifier.py, with the peak at 1."""
    warmup = int(total * ratio)
    if step < warmup:
        return step / warmup
    return 1 - (step - warmup) * 1 / (total - warmup)


def google(step, total, warmup):
    """optimization.py: polynomial_decay(power=1, cycle=False), replaced during warm-up."""
    return step / warmup if step < warmup else 1 - min(step, total) / total


def tensorflow_polynomial(step, total, cycles, power, end):
    """The formula of the documentation of tf.train.polynomial_decay with cycle=True."""
    decay_steps = total / cycles
    decay_steps = decay_steps * (math.ceil(step / decay_steps) if step else 1)
    return (1 - end) * (1 - step / decay_steps) ** power + end


@pytest.mark.parametrize("total", [7, 40])
def test_linear_is_gluonnlps(total):
    share = schedule("linear", total, 0.1)
    for step in range(total + 1):
        assert share(step) == pytest.approx(gluonnlp(step, total, 0.1), abs=1e-12)


def test_google_jumps_down_when_warm_up_ends():
    share = schedule("google", 100, 0.1)
    assert [share(step) for step in range(101)] == pytest.approx(
        [google(step, 100, 10) for step in range(101)], abs=1e-12
    )
    assert share(9) == 0.9
    assert share(10) == 0.9  # the line from step 0, not from the peak


@pytest.mark.parametrize(
    ("cycles", "power", "end"), [(1, 1, 0), (1, 2, 0.1), (4, 1, 0), (3, 0.5, 0.2)]
)
def test_polynomial_is_tensorflows(cycles, power, end):
    share = schedule("polynomial", 60, 0.1, end=end, power=power, cycles=cycles)
    for step in range(6, 61):
        want = tensorflow_polynomial(step, 60, cycles, power, end)
        assert share(step) == pytest.approx(want, abs=1e-12), step


def test_later_peaks_of_a_cycled_polynomial_are_lower():
    share = schedule("polynomial", 100, 0, cycles=2)
    assert share(0) == 1
    assert share(50) == 0
    assert share(51) == pytest.approx(0.49)


def test_cosine_is_transformers():
    import torch
    import transformers

    for waves in (0.5, 1.5):
        share = schedule("cosine", 30, 0.2, cycles=waves)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        theirs = transformers.get_cosine_schedule_with_warmup(optimizer, 6, 30, waves)
        for step in range(30):
            assert share(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
            optimizer.step()
            theirs.step()


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_schedule_starts_at_zero_and_stays_within_the_peak(name):
    share = schedule(name, 50, 0.1, end=0.05)
    values = [share(step) for step in range(60)]
    assert values[0] == 0
    assert max(values) <= 1
    assert min(values[5:]) >= 0
    if name != "constant":
        assert values[50] == pytest.approx(0.05)
        assert values[59] == pytest.approx(0.05)


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'linear'"):
        schedule("liner", 10)
    with pytest.raises(UsageError, match="at least one optimizer step"):
        schedule("linear", 0)
    with pytest.raises(UsageError, match="warmup_ratio=1"):
        schedule("linear", 10, 1.0)
