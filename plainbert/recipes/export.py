r"""Export a model for another runtime, and prove that it computes the same there.

    python scripts/export/export.py --model_dir runs/spam/best --format onnx --output_dir spam-onnx

    python scripts/export/export.py --model_dir runs/spam/best --format onnx --int8 \
        --file data/sms_spam/train.tsv --text_columns text --output_dir spam-int8

    python scripts/export/export.py --evaluate spam-int8 --dev_file data/sms_spam/test.tsv \
        --text_columns text

As GluonNLP had it; without --model_parameters the weights are random:

    python scripts/export/export.py --task classification --model_parameters ckpt.params \
        --output_dir exported --seq_length 128

--format mxnet (the default) writes TASK-symbol.json and TASK-0000.params, onnx model.onnx,
savedmodel a version folder for TensorFlow Serving, torch a program of torch.export. Each folder
also holds the tokenizer, labels, a README.md, and predict.py, which prints labels, entities,
answers or vectors and needs nothing of plainbert. At the end the exported file runs in its own
runtime, on the texts of --file or --sentences or on a few of ours, and is compared with its source;
if they differ nothing is kept.

--evaluate scores an exported folder on labelled rows, and says how many it does in a second.
"""

from __future__ import annotations

import dataclasses
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plainbert.cli import program
from plainbert.cli.parser import Parser
from plainbert.errors import UsageError
from plainbert.export.flags import ExportFlags
from plainbert.export.names import TASKS
from plainbert.recipes.shared import command, flags, texts
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.results import line_of
from plainbert.recipes.shared.settings import (
    DeviceFlags,
    LabelledFlags,
    SeedFlags,
    TextsFlags,
    TrainedModelFlags,
    VocabularyFlags,
)

if TYPE_CHECKING:
    from plainbert.export.format import Format
    from plainbert.export.manifest import Manifest
    from plainbert.export.source import Source
    from plainbert.model_zoo import LoadedModel

SIZES = {"base": "bert_12_768_12", "large": "bert_24_1024_16"}  # GluonNLP's first names of them
SAMPLES = 200  # texts of --file that are looked at, from all over it
LABELS = ("0", "1")  # of a classifier with random weights: GluonNLP's exports had two classes

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(
    DeviceFlags,
    ExportFlags,
    SeedFlags,
    LabelledFlags,
    TextsFlags,
    TrainedModelFlags,
    VocabularyFlags,
):
    """The flags, with their documented defaults."""

    labels: tuple[str, ...] | None = None
    pooling_strategy: str | None = None
    normalize: bool | None = None
    dropout: float = 0.0
    max_len: int | None = None
    dev_batch_size: int | None = None
    file: str | None = helped("file", "Texts to check the export with, and to set int8 by.", None)
    sentences: tuple[str, ...] | None = helped(
        "sentences", "The texts to check with and to set int8 by, each in quotes.", None
    )
    output_dir: str = helped(
        "output_dir", "Folder to write the exported model into.", "./output_dir"
    )
    overwrite: bool = helped("overwrite", "Replace the export that is in --output_dir.", False)

    @property
    def sampling(self) -> tuple[int, float, int]:
        return 0, 1.0, self.seed

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("task_name", "dev_file")
        for name, chosen, format in (
            ("fused", self.fused, "mxnet"),
            ("int8", self.int8, "onnx"),
            ("compiled", self.compiled, "torch"),
        ):
            if chosen and self.format != format:
                self.refuse(
                    f"--{name} goes with --format {format}; this is --format {self.format}."
                )
        if self.dtype != "float32":
            self.refuse(f"--dtype {self.dtype}: exports are of float32; --int8 makes ONNX smaller.")
        bert_model = SIZES.get(self.bert_model, self.bert_model)
        return dataclasses.replace(settings, bert_model=bert_model)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refuse_deploy)


def refuse_deploy(parser: Parser) -> None:
    """Let flags of GluonNLP's deploy.py that have no place here say what has."""
    parser.refuse(
        "--only_infer",
        "--max_iters",
        "--check_accuracy",
        reason="an export is always checked and timed; --evaluate FOLDER --dev_file FILE scores.",
    )
    parser.refuse(
        "--custom_pass_lib",
        "--custom_passes",
        reason="graph passes belonged to MXNet. --format onnx --int8 makes a model small and fast.",
    )
    parser.refuse(
        "--QA_version_2",
        "--QA_n_best_size",
        "--QA_max_answer_length",
        "--QA_doc_stride",
        "--QA_max_query_length",
        "--QA_null_score_diff_threshold",
        reason="an export keeps how finetune_squad.py cut windows and looks for answers as it did.",
    )
    parser.refuse(
        "--oov_way", reason=f"vectors of words are made by {program.command('embedding')}."
    )


