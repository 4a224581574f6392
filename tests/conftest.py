"""Seeds, threads and options that hold for every test."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.isolation import isolate

# Two workers with two threads each would fight over two cores. Set before torch is imported, and in
# the environment, so that the processes that tests start have it too.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns after each fork otherwise

# A busy machine is not a bug, so no deadline; a failing example is printed ready to paste.
settings.register_profile("plainbert", deadline=None, print_blob=True)
settings.load_profile("plainbert")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=0, help="shift the seed of every test (default: 0)"
    )
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew, then compare"
    )
    parser.addoption("--record", type=Path, help="write what came of the run to this JSON file")


# What a marked suite needs, and whether it is here.
NEEDS = {
    "gpu": os.path.exists("/dev/nvidiactl"),
    "mxnet": bool(os.environ.get("PLAINBERT_MXNET")),
    "tensorflow": bool(os.environ.get("PLAINBERT_TENSORFLOW")),
    "openvino": importlib.util.find_spec("openvino") is not None,
    "hosts": bool(os.environ.get("PLAINBERT_HOSTS")),
    "readme": bool(os.environ.get("PLAINBERT_README")),
}


def pytest_configure(config: pytest.Config) -> None:
    # Before any test file is imported: libraries read some variables when they are. Workers of
    # pytest-xdist inherit them.
    if not hasattr(config, "workerinput"):
        home = tempfile.TemporaryDirectory(prefix="plainbert-home-")
        config.add_cleanup(home.cleanup)
        isolate(os.environ, Path(home.name))
    # A test for what this machine lacks is not run and not counted, rather than skipped; whoever
    # names markers on the command line decides alone, and must have what they need.
    wanted = config.option.markexpr
    if not wanted:
        lacking = [f"not {name}" for name, there in NEEDS.items() if not there]
        config.option.markexpr = " and ".join(lacking)
    elif wanted in NEEDS and not NEEDS[wanted]:
        raise pytest.UsageError(f"-m {wanted}: what it needs is not here; try make test-{wanted}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of which `make test` runs no sample to `make drill`."""
    left = [item for item in items if _trials(item) == 0]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _trials(item: pytest.Item) -> int | None:
    """How many times a test repeats its trial; None where it does not say."""
    marker = item.get_closest_marker("volume")
    if marker is None:
        return None
    count: int = marker.kwargs["whole" if os.environ.get("PLAINBERT_VOLUME") else "sample"]
    return count


@pytest.fixture
def trials(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> int:
    """How many kills, or garbled files, a test has: a sample, or in `make drill` the whole number.

    The drill adds up what is recorded.
    """
    count = _trials(request.node)
    assert count is not None, "pytest.mark.volume(sample=..., whole=...) is missing"
    record_property("trials", count)
    return count


@pytest.fixture(autouse=True)
def exports_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time an export for a moment: no test looks at its speed, which takes two seconds."""
    if check := sys.modules.get("plainbert.export.check"):
        monkeypatch.setattr(check, "SECONDS", 0.0)


@pytest.fixture(scope="session", autouse=True)
def working_directory(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """An empty folder as the working directory: what commands left in the clone is not there."""
    folder = tmp_path_factory.mktemp("working-directory")
    with contextlib.chdir(folder):
        yield folder


@pytest.fixture(autouse=True)
def nothing_is_left_there(working_directory: Path) -> Generator[None]:
    """Fail a test that writes into the working directory: there it would hit a user's files."""
    yield
    left = [*working_directory.iterdir()]
    for path in left:  # or the next tests would be blamed too
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not left, f"written into the working directory: {[path.name for path in left]}"


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    """Seed Python, NumPy and torch from the test's own name, so that order does not matter.

    Returns:
        the seed, for generators of the test's own.
    """
    shift: int = request.config.getoption("--seed")
    value = (zlib.crc32(request.node.nodeid.encode()) + shift) % 2**32
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        shift = item.config.getoption("--seed")
        command = f"make test ARGS=\"-n 0 '{item.nodeid}' --seed {shift}\""
        report.sections.append(("replay", f"seed {shift}; to repeat:\n  {command}"))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    # For suites that CI cannot run: tests/results holds their last run, and test_project.py sees
    # to it that none was left out.
    path: Path | None = config.getoption("--record")
    if path is None:
        return
    stats = terminalreporter.stats
    files = Counter(each.location[0] for each in stats.get("passed", []) if each.when == "call")
    record = {
        "suite": config.option.markexpr,
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "packages": packages(os.environ.get(f"PLAINBERT_{config.option.markexpr.upper()}")),
        "exit_status": int(exitstatus),
        **{name: len(stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")},
        "files": dict(sorted(files.items())),
    }
    path.write_text(json.dumps(record, indent=2) + "\n")


ENGINES = ("torch", "numpy", "onnxruntime", "openvino", "tensorflow_cpu", "mxnet")


def packages(interpreter: str | None) -> dict[str, str]:
    """Versions of the engines in a suite's own environment, or in this one."""
    line = [interpreter or sys.executable, "-m", "pip", "list", "--format=json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found = {each["name"].lower(): each["version"] for each in json.loads(done.stdout)}
    return {name: found[name] for name in ENGINES if name in found}


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew (``--update-golden``)."""
    return bool(request.config.getoption("--update-golden"))
