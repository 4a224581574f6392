"""Flags of the older systems' training scripts, brought to ours.

A batch was there what all GPUs together take in a step: of BERT-Classifier and of
pytorch-pretrained-BERT, which divides it by its forward passes, too. bert-multi-gpu alone, known by
its ``--num_gpu_cores``, gives it for each GPU. Free of torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from plainbert.cli import values
from plainbert.cli.settings import FlagError, accepted, option
from plainbert.recipes.shared.training_settings import FineTuningFlags

GROUP = "older systems"
_PACKED = "evaluation packs batches by tokens, and the scores are the same for any size."


def _number(type: Any, help: str) -> Any:
    return option(None, type, help, group=GROUP, metavar="N")


def _switch(help: str, spellings: tuple[str, ...] = ()) -> Any:
    """A flag that may stand alone, or with true or false."""
    return option(
        None, values.true_or_false, help, spellings, GROUP, "{true,false}", nargs="?", const=True
    )


@dataclass(frozen=True, kw_only=True)
class OlderTrainingFlags(FineTuningFlags):
    """A fine-tune recipe that takes the flags of the older systems, too."""

    train_batch_size: int | None = _number(
        values.positive_int,
        "Examples of a step over all GPUs, shared out by --gpus, --num_local_ranks and "
        "--accumulate; those of each GPU with --num_gpu_cores.",
    )
    gradient_accumulation_steps: int | None = _number(
        values.positive_int, "As --accumulate; the examples of a step stay as many."
    )
    num_train_epochs: float | None = _number(values.positive, "As --epochs.")
    warmup_proportion: float | None = _number(values.share, "As --warmup_ratio.")
    save_checkpoints_steps: int | None = _number(values.positive_int, "As --save_steps.")
    do_train: bool | None = _switch("Train, which is the default; False: as --only_inference.")
    do_eval: bool | None = _switch("Without --do_train: as --only_inference.")
    do_predict: bool | None = _switch("Without --do_train: as --only_inference.")
    use_gpu: bool | None = _switch("False: as --gpus ''.", ("use_GPU",))
    no_cuda: bool = option(False, None, "As --gpus ''.", group=GROUP)
    num_gpu_cores: int | None = _number(values.whole_number, "As --gpus 0,1,... up to N - 1.")
    use_fp16: bool | None = _switch("As --dtype float16.", ("fp16",))
    save_for_serving: bool | None = _switch("As --export savedmodel.")
    eval_batch_size: int | None = accepted(values.positive_int, _PACKED, GROUP)
    predict_batch_size: int | None = accepted(values.positive_int, _PACKED, GROUP)
    iterations_per_loop: int | None = accepted(
        values.positive_int, "it told TPUs how often to report.", GROUP
    )

    def checked(self) -> Self:
        for theirs, ours in (
            ("train_batch_size", "batch_size"), ("gradient_accumulation_steps", "accumulate"),
            ("num_train_epochs", "epochs"), ("warmup_proportion", "warmup_ratio"),
            ("save_checkpoints_steps", "save_steps"), ("use_fp16", "dtype"),
            ("save_for_serving", "export"), ("use_gpu", "no_cuda"), ("no_cuda", "gpus"),
            ("num_gpu_cores", "gpus"), ("num_gpu_cores", "num_local_ranks"),
            ("num_gpu_cores", "no_cuda"),
        ):  # fmt: skip
            self.exclusive(theirs, ours)
        settings = super().checked()
        settings = dataclasses.replace(settings, **_brought(settings))
        settings = dataclasses.replace(settings, batch_size=_batch_size(settings))
        if "save_checkpoints_steps" in self.typed and "eval_steps" not in self.typed:
            settings = settings.noted(
                "--save_checkpoints_steps writes checkpoints; --eval_steps evaluates as often."
            )
        return settings


def _brought(settings: OlderTrainingFlags) -> dict[str, Any]:
    """Our flags as theirs set them, but for the batch."""
    ours: dict[str, Any] = {}
    if settings.gradient_accumulation_steps is not None:
        ours["accumulate"] = settings.gradient_accumulation_steps
    if settings.num_train_epochs is not None:
        ours["epochs"] = int(settings.num_train_epochs)
        if settings.num_train_epochs != ours["epochs"]:
            raise FlagError(
                f"--num_train_epochs {settings.num_train_epochs:g}: whole epochs are trained; "
                "--training_steps stops anywhere."
            )
    if settings.warmup_proportion is not None:
        ours["warmup_ratio"] = settings.warmup_proportion
    if settings.save_checkpoints_steps is not None:
        ours["save_steps"] = settings.save_checkpoints_steps
    if settings.no_cuda or settings.use_gpu is False:
        ours["gpus"] = ()
    elif settings.num_gpu_cores:
        ours["gpus"] = tuple(range(settings.num_gpu_cores))
    if settings.use_fp16:
        ours["dtype"] = "float16"
    if settings.save_for_serving:
        ours["export"] = "savedmodel"
    if not settings.do_train and (
        settings.do_train is False or settings.do_eval or settings.do_predict
    ):
        ours["only_inference"] = True
    return ours


def _batch_size(settings: OlderTrainingFlags) -> int:
    """Examples of one forward pass on one device.

    Processes that a launcher started count for themselves, as pytorch-pretrained-BERT's did.
    """
    total = settings.train_batch_size
    if total is None:
        if settings.gradient_accumulation_steps is None or "batch_size" in settings.typed:
            return settings.batch_size
        total = settings.batch_size  # the default was that of a step
    if settings.num_gpu_cores:
        return total
    passes = settings.local_ranks * settings.accumulate
    size, rest = divmod(total, passes)
    if rest or not size:
        raise FlagError(
            f"--train_batch_size {total} is that of a whole step: it must be a multiple of the "
            f"{passes} parts that it is cut into: {settings.accumulate} forward pass(es) on "
            f"{settings.local_ranks} device(s)."
        )
    return size
