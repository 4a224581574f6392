"""How weights move in training: what the flags of a recipe and the loop have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Optimization:
    """Steps, optimizer and schedule, with their documented defaults.

    Attributes:
        training_steps: optimizer steps; overrides ``epochs``.
        batch_size: examples of one forward pass on one rank, or its tokens.
        accumulate: forward passes summed into one optimizer step.
        group_by_length: whether the examples of a step have similar lengths, as
            :class:`plainbert.batching.sampler.Sampler` groups them.
        optimizer: one of :data:`plainbert.train.names.OPTIMIZERS`.
        lr: peak learning rate.
        epsilon: added to the root of the second moment.
        weight_decay: per step and unit of learning rate; biases and norms have none.
        max_grad_norm: gradients are scaled down to this global norm; 0 does not clip.
        schedule: one of :data:`plainbert.train.names.SCHEDULES`.
        warmup_ratio: share of the steps in which the rate rises, in [0, 1).
        end_lr: learning rate at which the schedule ends.
        schedule_power: exponent of the polynomial schedule.
        schedule_cycles: falls of the polynomial schedule, or waves of the cosine one; None: 1 fall,
            half a wave.
        eval_steps: evaluate every so many steps; None: after every epoch.
        early_stop: stop after so many evaluations without a better score; None: never.
    """

    training_steps: int | None = None
    batch_size: int = 32
    accumulate: int = 1
    group_by_length: bool = True
    optimizer: str = "bertadam"
    lr: float = 5e-5
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    schedule: str = "linear"
    warmup_ratio: float = 0.1
    end_lr: float = 0.0
    schedule_power: float = 1.0
    schedule_cycles: float | None = None
    eval_steps: int | None = None
    early_stop: int | None = None
