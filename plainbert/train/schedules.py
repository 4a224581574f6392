"""Learning rate at each optimizer step, as a share of the peak. Plain arithmetic, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.names import SCHEDULES

Schedule = Callable[[int], float]


def schedule(
    name: str,
    total_steps: int,
    warmup_ratio: float = 0.1,
    end: float = 0.0,
    power: float = 1.0,
    cycles: float | None = None,
) -> Schedule:
    """A function from the number of updates already applied to a share of the peak rate.

    Every schedule first rises from 0 to 1 over ``int(total_steps * warmup_ratio)`` steps, so the
    very first update of a run with warm-up changes nothing.

    Args:
        name: one of :data:`plainbert.train.names.SCHEDULES`.
        total_steps: length of the run in optimizer updates, not batches, not epochs.
        warmup_ratio: share of the run spent rising, in [0, 1).
        end: share of the peak to end at.
        power: exponent of "polynomial".
        cycles: "polynomial": falls that the run is cut into, 1 when not given; "cosine": waves,
            a half when not given.

    Raises:
        UnknownNameError: there is no such schedule.
        UsageError: ``total_steps`` is not positive, or ``warmup_ratio`` is outside [0, 1).

    Source:
        linear: GluonNLP v0.7 scripts/bert/finetune_classifier.py, train(), without its rounding
        error below 0. google: google-research/bert, optimization.py, create_optimizer. polynomial:
        TensorFlow 1.14 tf.train.polynomial_decay(cycle=True) over ``total_steps / cycles`` as in
        BERT-Classifier, where the peaks after the first are lower. cosine: transformers,
        get_cosine_schedule_with_warmup.

    Example:
        >>> [schedule("linear", 10, 0.2)(step) for step in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        >>> [schedule("google", 10, 0.2)(step) for step in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 0.8, 0.4, 0.0]
    """
    if name not in SCHEDULES:
        raise UnknownNameError("schedule", name, SCHEDULES)
    if total_steps < 1:
        raise UsageError(f"total_steps={total_steps}: a run needs at least one optimizer step.")
    if not 0 <= warmup_ratio < 1:
        raise UsageError(f"warmup_ratio={warmup_ratio}: a share of the run, so in [0, 1).")
    warmup = int(total_steps * warmup_ratio)
    falling = total_steps - warmup

    def decay(step: int) -> float:
        """From 1 down to 0, after warm-up."""
        past = min(1.0, (step - warmup) / falling)
        if name == "linear":
            return 1 - past
        if name == "cosine":
            waves = 0.5 if cycles is None else cycles
            return max(0.0, 0.5 * (1 + math.cos(2 * math.pi * waves * past)))
        if name == "google":
            return max(0.0, 1 - step / total_steps)
        length = total_steps / (cycles or 1)  # TensorFlow's decay_steps
        length *= max(1, math.ceil(step / length))
        return max(0.0, 1 - step / length) ** power

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 1.0 if name == "constant" else end + (1 - end) * decay(min(step, total_steps))

    return share
