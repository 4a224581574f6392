"""The settings of run_pretraining.py and run_pretraining_hvd.py. Free of torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Self

from plainbert.cli.program import command
from plainbert.recipes.shared.settings import (
    ModelFlags,
    RunFlags,
    SamplingVocabularyFlags,
    StrategyFlags,
)
from plainbert.recipes.shared.training_settings import LoopFlags
from plainbert.tasks.pretraining.flags import (
    BACKENDS,
    GluonNLPFlags,
    InstancesFlags,
    MaskingFlags,
    PretrainingFlags,
)


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(
    StrategyFlags,
    RunFlags,
    LoopFlags,
    MaskingFlags,
    ModelFlags,
    SamplingVocabularyFlags,
    GluonNLPFlags,
    PretrainingFlags,
    InstancesFlags,
):
    """The flags, with their documented defaults."""

    COMMAND: ClassVar = "run_pretraining"
    MAIN: ClassVar = {
        "required: text or shards, to train on or to be scored on": ("data", "data_eval"),
        "what people set": (
            "raw", "model_dir", "bert_model", "no_nsp", "max_len", "training_steps", "batch_size",
            "lr", "warmup_ratio", "optimizer", "gpu", "seed",
        ),
        "output": ("output_dir", "save_steps", "log_interval", "resume"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "data": "required, to train",
        "data_eval": "none is scored",
        "model_dir": "random weights, of the size that --bert_model names",
        "bert_dataset": "the vocabulary of the shards",
    }

    max_len: int = 512
    num_workers: int | None = None
    max_eval_samples: int | None = None
    training_steps: int | None = 20
    batch_size: int = 8
    lr: float = 1e-4
    warmup_ratio: float = 0.01
    output_dir: str | None = "./ckpt_dir"
    save_steps: int | None = 25000
    keep_checkpoints: int | None = 3
    log_interval: int = 250

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on."""
        return bool(self.data) or self.dummy_data_len is not None

    @property
    def begins_run(self) -> bool:
        return self.trains and not self.start_step

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("cased", "do_lower_case")
        self.exclusive("batch_size", "total_batch_size")
        self.exclusive("use_avg_len", "total_batch_size")
        self.exclusive("pretrained", "model_dir")
        self.exclusive("dummy_data_len", "synthetic_data")
        self.exclusive("kvstore", "dist_strategy")
        made_up = self.dummy_data_len is not None or self.synthetic_data
        if not (made_up or self.data or self.data_eval):
            self.refuse(
                "nothing to do: give --data to train, --data_eval to evaluate, or both. "
                f"{command('create_pretraining_data')} makes shards; text files need --raw."
            )
        self.needs("eval_use_npz", "raw")
        self.needs("split_sentences", "raw")
        self.needs("phase1_num_steps", "phase2")
        if self.phase2 and self.phase1_num_steps is None:
            self.refuse("--phase2 needs --phase1_num_steps, the steps of the first phase.")
        if self.phase2 and not self.resume and not self.start_step:
            self.refuse(
                "--phase2 goes on from the first phase: name its last checkpoint with "
                f"--start_step {self.phase1_num_steps}."
            )
        if self.kvstore is not None and "dist_strategy" not in self.typed:
            strategy = BACKENDS[self.kvstore]
            settings = dataclasses.replace(settings, dist_strategy=strategy).noted(
                f"--kvstore {self.kvstore} is --dist_strategy {strategy} here, over "
                "torch.distributed."
            )
        return dataclasses.replace(
            settings,
            dummy_data_len=self.max_len if self.synthetic_data else self.dummy_data_len,
            eval_steps=self.save_steps if self.eval_steps is None else self.eval_steps,
            start_step=self.start_step or None,  # GluonNLP's 0 is a new run
        )
