"""What every script does first: log, seed, threads, device, number format, run folder."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import random
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

import plainbert
from plainbert import files
from plainbert.cli import run
from plainbert.distributed.group import Group
from plainbert.infer import devices
from plainbert.infer.precision import Precision, choose_precision
from plainbert.recipes.shared import output_dir
from plainbert.recipes.shared.output_dir import Claim
from plainbert.train.run_folder import ARGS_FILE, LOG_FILE

_PACKAGES = ("torch", "numpy", "tokenizers", "safetensors", "sentencepiece", "huggingface_hub")


@dataclass(frozen=True)
class Run:
    """What a script knows after :func:`start`; a run that trains is over at the end of its block.

    ::

        with start(args, group=group, script=__file__) as ready:
            ...

    Attributes:
        device: where to compute.
        precision: of the matrix products.
        folder: the run folder, None for a script that has none.
        log: the logger of the project; warnings and progress go there, results to standard output.
        threads: CPU threads that torch uses.
        rank: this process among ``ranks``.
        ranks: processes that work together.
        claim: what this process has to do with the folder at the end; None where it only adds to
            it.
    """

    device: torch.device
    precision: Precision
    folder: Path | None
    log: logging.Logger
    threads: int
    rank: int = 0
    ranks: int = 1
    claim: Claim | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the matrix products."""
        return self.precision.dtype

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.claim is not None:
            self.claim.end(failed=error is not None)


def start(
    args: argparse.Namespace,
    new_run: bool = True,
    group: Group | None = None,
    script: str | None = None,
) -> Run:
    """Prepare the process for a script's work and log what was decided.

    Args:
        args: parsed flags; those a script lacks (``gpu``, ``output_dir`` ...) count as not given.
        new_run: the script trains in ``--output_dir``, alone. False (``--only_inference``) writes
            results beside what is there, even beside a run that is under way, and removes nothing.
        group: the ranks of the run, of which only rank 0 writes and, but for warnings, speaks.
        script: path of the script; ``--overwrite`` spares the runs of others.

    Raises:
        UsageError: ``--output_dir`` is in use; or it holds a run and neither ``--resume`` nor
            ``--overwrite`` was given, or what they do not go with.
        DeviceError: the GPU that was asked for is not there.
    """
    rank, ranks = (0, 1) if group is None else (group.rank, group.size)
    log = _console(verbose=getattr(args, "verbose", False), quiet=rank > 0)
    threads = getattr(args, "threads", None)
    if threads is None and group is not None and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // group.local_size)  # mpirun gives all to each
    if threads is not None:
        torch.set_num_threads(threads)
    # Before the folder is touched: a wrong flag must not leave one behind.
    device = _device(args, group)
    precision = choose_precision(getattr(args, "dtype", "float32"), device)
    seed = getattr(args, "seed", None)
    if seed is not None:
        seed_everything(seed)
    folder = None if getattr(args, "output_dir", None) is None else Path(args.output_dir)
    claim = None
    if folder is not None and rank == 0:
        if new_run:
            claim = output_dir.claim(folder, args, script)
        else:
            output_dir.beside(folder)
    ready = Run(device, precision, folder, log, torch.get_num_threads(), rank, ranks, claim)
    try:
        _begin(args, ready, new_run, group, script)
    except BaseException as error:
        ready.__exit__(type(error), error, error.__traceback__)
        raise
    return ready


def _begin(
    args: argparse.Namespace, ready: Run, new_run: bool, group: Group | None, script: str | None
) -> None:
    """Note in the folder, and say, what the run is."""
    log, folder, seed = ready.log, ready.folder, getattr(args, "seed", None)
    if folder is not None and ready.rank == 0:
        changed = []
        if new_run and getattr(args, "resume", False):
            changed = output_dir.differences(folder, args)
        if new_run or not (folder / ARGS_FILE).exists():
            launch = "" if group is None else group.world.launch
            files.write_json(folder / ARGS_FILE, describe(args, ready, script, launch))
        _log_file(log, folder / LOG_FILE)
        for line in changed:
            log.warning("resuming with another flag: %s", line)
    if group is not None:
        group.barrier()
    run.note_folder(folder if new_run else None)
    log.info(
        "plainbert %s, torch %s, %s, %s%s%s",
        plainbert.__version__,
        torch.__version__,
        devices.describe(ready.device),
        str(ready.precision),
        "" if seed is None else f", seed {seed}",
        "" if ready.ranks == 1 else f", {ready.ranks} ranks",
    )
    if ready.dtype is torch.float16 and ready.device.type == "cpu":
        log.warning("--dtype float16 is slow on a CPU; bfloat16 or float32 is meant for it.")
    for note in getattr(args, "notes", ()):
        log.info("%s", note)


def _device(args: argparse.Namespace, group: Group | None) -> torch.device:
    """The device that the flags ask for; of several ranks on a host, each has its own GPU."""
    gpu, gpus = getattr(args, "gpu", None), getattr(args, "gpus", None)
    if group is None or group.size == 1:
        return devices.pick_device(gpu, gpus)
    if gpus == () or not torch.cuda.is_available():
        return devices.pick_device(gpu, gpus[:1] if gpus else gpus)
    return torch.device("cuda", torch.cuda.current_device())  # set when the ranks met


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def describe(
    args: argparse.Namespace, ready: Run, script: str | None, launch: str
) -> dict[str, Any]:
    """The content of ``args.json``: how to repeat a run, and on what it ran."""
    values = {key: value for key, value in vars(args).items() if key not in ("given", "notes")}
    return {
        "command": sys.argv,
        **({} if script is None else {"script": output_dir.kind_of(script)}),
        "flags": values,
        "given": list(getattr(args, "given", ())),
        "versions": {"plainbert": plainbert.__version__, "python": platform.python_version()}
        | {name: version for name in _PACKAGES if (version := _version(name))},
        "system": platform.platform(),
        "device": devices.describe(ready.device),
        "dtype": str(ready.precision),
        "cores": os.cpu_count(),
        "threads": ready.threads,
        "ranks": ready.ranks,
        **({"launch": launch} if launch else {}),
    }


class _Console(logging.Handler):
    """Writes to standard error, above a progress bar if one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


class _LogFile(logging.FileHandler):
    """``log.txt``; a line that cannot be written (full disk) is lost without a word.

    What matters, a checkpoint, fails loudly by itself; a traceback per line would bury that.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        return


def _console(verbose: bool, quiet: bool) -> logging.Logger:
    log = logging.getLogger("plainbert")
    for handler in list(log.handlers):  # of an earlier start in this process
        if getattr(handler, "of_plainbert", False):
            log.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk: what is lost has been shown
                handler.close()
    level = logging.DEBUG if verbose else logging.INFO
    log.setLevel(logging.WARNING if quiet else level)
    _add(log, _Console(), "%(message)s")
    return log


def _log_file(log: logging.Logger, path: Path) -> None:
    _add(log, _LogFile(path, encoding="utf-8"), "%(asctime)s %(levelname)s %(message)s")


def _add(log: logging.Logger, handler: logging.Handler, form: str) -> None:
    handler.setFormatter(logging.Formatter(form))
    handler.of_plainbert = True  # type: ignore[attr-defined]
    log.addHandler(handler)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
