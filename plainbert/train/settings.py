"""The settings of one training run; every field has a flag of the same meaning."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the training set.
        training_steps: optimizer steps; overrides ``epochs``.
        first_step: number of the first step: those before it belong to an earlier phase, and
            order and schedule begin here.
        start_step: resume from the checkpoint of this step, or, without resuming, begin here with
            the weights at hand; None: the newest, or the first step.
        batch_size: examples of one forward pass on one rank, or its tokens.
        use_avg_len: whether ``batch_size`` counts tokens.
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
        dtype: of the encoder's matrix products; weights are float32 whatever it is.
        seed: of the order of the data, and of dropout.
        eval_steps: evaluate every so many steps; None: after every epoch.
        save_steps: write a checkpoint every so many steps; None: after every epoch.
        keep_checkpoints: older checkpoints to keep, beside the best and the last one.
        async_checkpoints: write checkpoints while training goes on.
        early_stop: stop after so many evaluations without a better score; None: never.
        log_interval: steps between two lines of the log.
    """

    epochs: int = 3
    training_steps: int | None = None
    first_step: int = 0
    start_step: int | None = None
    batch_size: int = 32
    use_avg_len: bool = False
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
    dtype: torch.dtype = torch.float32
    seed: int = 2
    eval_steps: int | None = None
    save_steps: int | None = None
    keep_checkpoints: int = 0
    async_checkpoints: bool = False
    early_stop: int | None = None
    log_interval: int = 10

    def per_step(self, ranks: int) -> int:
        """Examples, or tokens, of one optimizer step on so many ranks."""
        return self.batch_size * self.accumulate * ranks