def source_from(settings: Settings) -> Source:
    """The model that the flags name.

    Without one, a model with random weights, as GluonNLP's export makes it: to see that a
    deployment works, or how fast it is.

    Raises:
        UsageError: no model, and nothing that says its vocabulary or its task.
        CheckpointError: the folder has no such head.
    """
    from plainbert.export.source import source_of
    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.embedding.encode import pooling_of

    head = None if settings.task is None else TASKS[settings.task]
    if settings.weights is None:
        name, opened = settings.bert_model, _untrained(settings, head)
    else:
        name = name_of(settings)
        opened = _opened(settings, name, head)
    pooling = None
    if opened.head == "embedding":
        strategy, normalize = settings.pooling_strategy, settings.normalize
        pooling = pooling_of(opened.checkpoint, strategy, normalize=normalize)
    return source_of(opened, name, pooling, settings.max_len)


def _opened(settings: Settings, name: str, head: str | None) -> LoadedModel:
    from plainbert import model_zoo

    return model_zoo.open_folder(
        name,
        head,
        settings.labels,
        lower=settings.do_lower_case,
        dataset_name=settings.bert_dataset,
    )


def _untrained(settings: Settings, head: str | None) -> LoadedModel:
    import torch

    from plainbert import model_zoo
    from plainbert.recipes.shared.vocabulary import tokenizer_of

    if head is None:
        raise UsageError(
            f"no model: give --model_dir. Or --task ({', '.join(TASKS)}) for random weights."
        )
    tokenizer = tokenizer_of(settings)
    if tokenizer is None:
        raise UsageError("random weights need a vocabulary: give --vocab or --dataset_name.")
    name = settings.bert_model
    log.warning("no --model_dir and no --model_parameters: %s with random weights", name)
    torch.manual_seed(settings.seed)
    default = LABELS if settings.task in ("classification", "ner") else None
    model = model_zoo.new_model(name, tokenizer, head, id2label=settings.labels or default)
    return model_zoo.LoadedModel.untrained(model, tokenizer, head)


def format_of(
    settings: Settings,
    name: str,
    *,
    int8: bool = False,
    calibration: tuple[tuple[str, ...], ...] = (),
) -> Format:
    """A format with the options that the flags give it.

    Args:
        settings: of the recipe.
        name: a key of :data:`plainbert.export.names.FORMATS`.
        int8: for ONNX, int8 matrix products.
        calibration: for int8, texts (or pairs) that show which values occur.

    Raises:
        UnknownNameError: no such format.
    """
    from plainbert.export.formats import with_defaults
    from plainbert.export.mxnet.format import MXNetFormat
    from plainbert.export.onnx.format import ONNXFormat
    from plainbert.export.savedmodel.format import SavedModelFormat
    from plainbert.export.torch.format import TorchFormat

    match name:
        case "mxnet":
            return MXNetFormat(settings.dropout, settings.fused, settings.runtime_python)
        case "onnx":
            return ONNXFormat(int8, calibration)
        case "savedmodel":
            return SavedModelFormat(settings.runtime_python)
        case "torch":
            return TorchFormat(settings.compiled)
    return with_defaults(name)


def export(settings: Settings) -> Manifest:
    """Export what the flags name."""
    from plainbert.export import bundle
    from plainbert.text.samples import spread

    source = source_from(settings)
    rows = []
    if settings.file or settings.sentences:
        rows = spread(texts.read(settings), SAMPLES)
    return bundle.export(
        source,
        settings.output_dir,
        format_of(settings, settings.format, int8=settings.int8, calibration=tuple(rows)),
        texts=rows,
        overwrite=settings.overwrite,
        threads=settings.threads or 0,
    )


def run(settings: Settings) -> dict[str, Any]:
    """Export a model, or score an exported one."""
    from plainbert.export.program import predict
    from plainbert.recipes.shared import evaluate_export
    from plainbert.recipes.shared.start import CPU, start

    start(settings, device=CPU)  # exports are made there, wherever they will run
    if settings.evaluate is not None:
        exported = Path(settings.evaluate)
        manifest = evaluate_export.manifest_of(exported)
        int8 = manifest.quantized and not settings.float32
        format = format_of(settings, manifest.format, int8=int8)
        return evaluate_export.score(settings, exported, manifest, format, settings.threads or 0)
    folder = settings.output_dir
    manifest = export(settings)
    example = predict.TASKS[manifest.task][1]
    log.info("next: python %s %s", shlex.quote(f"{folder}/predict.py"), example)
    if manifest.task != "embedding":  # vectors alone have no score
        place = shlex.quote(str(folder))
        log.info("      %s --evaluate %s --dev_file FILE", program.command("export"), place)
    return {"folder": folder, **manifest.check}


def report(results: dict[str, Any]) -> None:
    """Print the scores and the speed of an exported model."""
    if "per_second" not in results:
        return
    for split, scores in results.items():
        if split != "per_second":
            print(f"{split}: {line_of(scores)}")
    print(f"{results['per_second']:.1f} rows/s")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return command.carry_out("export", argv, parse_args, run, report)
