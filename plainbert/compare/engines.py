"""Run a model by another engine: in this process, or in a Python that has it."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from plainbert import files
from plainbert.checkpoint.sentence import SentenceSettings
from plainbert.compare import with_transformers
from plainbert.compare.batch import PaddedBatch
from plainbert.compare.names import ENGINES, Engine
from plainbert.compare.own import Outputs
from plainbert.errors import UnknownNameError
from plainbert.formats.gluonnlp import params
from plainbert.formats.gluonnlp.flat import is_flat
from plainbert.model_zoo import LoadedModel
from plainbert.model_zoo.convert import convert
from plainbert.model_zoo.stored import ForeignCheckpoint
from plainbert.runtimes.find import find_python
from plainbert.runtimes.programs import execute

PROGRAMS = Path(__file__).parent


@contextlib.contextmanager
def start(
    opened: LoadedModel,
    name: str,
    batches: Sequence[PaddedBatch],
    dtype: str,
    python: str | Path | None = None,
) -> Iterator[Iterator[Outputs]]:
    """Have an engine run the batches.

    Args:
        opened: the model.
        name: of :data:`plainbert.compare.names.ENGINES`.
        batches: what to run.
        dtype: "float64" or "float32", for engines that have both.
        python: the interpreter of an engine that needs one of its own; see
            :func:`plainbert.runtimes.find.find_python`.

    Yields:
        the outputs of each batch.

    Raises:
        UnknownNameError: no such engine.
        UsageError: it is not installed, or cannot be started.
        CheckpointError: it cannot take the weights.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    engine = ENGINES[name]
    runtime = engine.runtime
    interpreter = find_python(runtime, python) if runtime else None
    with tempfile.TemporaryDirectory(prefix="plainbert-") as scratch:
        folder = Path(scratch)
        if runtime is None or interpreter is None:
            theirs = with_transformers.folder_for(opened, folder)
            yield with_transformers.run(opened, theirs, batches, dtype)
            return
        weights, head = _weights(opened, engine, folder)
        _request(opened, weights, head, batches, dtype, folder)
        execute(runtime, interpreter, PROGRAMS / f"run_{engine.name}.py", [str(folder)])
        yield (_read(folder / f"output-{number}.npz") for number in range(len(batches)))


def _weights(opened: LoadedModel, engine: Engine, scratch: Path) -> tuple[Path, str]:
    """What the engine itself reads: the model's own file where it can, else a converted one.

    Returns:
        the path, and the head that is in it: a format may have no place for ours.
    """
    stored, head = opened.checkpoint, opened.head
    if isinstance(stored, ForeignCheckpoint) and stored.foreign.format == engine.format:
        weights = _file(Path(stored.foreign.source), engine)
        # Exports of MXNet have flat names, which no block of GluonNLP can be filled from.
        if engine.format != "gluonnlp" or not is_flat(params.read(weights)):
            return weights, head
    # Pooling is not compared; the converter would warn that the format cannot say it.
    plain = dataclasses.replace(
        opened, checkpoint=dataclasses.replace(stored, sentence=SentenceSettings())
    )
    done = convert(plain, scratch / "model", engine.format)
    return _file(done.folder, engine), "embedding" if done.dropped else head


def _file(place: Path, engine: Engine) -> Path:
    """The one weight file of a folder; for TensorFlow its name without ``.index``."""
    if place.is_dir():
        (place,) = sorted(place.glob(f"*{engine.suffix}"))
    return place.with_suffix("") if place.suffix == ".index" else place


def _request(
    opened: LoadedModel,
    weights: Path,
    head: str,
    batches: Sequence[PaddedBatch],
    dtype: str,
    folder: Path,
) -> None:
    """Write what the program reads."""
    files.write_json(
        folder / "request.json",
        {
            "weights": str(weights.resolve()),
            "head": head,
            "pooler": any("pooler." in name for name in opened.model.state_dict()),
            "classes": opened.model.config.num_labels,
            "config": opened.model.config.to_dict(),
            "dtype": dtype,
            "batches": len(batches),
        },
    )
    for number, batch in enumerate(batches):
        np.savez(
            folder / f"batch-{number}.npz",
            ids=batch.ids,
            types=batch.types,
            lengths=batch.lengths,
            gold=batch.gold,
        )


def _read(path: Path) -> Outputs:
    with np.load(path, allow_pickle=False) as outputs:
        return dict(outputs)
