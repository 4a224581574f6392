"""The flags of pytorch-pretrained-BERT's (and Google's) ``run_squad.py``, brought to ours.

Free of torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from plainbert.cli.parser import Parser
from plainbert.cli.settings import FlagError
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.flags import refuse_quantization
from plainbert.recipes.shared.settings import CommonFlags
from plainbert.recipes.shared.training_settings import FineTuningFlags
from plainbert.tasks.squad.flags import OldFlags

FORM = "SQuAD's JSON, .gz and .xz too"


@dataclass(frozen=True, kw_only=True)
class QuestionFilesFlags(CommonFlags):
    """Questions to learn from, to choose the best model by, and to answer."""

    data_dir: str | None = helped(
        "data_dir",
        "Folder that holds train-v1.1.json, dev-v1.1.json (or -v2.0); else $SQUAD_DIR, ./squad, "
        "~/.mxnet/datasets/squad.",
        None,
    )
    train_file: str | None = helped(
        "train_file", f"Questions to learn from, with their answers: {FORM}.", None
    )
    dev_file: str | None = helped(
        "dev_file",
        "Questions with answers that choose the best model and the threshold of SQuAD 2.0: "
        f"{FORM}.",
        None,
    )
    predict_file: str | None = helped(
        "predict_file",
        f"Questions to answer at the end; scored if they have answers: {FORM}.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class RunSquadFlags(FineTuningFlags, OldFlags):
    """A fine-tune recipe that takes the flags of ``run_squad.py``, too."""

    def translated(self) -> Self:
        """These settings with our flags set by those of run_squad.py."""
        self.exclusive("train_batch_size", "batch_size")
        self.exclusive("gradient_accumulation_steps", "accumulate")
        self.exclusive("num_train_epochs", "epochs")
        self.exclusive("warmup_proportion", "warmup_ratio")
        accumulate, batch_size, epochs = self.accumulate, self.batch_size, self.epochs
        if self.gradient_accumulation_steps is not None:
            accumulate = self.gradient_accumulation_steps
        if self.train_batch_size is not None:
            batch_size, rest = divmod(self.train_batch_size, accumulate)
            if rest:
                raise FlagError(
                    f"--train_batch_size {self.train_batch_size} is that of a whole step: it must "
                    f"be a multiple of the {accumulate} forward passes of "
                    "--gradient_accumulation_steps."
                )
        if self.num_train_epochs is not None:
            epochs = int(self.num_train_epochs)
            if self.num_train_epochs != epochs:
                raise FlagError(
                    f"--num_train_epochs {self.num_train_epochs:g}: whole epochs are trained; "
                    "--training_steps stops anywhere."
                )
        warmup = self.warmup_ratio if self.warmup_proportion is None else self.warmup_proportion
        return dataclasses.replace(
            self,
            accumulate=accumulate,
            batch_size=batch_size,
            epochs=epochs,
            warmup_ratio=warmup,
            only_inference=self.only_inference or (self.do_predict and not self.do_train),
        )


def refuse(parser: Parser) -> None:
    """Let the flags of run_squad.py that have no place here say what has."""
    refuse_quantization(parser, "predict_squad")
    parser.refuse(
        "--bert_config_file",
        "--vocab_file",
        "--init_checkpoint",
        reason="--model_dir takes the folder that holds all three.",
    )
    parser.refuse("--no_cuda", reason="--gpus '' computes on the CPU.")
    parser.refuse(
        "--fp16",
        "--loss_scale",
        "--optimize_on_cpu",
        reason="--dtype float16 or bfloat16 trains in 16 bits; float16 scales its loss by itself.",
    )
    parser.refuse("--save_checkpoints_steps", reason="--save_steps is its name here.")
    parser.refuse("--iterations_per_loop", reason="it was for TPUs.")
    parser.refuse("--verbose_logging", reason="--verbose is its name here.")
