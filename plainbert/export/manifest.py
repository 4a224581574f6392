"""``manifest.json``: what an exported model takes and gives, for programs and people."""

from __future__ import annotations

import contextlib
import datetime
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from plainbert import __version__, files
from plainbert.cli.program import command
from plainbert.errors import CheckpointError, FormatError, UnknownNameError
from plainbert.export.check import Check
from plainbert.export.decoding import decoding_of
from plainbert.export.format import Format
from plainbert.export.names import FORMATS, INPUTS, TASKS
from plainbert.export.source import Source
from plainbert.keys import schema
from plainbert.keys.config_json import activation_of
from plainbert.keys.run_files import MANIFEST
from plainbert.nn.names import MULTI_LABEL

NAME = "manifest.json"
NEEDED = ("format", "task", "max_length", "labels", "lower")


@dataclass(frozen=True)
class Manifest:
    """What is written beside an exported model.

    Attributes:
        format: a key of :data:`plainbert.export.names.FORMATS`.
        task: a key of :data:`plainbert.export.names.TASKS`.
        source: what it came from.
        max_length: tokens of an input at most, counting [CLS] and [SEP].
        lower: whether text is lower-cased; ``tokenizer.json`` does it.
        labels: of classes or tags, by id.
        output: shape and meaning of what the model gives.
        pooling: how vectors are made of the tokens'; None for other tasks.
        quantized: whether there is an int8 model, and it is the one that was checked.
        about: what the source's own folder says, such as how windows are cut.
        check: fields of :class:`plainbert.export.check.Check`, of the model that was written.
        several: whether a text may have several labels, each with a probability of its own.
        decoding: how results are made of the outputs, see :mod:`plainbert.export.decoding`.
        origin: fields of :class:`plainbert.export.origin.Origin`.
        date: day on which it was written, as 2026-01-31.
        versions: of Python and of the packages that predict.py needs, as they are installed here.
        install: the command that installs them.
        plainbert: version that wrote it.
    """

    format: str
    task: str
    source: str
    max_length: int
    lower: bool
    labels: tuple[str, ...]
    output: str
    pooling: dict[str, Any] | None = None
    quantized: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)
    several: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    date: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    install: str = ""
    plainbert: str = __version__

    def save(self, folder: Path) -> None:
        """Write it."""
        files.write_json(folder / NAME, {"inputs": list(INPUTS), **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the one of an exported model.

        Raises:
            CheckpointError: the folder holds no exported model.
            FormatError: the file is garbled.
            UnknownNameError: a format or a task that this version does not know.
        """
        path = folder / NAME
        if not path.is_file():
            raise CheckpointError(
                f"{folder} has no {NAME}: it is no exported model. Make one with "
                f"{command('export')}."
            )
        values = files.read_json(path)
        lacking = [name for name in NEEDED if values.get(name) is None]
        if lacking:
            raise FormatError(f"{path} is no manifest of an export: it lacks {lacking[0]}.")
        schema.check_forms(values, MANIFEST, str(path))
        values.pop("inputs", None)
        try:
            manifest = cls(**{**values, "labels": tuple(values["labels"])})
        except (TypeError, KeyError) as error:
            raise FormatError(f"{path} is no manifest of an export: {error}.") from None
        if manifest.format not in FORMATS:
            raise UnknownNameError("format", str(manifest.format), FORMATS)
        if manifest.task not in TASKS:
            raise UnknownNameError("task", str(manifest.task), TASKS)
        return manifest


def is_export(folder: Path) -> bool:
    """Whether a folder's ``manifest.json`` is of an exported model, of whichever version."""
    try:
        values = files.read_json(folder / NAME)
    except (OSError, FormatError):
        return False
    return {"format", "task", "check", "plainbert"} <= values.keys()


def describe(source: Source, format: Format, check: Check) -> Manifest:
    """The manifest of an export.

    Args:
        source: the model that was exported.
        format: what it was written by.
        check: what came of comparing it with its source.
    """
    count = len(source.labels)
    width = source.config.hidden_size
    output = {
        "classification": f"logits (B, {count}): softmax over them gives the probabilities",
        "regression": "logits (B, 1): the number itself",
        "question_answering": "logits (B, L, 2): start and end of the answer, for every token",
        "ner": f"logits (B, L, {count}): the tag of every token",
        "embedding": f"vectors (B, {width}), or what the pooling makes of it",
    }[source.task]
    if source.task == "regression" and (name := activation_of(source.config.extra)) is not None:
        output = f"logits (B, 1): their {name.rpartition('.')[2]} is the score"
    several = source.config.problem_type == MULTI_LABEL and source.task == "classification"
    if several:
        output = f"logits (B, {count}): the sigmoid of each gives its probability"
    pooling = source.pooling
    settings = None if pooling is None else {**asdict(pooling), "layers": list(pooling.layers)}
    return Manifest(
        format.info.name,
        source.task,
        source.name,
        source.max_length,
        source.tokenizer.lower,
        source.labels,
        output,
        settings,
        format.quantized,
        dict(source.about),
        asdict(check),
        several=several,
        decoding=decoding_of(source),
        origin=asdict(source.origin),
        date=datetime.date.today().isoformat(),
        versions=_versions(format.info.packages),
        install=format.info.install,
    )


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of the packages that are installed beside plainbert."""
    versions = {"Python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
