"""What tests may see of a machine: its Python and its hardware, none of its user's files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import MutableMapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# Beginnings of variables that name a user's files, accounts and settings, or the run of a launcher
# that the tests were started under.
FOREIGN = (
    "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "SENTENCE_TRANSFORMERS_", "TORCH_HOME", "MXNET_HOME",
    "GLUE_DIR", "SQUAD_DIR", "XDG_", "MPLCONFIGDIR", "MATPLOTLIBRC",
    "OMPI_", "PMI", "MPI_LOCAL", "SLURM_", "RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "MASTER_",
    "TORCHELASTIC", "TORCH_DISABLE_SHARE_RDZV", "PLAINBERT_RESTART_COUNT", "PLAINBERT_LAUNCH",
    "PLAINBERT_LIFELINE", "GLOO_SOCKET_IFNAME",
)  # fmt: skip
# Pythons that a user names for the tests: they may be relative to the folder make was called in.
PYTHONS = ("PLAINBERT_MXNET", "PLAINBERT_TENSORFLOW")


# Where a copy of the project that git does not hold, such as a downloaded archive, has its files.
PROJECT = (
    "*.rst", "*.toml", "*.yml", "constraints.txt", "LICENSE", "Makefile", ".[gp]*", ".ci/*",
    "benchmarks/**/*", "data/**/*", "plainbert/**/*", "scripts/**/*", "tests/**/*",
)  # fmt: skip


def project_files() -> list[Path]:
    """Files of the project: what git holds, and nothing that a user put beside it."""
    if not (CHECKOUT / ".git").exists():
        found = [path for pattern in PROJECT for path in CHECKOUT.glob(pattern)]
        return [path for path in found if path.is_file() and path.parent.name != "__pycache__"]
    # The home is not the user's, so neither are git's settings; a checkout may be another user's.
    done = subprocess.run(
        ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        path for name in done.stdout.split("\0") if name and (path := CHECKOUT / name).is_file()
    ]


def isolate(environ: MutableMapping[str, str], home: Path) -> None:
    """Take what belongs to the user out of the variables of the tests and all that they start.

    Args:
        environ: the variables, changed in place.
        home: an empty folder that becomes the home, with all caches that lie in it.
    """
    for name in PYTHONS:
        if environ.get(name):
            environ[name] = str(Path(environ[name]).expanduser().absolute())
    for name in [name for name in environ if name.startswith(FOREIGN)]:
        del environ[name]
    environ["HOME"] = str(home)
    # Programs that tests start in other folders import this checkout, not an installed plainbert.
    path = (str(CHECKOUT), environ.get("PYTHONPATH", ""))
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
