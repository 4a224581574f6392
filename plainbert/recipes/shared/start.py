"""What every recipe does first: log, seed, threads, device, number format, run folder."""

from __future__ import annotations

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
from plainbert.infer import compiled, devices
from plainbert.infer.precision import FLOAT32, Precision, choose_precision
from plainbert.recipes.shared import console, output_dir
from plainbert.recipes.shared.output_dir import Claim
from plainbert.recipes.shared.settings import (
    CommonFlags,
    DeviceFlags,
    FolderFlags,
    RunFlags,
    SeedFlags,
    ThreadsFlags,
)
from plainbert.train.run_folder import ARGS_FILE, LOG_FILE

CPU = torch.device("cpu")
_PACKAGES = ("torch", "numpy", "tokenizers", "safetensors", "sentencepiece", "huggingface_hub")


@dataclass(frozen=True)
class Run:
    """What a recipe knows after :func:`start`; a run that trains is over at the end of its block.

    ::

        with start(settings, group=group, recipe="finetune_ner") as ready:
            ...

    Attributes:
        device: where to compute.
        precision: of the matrix products.
        folder: the run folder, None for a recipe that has none.
        log: the logger of the project.
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
    settings: CommonFlags,
    new_run: bool = True,
    group: Group | None = None,
    recipe: str | None = None,
    device: torch.device | None = None,
) -> Run:
    """Prepare the process for a recipe's work and log what was decided.

    Args:
        settings: of the recipe. Those that are ``DeviceFlags`` say where to compute, others compute
            on the CPU in float32; those that are ``FolderFlags`` name the run folder, for others
            there is none.
        new_run: the recipe trains in ``--output_dir``, alone. False (``--only_inference``) writes
            results beside what is there, even beside a run that is under way, and removes nothing.
        group: the ranks of the run, of which only rank 0 writes and, but for warnings, speaks.
        recipe: its name; ``--overwrite`` spares the runs of others.
        device: where to compute, whatever the flags say.

    Raises:
        UsageError: ``--output_dir`` is in use; or it holds a run and neither ``--resume`` nor
            ``--overwrite`` was given, or what they do not go with.
        DeviceError: the GPU that was asked for is not there.
    """
    rank, ranks = (0, 1) if group is None else (group.rank, group.size)
    log = logging.getLogger("plainbert")
    console.end_log_file()
    # log.txt has the details, too.
    detailed = settings.verbose or isinstance(settings, FolderFlags)
    log.setLevel(logging.WARNING if rank > 0 else logging.DEBUG if detailed else logging.INFO)
    console.show_details(settings.verbose)
    threads = settings.threads if isinstance(settings, ThreadsFlags) else None
    if threads is None and group is not None and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // group.local_size)  # mpirun gives all to each
    if threads is not None:
        torch.set_num_threads(threads)
    compiled.keep_few()
    # Before the folder is touched: a wrong flag must not leave one behind.
    precision = FLOAT32
    if device is None:
        device = CPU
        if isinstance(settings, DeviceFlags):
            device = _device(settings, group)
            precision = choose_precision(settings.dtype, device)
    if isinstance(settings, SeedFlags):
        seed_everything(settings.seed)
    folder, claim = None, None
    if isinstance(settings, FolderFlags) and settings.output_dir is not None:
        folder = Path(settings.output_dir)
        if rank == 0 and new_run:
            claim = output_dir.claim(folder, settings, recipe)
        elif rank == 0:
            output_dir.beside(folder)
    ready = Run(device, precision, folder, log, torch.get_num_threads(), rank, ranks, claim)
    try:
        _begin(settings, ready, new_run, group, recipe)
    except BaseException as error:
        ready.__exit__(type(error), error, error.__traceback__)
        raise
    return ready


def _begin(
    settings: CommonFlags, ready: Run, new_run: bool, group: Group | None, recipe: str | None
) -> None:
    """Note in the folder, and say, what the run is."""
    log, folder = ready.log, ready.folder
    if folder is not None and ready.rank == 0:
        assert isinstance(settings, FolderFlags)
        changed = []
        if new_run and isinstance(settings, RunFlags) and settings.resume:
            changed = output_dir.differences(folder, settings)
        if new_run or not (folder / ARGS_FILE).exists():
            launch = "" if group is None else group.world.launch
            files.write_json(folder / ARGS_FILE, describe(settings, ready, recipe, launch))
        console.log_to_file(console.LogFile(folder / LOG_FILE))
        for line in changed:
            log.warning("resuming with another flag: %s", line)
    if group is not None:
        group.barrier()
    run.note_folder(folder if new_run and isinstance(settings, RunFlags) else None)
    log.info(
        "plainbert %s, torch %s, %s, %s%s%s",
        plainbert.__version__,
        torch.__version__,
        devices.describe(ready.device),
        str(ready.precision),
        f", seed {settings.seed}" if isinstance(settings, SeedFlags) else "",
        "" if ready.ranks == 1 else f", {ready.ranks} ranks",
    )
    if ready.dtype is torch.float16 and ready.device.type == "cpu":
        log.warning("--dtype float16 is slow on a CPU; bfloat16 or float32 is meant for it.")
    name = settings.dtype if isinstance(settings, DeviceFlags) else ""
    if hint := without_bfloat16(name, ready.precision, ready.device):
        log.info("%s", hint)
    for note in settings.notes:
        log.info("%s", note)


def without_bfloat16(name: str, chosen: Precision, device: torch.device) -> str:
    """What to type on a GPU that cannot multiply bfloat16, where ``--dtype auto`` is float32."""
    if name != "auto" or device.type != "cuda" or chosen.is_16_bit:
        return ""
    return (
        "--dtype auto computes in float32 on this GPU, which does not multiply bfloat16; --dtype "
        "float16 is faster on it."
    )


def _device(settings: DeviceFlags, group: Group | None) -> torch.device:
    """The device that the flags ask for; of several ranks on a host, each has its own GPU."""
    gpu, gpus = settings.gpu, settings.gpus
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


def describe(settings: CommonFlags, ready: Run, recipe: str | None, launch: str) -> dict[str, Any]:
    """The content of ``args.json``: how to repeat a run, and on what it ran."""
    return {
        "command": sys.argv,
        **({} if recipe is None else {"script": recipe}),
        "flags": settings.values(),
        "given": sorted(settings.typed),
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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
