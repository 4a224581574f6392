"""What every script does first: log, seed, threads, device, number format, run folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import platform
import random
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

import plainbert
from plainbert import files
from plainbert.cli import run
from plainbert.dist.group import Group
from plainbert.errors import UsageError
from plainbert.infer import devices

ARGS_FILE = "args.json"
LOG_FILE = "log.txt"
# What a run writes, and --overwrite therefore removes. Anything else in the folder stays.
_WRITTEN = (
    ARGS_FILE, LOG_FILE, "metrics.jsonl", "eval_results.json", "best", "last", "step-*",
    "events.out.tfevents.*",
)  # fmt: skip
# Flags that a resumed run may have otherwise.
_FREE = {"resume", "overwrite", "verbose", "start_step"}
_PACKAGES = ("torch", "numpy", "tokenizers", "safetensors", "sentencepiece", "huggingface_hub")


@dataclass(frozen=True)
class Run:
    """What a script knows after :func:`start`.

    Attributes:
        device: where to compute.
        dtype: of the matrix products.
        folder: the run folder, None for a script that has none.
        log: the logger of the project; warnings and progress go there, results to standard output.
        threads: CPU threads that torch uses.
        rank: this process among ``ranks``.
        ranks: processes that work together.
    """

    device: torch.device
    dtype: torch.dtype
    folder: Path | None
    log: logging.Logger
    threads: int
    rank: int = 0
    ranks: int = 1


def start(args: argparse.Namespace, new_run: bool = True, group: Group | None = None) -> Run:
    """Prepare the process for a script's work and log what was decided.

    Args:
        args: parsed flags; those a script lacks (``gpu``, ``output_dir`` ...) count as not given.
        new_run: the script trains in ``--output_dir``. False (``--only_inference``) writes beside
            what is there.
        group: the ranks of the run, of which only rank 0 writes and, but for warnings, speaks.

    Raises:
        UsageError: ``--output_dir`` holds a run and neither ``--resume`` nor ``--overwrite`` was
            given, or ``--resume`` finds none.
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
    dtype = devices.pick_dtype(getattr(args, "dtype", "float32"), device)
    seed = getattr(args, "seed", None)
    if seed is not None:
        seed_everything(seed)
    folder = getattr(args, "output_dir", None)
    ready = Run(
        device, dtype, None if folder is None else Path(folder), log, torch.get_num_threads(),
        rank, ranks,
    )  # fmt: skip
    if ready.folder is not None and rank == 0:
        _prepare(ready.folder, args, new_run)
        _log_file(log, ready.folder / LOG_FILE)
        if new_run and getattr(args, "resume", False):
            for line in _differences(ready.folder / ARGS_FILE, args):
                log.warning("resuming with another flag: %s", line)
        if new_run or not (ready.folder / ARGS_FILE).exists():
            files.write_json(ready.folder / ARGS_FILE, describe(args, ready))
    if group is not None:
        group.barrier()
    run.note_folder(ready.folder if new_run else None)
    log.info(
        "plainbert %s, torch %s, %s, %s%s%s", plainbert.__version__, torch.__version__,
        devices.describe(device), str(dtype).removeprefix("torch."),
        "" if seed is None else f", seed {seed}", "" if ranks == 1 else f", {ranks} ranks",
    )  # fmt: skip
    if dtype is torch.float16 and device.type == "cpu":
        log.warning("--dtype float16 is slow on a CPU; bfloat16 or float32 is meant for it.")
    for note in getattr(args, "notes", ()):
        log.info("%s", note)
    return ready


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


def describe(args: argparse.Namespace, ready: Run) -> dict[str, Any]:
    """The content of ``args.json``: how to repeat a run, and on what it ran."""
    values = {key: value for key, value in vars(args).items() if key not in ("given", "notes")}
    return {
        "command": sys.argv,
        "flags": values,
        "given": list(getattr(args, "given", ())),
        "versions": {"plainbert": plainbert.__version__, "python": platform.python_version()}
        | {name: version for name in _PACKAGES if (version := _version(name))},
        "system": platform.platform(),
        "device": devices.describe(ready.device),
        "dtype": str(ready.dtype).removeprefix("torch."),
        "cores": os.cpu_count(),
        "threads": ready.threads,
        "ranks": ready.ranks,
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


def _prepare(folder: Path, args: argparse.Namespace, new_run: bool) -> None:
    """Make the run folder, or decide what happens to the run that is in it."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir {folder} is a file; the name of a folder is expected.")
    holds_run = (folder / ARGS_FILE).exists()
    resume, overwrite = (getattr(args, name, False) for name in ("resume", "overwrite"))
    if new_run and resume and not holds_run:
        raise UsageError(
            f"--resume: {folder} holds no run (no {ARGS_FILE}). Leave --resume out to start one, "
            "or name the folder of an earlier run with --output_dir."
        )
    if new_run and holds_run and not resume and not overwrite:
        raise UsageError(
            f"--output_dir {folder} holds a run. Add --resume to go on with it, --overwrite to "
            "start anew there, or name another folder."
        )
    if new_run and overwrite and folder.exists():
        for pattern in _WRITTEN:
            for path in folder.glob(pattern):
                _remove(path)
    folder.mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(folder)


def _differences(path: Path, args: argparse.Namespace) -> list[str]:
    """Flags whose values are not those the run was started with."""
    before = files.read_json(path).get("flags", {})
    now = json.loads(json.dumps(vars(args)))  # tuples become lists, as in the file
    return [
        f"--{name} was {before[name]}, is {now[name]}"
        for name in sorted(before.keys() & now.keys() - _FREE)
        if before[name] != now[name]
    ]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
