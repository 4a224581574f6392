"""Run a model by another engine: in this process, or in a Python that has it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import plainbert
from plainbert import files
from plainbert.compare import with_transformers
from plainbert.compare.batch import Batch
from plainbert.compare.names import ENGINES, Engine
from plainbert.compare.own import Outputs
from plainbert.errors import CheckpointError, UnknownNameError, UsageError
from plainbert.formats import params
from plainbert.formats.gluonnlp_flat import is_flat
from plainbert.model_zoo import Opened
from plainbert.model_zoo.convert import convert
from plainbert.model_zoo.stored import ForeignCheckpoint

PROGRAMS = Path(__file__).parent


@contextlib.contextmanager
def start(
    opened: Opened,
    name: str,
    batches: Sequence[Batch],
    dtype: str,
    python: str | Path | None = None,
) -> Iterator[Iterator[Outputs]]:
    """Have an engine run the batches.

    Args:
        opened: the model.
        name: of :data:`plainbert.compare.names.ENGINES`.
        batches: what to run.
        dtype: "float64" or "float32", for engines that have both.
        python: the interpreter of an engine that needs one of its own; see :func:`find_python`.

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
    interpreter = find_python(engine, python) if engine.folder else None
    with tempfile.TemporaryDirectory(prefix="plainbert-") as scratch:
        folder = Path(scratch)
        if interpreter is None:
            theirs = with_transformers.folder_for(opened, folder)
            yield with_transformers.run(opened, theirs, batches, dtype)
            return
        weights, head = _weights(opened, engine, folder)
        _ask(opened, weights, head, batches, dtype, folder)
        _execute(engine, interpreter, folder)
        yield (_read(folder / f"output-{number}.npz") for number in range(len(batches)))


def find_python(engine: Engine, given: str | Path | None = None) -> Path:
    """The interpreter that has an engine.

    Args:
        engine: one that needs an environment of its own.
        given: what the user named; else the engine's environment variable, then its folder in the
            working directory, then beside the package.

    Raises:
        UsageError: there is none; the message has the commands that make one.
    """
    named = given or os.environ.get(engine.variable)
    home = Path(plainbert.__file__).parent.parent
    places = (
        [Path(named).expanduser()] if named
        else [root / engine.folder / "bin" / "python" for root in (Path(), home)]
    )  # fmt: skip
    for place in places:
        if place.is_file():
            return place.absolute()  # not resolved: a virtual environment is known by its link
    what = f"there is no {named}" if named else f"there is no {places[0]}"
    raise UsageError(
        f"--reference {engine.name} runs in a Python of its own, and {what}. Make it with\n  "
        + "\n  ".join(engine.install)
        + "\nor name one that has it with --reference_python PATH."
    )


def _weights(opened: Opened, engine: Engine, scratch: Path) -> tuple[Path, str]:
    """What the engine itself reads: the model's own file where it can, else a converted one.

    Returns:
        the path, and the head that is in it: a format may have no place for ours.
    """
    stored, head = opened.checkpoint, opened.head
    if isinstance(stored, ForeignCheckpoint) and stored.foreign.format == engine.format:
        found = _file(Path(stored.foreign.source), engine)
        # Exports of MXNet have flat names, which no block of GluonNLP can be filled from.
        if engine.format != "gluonnlp" or not is_flat(params.read(found)):
            return found, head
    # Pooling is not compared; the converter would warn that the format cannot say it.
    plain = dataclasses.replace(opened, checkpoint=dataclasses.replace(stored, pooling=None))
    done = convert(plain, scratch / "model", engine.format)
    return _file(done.folder, engine), "encoder" if done.dropped else head


def _file(place: Path, engine: Engine) -> Path:
    """The one weight file of a folder; for TensorFlow its name without ``.index``."""
    if place.is_dir():
        (place,) = sorted(place.glob(f"*{engine.suffix}"))
    return place.with_suffix("") if place.suffix == ".index" else place


def _ask(
    opened: Opened,
    weights: Path,
    head: str,
    batches: Sequence[Batch],
    dtype: str,
    folder: Path,
) -> None:
    """Write what the program reads."""
    files.write_json(folder / "request.json", {
        "weights": str(weights.resolve()),
        "head": head,
        "pooler": any("pooler." in name for name in opened.model.state_dict()),
        "classes": opened.model.config.num_labels,
        "config": opened.model.config.to_dict(),
        "dtype": dtype,
        "batches": len(batches),
    })  # fmt: skip
    for number, each in enumerate(batches):
        np.savez(
            folder / f"batch-{number}.npz",
            ids=each.ids, types=each.types, lengths=each.lengths, gold=each.gold,
        )  # fmt: skip


def _execute(engine: Engine, interpreter: Path, folder: Path) -> None:
    program = PROGRAMS / f"run_{engine.name}.py"
    # Isolated (-I): neither our folder nor the caller's variables decide what it imports.
    command = [str(interpreter), "-I", str(program), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
    if done.returncode == 0:
        return
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else f"it ended with status {done.returncode} and said nothing"
    if "ModuleNotFoundError" in last or "ImportError" in last:
        raise UsageError(
            f"{interpreter} lacks what --reference {engine.name} needs ({last}). Make one with\n  "
            + "\n  ".join(engine.install)
        )
    raise CheckpointError(f"{engine.name} cannot run this model: {last}")


def _read(path: Path) -> Outputs:
    with np.load(path, allow_pickle=False) as found:
        return dict(found)
