"""``plainbert.processes``: the same work in one process or in many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plainbert.processes import WorkerError, WorkerProcesses, cores

ROOT = Path(__file__).resolve().parent.parent


def add(state: int, item: int) -> tuple[int, int]:
    time.sleep(0.01 * (item % 3))
    return state + item, os.getpid()


def fail(state: int, item: int) -> int:
    raise ValueError(f"item {item}")


def end(state: None, item: int) -> None:
    os._exit(1)


def endless(state: None, item: int) -> None:
    os.write(1, f"{os.getpid()}\n".encode())  # in one go: both workers write here
    time.sleep(600)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_results_in_order_and_few_items_ahead(num_workers: int) -> None:
    one, two = 1000, 2000
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(40):
            taken += 1
            yield item

    with WorkerProcesses(num_workers, one, two) as workers:
        found = []
        for result in workers.in_order(add, two, items()):
            found.append(result)
            assert taken - len(found) <= 2 * num_workers
        assert [value for value, _ in found] == list(range(2000, 2040))
        assert (os.getpid() in {pid for _, pid in found}) == (num_workers < 2)
        assert next(workers.in_order(add, one, [5]))[0] == 1005  # the same processes again
        with pytest.raises(ValueError, match="item 3"):
            list(workers.in_order(fail, one, [3]))
    assert cores() >= 1


def test_a_worker_that_is_killed() -> None:
    with WorkerProcesses(2, None) as workers, pytest.raises(WorkerError, match="out of memory"):
        list(workers.in_order(end, None, range(3)))


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from plainbert.processes import WorkerProcesses\n"
        "from tests.test_processes import endless\n"
        "if __name__ == '__main__':\n"
        "    with WorkerProcesses(2, None) as workers:\n"
        "        list(workers.in_order(endless, None, range(2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        lines = [parent.stdout.readline() for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.read() == ""  # returns once no process holds the pipe any more
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in map(int, lines))


def test_a_program_from_a_pipe_works_alone() -> None:
    """New processes could not import it."""
    program = (
        "from plainbert.processes import WorkerProcesses\n"
        "import operator\n"
        "with WorkerProcesses(2, 2) as workers:\n"
        "    print(list(workers.in_order(operator.add, 2, [1, 2, 3])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "[3, 4, 5]\n", done.stderr
    assert "one process" in done.stderr


PROGRAM = """
from plainbert.processes import WorkerProcesses
print("begins", flush=True)
def work():
    with WorkerProcesses(2, 1) as workers:
        print(list(workers.in_order(divmod, 1, range(1, 3))), flush=True)
CALL
"""


@pytest.mark.parametrize(
    ("call", "begins", "right"),
    [
        ("work()", 1, True),
        ("if __name__ == '__main__':\n    work()", None, True),
        ("print(__name__)\nwork()", None, False),  # it knows its name, and asks for nothing
    ],
)
def test_programs_that_run_as_a_whole_in_each_worker(
    call: str, begins: int | None, right: bool, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("CALL", call))
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) is right, done.stderr
    assert ("[(1, 0), (0, 1)]" in done.stdout) is right
    if begins is not None:
        assert done.stdout.count("begins") == begins
    advice = "keeps what it does under 'if __name__ == \"__main__\":'"
    assert (advice in done.stderr) is not call.startswith("if")
