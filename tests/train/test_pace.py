"""``plainbert.train.pace``: how long a run takes."""

from __future__ import annotations

import pytest

from plainbert.train.pace import Pace, in_words


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_estimate_after_the_first_steps() -> None:
    clock = Clock()
    pace = Pace(steps=100, tokens=50, clock=clock)
    said = []
    for seconds, tokens in ((9, 50), (2, 100), (1, 50), (1, 50)):  # the first one is slow
        clock.now += seconds
        said.append(pace.count(tokens))
    assert said == [False, False, True, False]  # two seconds are too few, three are enough
    # 200 tokens in 4 seconds: a step of 50 tokens takes one, and 96 are left.
    assert pace.left() == pytest.approx(96)


def test_short_steps_are_estimated_after_six() -> None:
    clock = Clock()
    pace = Pace(steps=10, tokens=1, clock=clock)
    assert pace.left() is None
    said = []
    for _ in range(6):
        clock.now += 0.1
        said.append(pace.count(1))
    assert said == [False] * 5 + [True]
    assert pace.left() == pytest.approx(0.4)


def test_an_evaluation_is_no_step() -> None:
    clock = Clock()
    pace = Pace(steps=3, tokens=1, clock=clock)
    clock.now += 5
    pace.count(1)
    clock.now += 1000
    pace.restart()
    clock.now += 5
    pace.count(1)
    assert pace.left() == pytest.approx(5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "10 s"), (10, "10 s"), (11, "20 s"), (90, "90 s"), (91, "2 min"), (700, "12 min"),
     (5300, "88 min"), (7500, "2 h 5 min"), (7200, "2 h"), (100_000, "27 h")],
)  # fmt: skip
def test_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
