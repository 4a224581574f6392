"""Groups of flags of the recipes that train. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plainbert.recipes.shared.settings import (
    CommonFlags,
    RunFlags,
    StrategyFlags,
    TrainedModelFlags,
)
from plainbert.train.optimization import Optimization


@dataclass(frozen=True, kw_only=True)
class LoopFlags(Optimization, CommonFlags):
    """The training loop, of fine-tuning and pre-training."""

    dev_batch_size: int | None = None
    dropout: float | None = None
    attention_dropout: float | None = None

    @property
    def config_changes(self) -> dict[str, Any]:
        """Fields of the model's config that the flags overrule."""
        changes = {
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.attention_dropout,
        }
        return {name: value for name, value in changes.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class FineTuningFlags(StrategyFlags, RunFlags, LoopFlags, TrainedModelFlags):
    """A fine-tune recipe: model, training, run folder, device, processes."""

    pretrained_bert_parameters: str | None = None
    epochs: int = 3
    only_inference: bool = False
    round_to: int | None = None
    num_workers: int = 0
    max_train_samples: int | None = None
    max_eval_samples: int | None = None
    export: str | None = None
    max_len: int = 128

    @property
    def begins_run(self) -> bool:
        return not self.only_inference

    @property
    def weights(self) -> str | None:
        return super().weights or self.pretrained_bert_parameters
