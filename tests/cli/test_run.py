"""How a script ends: real processes, real signals, a really full disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plainbert.cli import run
from plainbert.errors import PlainBertError, UnknownNameError

HERE = Path(__file__).resolve().parent.parent.parent


def script(body: str) -> list[str]:
    """A command that runs ``body`` as the main function of a script."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    top = "from pathlib import Path\nfrom plainbert import errors\nfrom plainbert.cli import run"
    return [sys.executable, "-c", f"{top}\ndef main():\n{lines}\nrun.run(main)"]


def ended(body: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of such a script."""
    done = subprocess.run(script(body), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_success() -> None:
    assert ended("print('scores')\nreturn {'accuracy': 1.0}") == (0, "scores\n", "")


@pytest.mark.parametrize("equal", [True, False])
def test_results_decide_the_status(equal: bool) -> None:
    with pytest.raises(SystemExit) as exit:
        run.run(lambda: {"equal": equal}, status=lambda result: 0 if result["equal"] else 1)

    assert exit.value.code == (0 if equal else 1)


def test_a_mistake_is_one_line() -> None:
    status, out, err = ended("raise errors.UnknownNameError('task', 'STS', ['SST'])")

    assert (status, out) == (2, "")
    assert err == "error: no task is named 'STS'. Did you mean 'SST'? Known: SST.\n"


def test_a_bug_keeps_its_traceback() -> None:
    status, _, err = ended("return {}['x']")

    assert status == 1
    assert "Traceback" in err
    assert "KeyError" in err


def test_a_missing_file_is_named() -> None:
    status, _, err = ended("open('no/such/file.tsv')")

    assert (status, err) == (2, "error: no/such/file.tsv: No such file or directory.\n")


def test_a_full_disk() -> None:
    # /dev/full answers every write as a full disk does.
    status, _, err = ended("with open('/dev/full', 'w') as file:\n    file.write('x' * 99999)")

    assert status == 2
    assert err.startswith("error: the disk is full. Free some space")
    assert "Traceback" not in err


def test_a_full_disk_is_recognised_in_other_classes() -> None:
    class Foreign(Exception):
        """As a compiled library raises it: the system's words are all that is left."""

    wrapped = RuntimeError("PytorchStreamWriter failed writing file data/0")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device", "out/model.bin")

    assert "full (out/model.bin)" in (run.explain(wrapped) or "")
    assert "full" in (run.explain(Foreign("I/O error: No space left on device (28)")) or "")
    for number in (errno.ENOSPC, errno.EDQUOT):  # the words may be in the user's language
        assert "disk is full" in (run.explain(OSError(number, "Kein Platz")) or "")
    assert run.explain(Foreign("something else")) is None


def test_memory() -> None:
    status, _, err = ended("run.note_flags(['--batch_size', '--max_len'])\nx = bytearray(1 << 62)")

    assert status == 2
    assert err.startswith("error: out of memory. Lower --batch_size or --max_len.")


def test_memory_in_torch() -> None:
    torch_words = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you ...")

    assert "out of memory" in (run.explain(torch_words) or "")
    assert run.explain(RuntimeError("shape mismatch")) is None


def test_a_reader_that_went_away() -> None:
    body = "import time\nfor row in range(200000):\n    print('a row of results', row)"
    with subprocess.Popen(script(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        status = process.wait(timeout=60)

    assert (status, err) == (run.BROKEN_PIPE, b"")


def test_another_broken_pipe_is_not_hidden() -> None:
    status, _, err = ended("raise BrokenPipeError('to a worker')")

    assert status == 1
    assert "to a worker" in err


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("pass", "interrupted."),
        ("run.note_folder(Path({0!r}))", "interrupted. {0} holds no checkpoint yet"),
        (
            "(Path({0!r}) / 'step-0000012').mkdir()\n"
            "(Path({0!r}) / 'last').symlink_to('step-0000012')\n"
            "run.note_folder(Path({0!r}))",
            "interrupted. {0}/last (step-0000012) is complete; this goes on from there:\n"
            "plainbert --resume",
        ),
    ],
    ids=["no run", "no checkpoint", "a checkpoint"],
)
def test_ctrl_c(tmp_path: Path, prepare: str, message: str) -> None:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: undo it.
    body = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    body += f"{prepare.format(str(tmp_path))}\nprint('ready', flush=True)\ntime.sleep(60)"
    with subprocess.Popen(
        script(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)  # into the sleep
        os.kill(process.pid, signal.SIGINT)
        err = process.stderr.read()
        status = process.wait(timeout=60)

    assert status == 130
    assert err.strip().startswith(message.format(tmp_path))
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "word"), [(15, "ended by SIGTERM"), (2, "interrupted")])
def test_a_run_that_was_told_to_end(tmp_path: Path, number: int, word: str) -> None:
    """It names the command to go on with; of several processes one speaks."""
    body = f"""import os, sys
Path("step-0000007").mkdir()
os.symlink("step-0000007", "last")
run.note_folder(Path("."))
sys.argv += ["--lr", "2", "--overwrite", "--start_step", "3", "--text", "a b"]
raise errors.Stopped({number}, sys.argv[1] == "speaks")"""
    for rank in ("speaks", "is quiet"):
        done = subprocess.run(
            [*script(body), rank], capture_output=True, text=True, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )  # fmt: skip
        assert done.returncode == 128 + number
        if rank == "speaks":
            again = "plainbert speaks --lr 2 --text 'a b' --resume"
            said = f"{word}. last (step-0000007) is complete; this goes on from there:\n{again}"
            assert done.stderr.strip() == said
            (tmp_path / "last").unlink()
            (tmp_path / "step-0000007").rmdir()
        else:
            assert done.stderr == ""


def test_explain_keeps_our_own_words() -> None:
    error = UnknownNameError("task", "x", ["y"])

    assert run.explain(error) == str(error)
    assert run.explain(PlainBertError("as it is")) == "as it is"
    assert run.explain(ValueError("a bug")) is None
