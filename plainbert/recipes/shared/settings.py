"""Groups of flags that several recipes have, as classes to build their settings from.

Help, spellings and kinds of values stand in :mod:`plainbert.recipes.shared.flag_tables`. A recipe
inherits the groups it has, and writes a field again where its default differs. Help lists the last
base first. Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from plainbert.cli.settings import Flags
from plainbert.errors import PlainBertError, UsageError
from plainbert.recipes.shared import before, held_runs
from plainbert.recipes.shared.flag_tables import helped
from plainbert.tasks.classification.flags import TaskFlags


@dataclass(frozen=True, kw_only=True)
class CommonFlags(Flags):
    """What every recipe has that opens a model or writes a run."""

    verbose: bool = False

    def checked(self) -> Self:
        self.exclusive("gpu", "gpus")
        self.exclusive("resume", "overwrite")
        self.exclusive("only_inference", "export")  # exports what was trained
        self.exclusive("model_dir", "model_parameters", "pretrained_bert_parameters")
        self.exclusive("file", "sentences")
        return self


# Where to compute


@dataclass(frozen=True, kw_only=True)
class ThreadsFlags(CommonFlags):
    """How many threads compute."""

    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceFlags(ThreadsFlags):
    """Where to compute, and in which numbers.

    Attributes:
        dtype: "auto" for training, "float32" where results are compared.
    """

    SEVERAL: ClassVar[bool] = False  # whether the recipe runs as several processes

    gpu: int | None = None
    gpus: tuple[int, ...] | None = None
    dtype: str = "float32"
    threads: int | None = None
    num_local_ranks: int = 1
    local_rank: int | None = None

    def checked(self) -> Self:
        settings = super().checked()
        if not self.SEVERAL and (self.num_local_ranks > 1 or self.local_rank not in (None, 0, -1)):
            self.refuse(
                "this script runs in one process. Leave --num_local_ranks and --local_rank out."
            )
        return settings

    def problems(self) -> Iterator[PlainBertError]:
        from plainbert.infer import gpus

        yield from super().problems()
        yield from before.raised(lambda: gpus.check(self.gpus[0] if self.gpus else self.gpu))


@dataclass(frozen=True, kw_only=True)
class ProcessFlags(DeviceFlags):
    """How several processes work together."""

    SEVERAL: ClassVar[bool] = True

    dist_backend: str = "auto"
    dist_timeout: float = 600.0
    max_restarts: int = 0

    @property
    def local_ranks(self) -> int:
        """Processes of the run on this machine."""
        return max(self.num_local_ranks, len(self.gpus or ()))


@dataclass(frozen=True, kw_only=True)
class StrategyFlags(ProcessFlags):
    """What processes that train share."""

    dtype: str = "auto"
    dist_strategy: str = "ddp"
    grad_compression: str = "none"
    async_checkpoints: bool = False


# Where results go


@dataclass(frozen=True, kw_only=True)
class OutputFlags(CommonFlags):
    """A file for the results."""

    output: str | None = None
    overwrite: bool = helped("overwrite", "Replace the file of --output, if it exists.", False)

    def check_output(self, forms: tuple[str, ...]) -> None:
        """Refuse an ``--output`` of another form, or one that exists.

        Args:
            forms: suffixes that it may have.
        """
        self._check_output(forms, self.overwrite)

    def _check_output(self, forms: tuple[str, ...], may_exist: bool) -> None:
        if self.output is None:
            return
        if Path(self.output).suffix not in forms:
            endings = " or ".join(forms)
            self.refuse(f"--output {self.output}: a name ending in {endings} is expected.")
        if Path(self.output).exists() and not may_exist:
            self.refuse(f"--output {self.output} exists. Add --overwrite, or choose another.")


@dataclass(frozen=True, kw_only=True)
class GrowingOutputFlags(OutputFlags):
    """A file for results that are worked out block by block."""

    resume: bool = False

    def check_output(self, forms: tuple[str, ...]) -> None:
        """Refuse an ``--output`` of another form, or one that exists and is not gone on with.

        Args:
            forms: suffixes that it may have.
        """
        self.needs("resume", "output")
        # The file may be an older one, which the run that was interrupted was to replace.
        self._check_output(forms, self.overwrite or self.resume)


@dataclass(frozen=True, kw_only=True)
class FolderFlags(CommonFlags):
    """The folder of a run."""

    output_dir: str | None = "./output_dir"
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class SeedFlags(CommonFlags):
    """Random numbers; one default for all commands, which GluonNLP gave its classifier."""

    seed: int = 2


@dataclass(frozen=True, kw_only=True)
class RunFlags(SeedFlags, FolderFlags):
    """The folder, log and seed of a recipe that trains."""

    resume: bool = False
    save_steps: int | None = None
    keep_checkpoints: int | None = None
    log_interval: int = 10

    @property
    def begins_run(self) -> bool:
        """Whether the folder becomes, or goes on to be, that of a training."""
        return True

    def problems(self) -> Iterator[PlainBertError]:
        yield from super().problems()
        if self.begins_run and self.output_dir is not None:
            folder = Path(self.output_dir)
            yield from held_runs.folder_problems(folder, self.resume, self.overwrite)


# Which texts


@dataclass(frozen=True, kw_only=True)
class TextsFlags(CommonFlags):
    """Texts of the command line or of a file."""

    file: str | None = None
    sentences: tuple[str, ...] | None = None
    text_columns: tuple[str, ...] | None = None

    def problems(self) -> Iterator[PlainBertError]:
        from plainbert.tasks.classification.table import iter_texts

        yield from super().problems()
        if self.file is not None and Path(self.file).is_file():
            rows = iter_texts(self.file, self.text_columns)
            yield from before.raised(lambda: next(rows, None))

    def check_texts(self) -> None:
        """Refuse a command line without texts."""
        if self.file is None and self.sentences is None:
            self.refuse(
                "no texts: give --sentences TEXT ..., or --file FILE (- is standard input)."
            )
        self.needs("text_columns", "file")


@dataclass(frozen=True, kw_only=True)
class LabelledFlags(TaskFlags, CommonFlags):
    """Labelled rows to score a model on."""

    data_dir: str | None = None
    dev_file: str | None = helped(
        "dev_file", "Rows, tagged sentences or questions to score an exported model on.", None
    )
    text_columns: tuple[str, ...] | None = None
    max_eval_samples: int | None = None
    num_workers: int = 0


# Which model and vocabulary


@dataclass(frozen=True, kw_only=True)
class CheckpointFlags(CommonFlags):
    """What a checkpoint may not say about itself."""

    bert_dataset: str | None = None
    do_lower_case: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFlags(CheckpointFlags):
    """A model: its folder, or the size and data set of a published one."""

    model_dir: str | None = None
    bert_model: str = "bert_12_768_12"
    bert_dataset: str = "book_corpus_wiki_en_uncased"

    @property
    def weights(self) -> str | None:
        """The folder, file or name that the flags ask for; None where ``bert_model`` does."""
        return self.model_dir


@dataclass(frozen=True, kw_only=True)
class TrainedModelFlags(ModelFlags):
    """A model that may be a whole fine-tuned one."""

    model_parameters: str | None = None

    @property
    def weights(self) -> str | None:
        return self.model_parameters if self.model_dir is None else self.model_dir


@dataclass(frozen=True, kw_only=True)
class VocabularyFlags(CheckpointFlags):
    """A vocabulary, and how text is cut by it."""

    model_dir: str | None = None
    vocab: str | None = None
    sentencepiece: str | None = None

    @property
    def lower(self) -> bool | None:
        """Whether to lower-case, as far as the flags say it."""
        return self.do_lower_case

    @property
    def sampling(self) -> tuple[int, float, int]:
        """``--sp_nbest``, ``--sp_alpha`` and the seed of drawn segmentations."""
        return 0, 1.0, 0


@dataclass(frozen=True, kw_only=True)
class SamplingVocabularyFlags(VocabularyFlags, SeedFlags):
    """A vocabulary for pre-training, whose segmentations may be drawn."""

    cased: bool = False
    sp_nbest: int = 0
    sp_alpha: float = 1.0

    @property
    def lower(self) -> bool | None:
        if self.cased:
            if self.do_lower_case:
                raise UsageError("--cased and --do_lower_case true exclude each other: give one.")
            return False
        return self.do_lower_case

    @property
    def sampling(self) -> tuple[int, float, int]:
        return self.sp_nbest, self.sp_alpha, self.seed
