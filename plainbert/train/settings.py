"""The settings of one training run; every field has a flag of the same meaning."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from plainbert.train.optimization import Optimization


@dataclass(frozen=True)
class Settings(Optimization):
    """How to train.

    Attributes:
        epochs: passes over the training set.
        first_step: number of the first step: those before it belong to an earlier phase, and
            order and schedule begin here.
        start_step: resume from the checkpoint of this step, or, without resuming, begin here with
            the weights at hand; None: the newest, or the first step.
        use_avg_len: whether ``batch_size`` counts tokens.
        dtype: of the encoder's matrix products; weights are float32 whatever it is.
        seed: of the order of the data, and of dropout.
        save_steps: write a checkpoint every so many steps; None: after every epoch.
        keep_checkpoints: older checkpoints to keep, beside the best and the last one.
        async_checkpoints: write checkpoints while training goes on.
        log_interval: steps between two lines of the log.
    """

    epochs: int = 3
    first_step: int = 0
    start_step: int | None = None
    use_avg_len: bool = False
    dtype: torch.dtype = torch.float32
    seed: int = 2
    save_steps: int | None = None
    keep_checkpoints: int = 0
    async_checkpoints: bool = False
    log_interval: int = 10

    def per_step(self, ranks: int) -> int:
        """Examples, or tokens, of one optimizer step on so many ranks."""
        return self.batch_size * self.accumulate * ranks
