"""Where a model comes from, as far as its folder and the table of published weights say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.checkpoint import Checkpoint
from plainbert.errors import PlainBertError
from plainbert.hub import records
from plainbert.infer.evaluation import RESULTS_FILE
from plainbert.train.run_folder import ARGS_FILE

# Flags of a run that name its data.
DATA = ("task_name", "train_file", "dev_file", "test_file", "predict_file")


@dataclass(frozen=True)
class Origin:
    """Where a model comes from; what nobody wrote down is empty.

    Attributes:
        base: what it was fine-tuned from.
        licence: of the published weights that it came from.
        data: names of the training set and of those it was scored on, by flag; files without their
            folders.
        texts: number of text columns; 0 when not known.
        scores: split to metric to score, of the model that is exported.
    """

    base: str = ""
    licence: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    texts: int = 0
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def origin_of(checkpoint: Checkpoint, name: str) -> Origin:
    """Where a model comes from.

    Args:
        checkpoint: its folder; in the folder of a run that has its settings and scores.
        name: what the user called it.
    """
    base = checkpoint.about.get("base") or ""
    record = records.by_name(base or name)
    licence = record.licence if record is not None else ""
    run = checkpoint.folder.parent
    flags = _object(run / ARGS_FILE).get("flags")
    if not base or not isinstance(flags, dict):
        return Origin(_shown(base), licence)
    columns = flags.get("text_columns")
    chosen = next((path for name in ("best", "last") if (path := run / name).exists()), run)
    is_scored = files.followed(chosen).resolve() == checkpoint.folder.resolve()
    return Origin(
        _shown(base),
        licence,
        {key: _shown(value) for key in DATA if isinstance(value := flags.get(key), str)},
        len(columns) if isinstance(columns, list) else 0,
        _numbers(_object(run / RESULTS_FILE)) if is_scored else {},
    )


def _object(path: Path) -> dict[str, Any]:
    """A JSON file of a run; nothing where it is not there, or is of somebody else."""
    try:
        return files.read_json(path) if path.is_file() else {}
    except (OSError, PlainBertError):
        return {}


def _numbers(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The splits with their scores; whatever else the file holds is left out."""
    return {
        split: {name: score for name, score in scores.items() if isinstance(score, int | float)}
        for split, scores in results.items()
        if isinstance(scores, dict)
    }


def _shown(value: str) -> str:
    """A name as it is; of an absolute path the last part, for others may see the export."""
    return Path(value).name if Path(value).is_absolute() else value
