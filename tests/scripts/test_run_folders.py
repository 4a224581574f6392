"""What the scripts do to folders that hold something: mistakes, kills and two runs at a time."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint, files
from plainbert.cli.run import run
from plainbert.errors import CheckpointError, PlainBertError, UsageError
from plainbert.train import earlier, run_folder
from plainbert.train.step import Stepper
from tests.helpers import folders, scripts
from tests.helpers.processes import HERE, Command, environment

Main = Callable[[list[str]], dict[str, Any]]
# They say when and where, or go with the next start that is not refused.
OTHERS = ("log.txt", "args.json", "events.", earlier.ASIDE, ".plainbert.lock", ".step-", ".state-")


def load(name: str) -> Main:
    main: Main = scripts.load(HERE / "scripts" / "bert" / f"{name}.py").main
    return main


main, create = load("finetune_classifier"), load("create_pretraining_data")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder, and rows of two classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("given")
    checkpoint.write(folder / "model", folders.tiny("embedding"), folders.tokenizer())
    lines = [f"{'b the ' * (1 + row % 4)}{'a' * (row % 2)}\t{row % 2}" for row in range(24)]
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return folder


def words(given: Path, folder: Path, *more: str) -> list[str]:
    return [
        "--model_dir", str(given / "model"), "--train_file", str(given / "train.tsv"),
        "--dev_file", str(given / "dev.tsv"), "--text_columns", "text", "--batch_size", "8",
        "--epochs", "2", "--lr", "1e-3", "--dtype", "float32", "--gpus", "",
        "--output_dir", str(folder), *more,
    ]  # fmt: skip


@pytest.fixture
def trained(given: Path, tmp_path: Path) -> Path:
    main(words(given, tmp_path / "run"))
    (tmp_path / "run" / ".cache.tmp").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    return tmp_path / "run"


def content(folder: Path) -> dict[str, bytes | str]:
    """Every file and link of a run."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink()
        else path.read_bytes() for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }  # fmt: skip


def results(folder: Path) -> dict[str, bytes | str]:
    """The same without what differs from run to run, and with no number that is a time."""
    kept = {
        name: value for name, value in content(folder).items() if not name.startswith(OTHERS)
    }  # fmt: skip
    lines = [json.loads(line) for line in str(kept.pop("metrics.jsonl"), "utf-8").splitlines()]
    slow = ("samples_per_second", "tokens_per_second")
    kept["metrics"] = str([{k: v for k, v in line.items() if k not in slow} for line in lines])
    return kept


def stop(number: int, error: BaseException | None = None) -> Any:
    """A step that fails, or in which the process is killed."""
    step = Stepper.step

    def broken(self: Stepper, at: int, *rest: Any) -> Any:
        if at == number and error is not None:
            raise error
        if at == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, at, *rest)

    return broken


MISTAKES = {
    "--model_dir": "no-such-model",
    "--train_file": "no-such-file.tsv",
    "--text_columns": "no_such_column",
    "--batch_size": "0",
}


@pytest.mark.parametrize("flag", MISTAKES)
def test_a_mistake_beside_overwrite_costs_nothing(flag: str, given: Path, trained: Path) -> None:
    before = content(trained)
    line = words(given, trained, "--overwrite", "--lr", "1")
    line[line.index(flag) + 1] = MISTAKES[flag]
    with pytest.raises(SystemExit) as ended:
        run(lambda: main(line))
    assert ended.value.code == 2
    assert content(trained) == before


def test_the_best_model_of_the_run_that_is_overwritten(given: Path, trained: Path) -> None:
    before = content(trained)
    line = words(given, trained, "--overwrite")
    line[1] = str(trained / "best")
    with pytest.raises(UsageError, match="--model_dir is .* part of the run in .* name the copy"):
        main(line)
    assert content(trained) == before
    line[1] = str((trained / "best").resolve().rename(trained / "my best"))
    main(line)
    assert (trained / "last" / "model.safetensors").exists()
    assert (trained / "my best" / "model.safetensors").exists()


@pytest.mark.parametrize("at", [1, 4])
def test_a_run_that_breaks_off(
    at: int, given: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after its first checkpoint, of step 3."""
    before = content(trained)
    monkeypatch.setattr(Stepper, "step", stop(at, CheckpointError("worn out")))
    with pytest.raises(CheckpointError, match="worn out"):
        main(words(given, trained, "--overwrite", "--seed", "9"))
    if at == 1:
        assert content(trained) == before
        return
    assert not (trained / earlier.ASIDE).exists()
    assert [path.name for path in run_folder.checkpoints(trained)] == ["step-0000003"]
    monkeypatch.undo()
    main(words(given, trained, "--resume", "--seed", "9"))
    (trained / "notes.txt").unlink()
    main(words(given, trained.with_name("whole"), "--seed", "9"))
    assert results(trained) == results(trained.with_name("whole"))


def in_step(number: int) -> None:
    Stepper.step = stop(number)  # type: ignore[method-assign]


def before(owner: Any, name: str, which: Callable[..., bool]) -> None:
    """Have this process killed just before a call."""
    whole = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        if which(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*args, **kwargs)

    setattr(owner, name, killed)


# What the child does before it begins, and whether the new run is the one that is left.
MOMENTS: dict[str, tuple[Callable[[], None], bool]] = {
    "half of it is set aside": (
        lambda: before(Path, "rename", lambda path, to: path.name == "metrics.jsonl"), False,
    ),
    "the last is set aside": (
        lambda: before(Path, "rename", lambda path, to: path.name == "args.json"), False,
    ),
    "nothing is written yet": (lambda: before(files, "write_json", lambda *_: True), False),
    "in the second step": (lambda: in_step(1), False),
    "half a checkpoint": (
        lambda: before(checkpoint, "write_into", lambda *_: True), False,
    ),
    "before a checkpoint has its name": (
        lambda: before(os, "rename", lambda one, to: str(to).endswith("step-0000003")), False,
    ),
    "before it is linked": (
        lambda: before(os, "replace", lambda one, to: str(to).endswith("last")), True,
    ),
    "before the old one goes": (lambda: before(earlier, "remove", earlier.is_aside), True),
    "as the old one goes": (
        lambda: before(files, "remove", lambda path: path.name == ".overwritten.plainbert.tmp"),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_it_overwrites(moment: str, given: Path, trained: Path) -> None:
    old, (arrange, is_new) = results(trained), MOMENTS[moment]
    line = words(given, trained, "--seed", "9")
    kill([*line, "--overwrite"], arrange)

    with pytest.raises(UsageError, match="holds a run"):
        main(line)

    if not is_new:
        assert results(trained) == old
        return
    main([*line, "--resume"])
    main(words(given, trained.with_name("whole"), "--seed", "9"))
    (trained / "notes.txt").unlink()
    assert results(trained) == results(trained.with_name("whole"))


@pytest.mark.parametrize("moment", ["in the second step", "half a checkpoint"])
def test_a_run_killed_while_it_overwrites_goes_on(moment: str, given: Path, trained: Path) -> None:
    line = words(given, trained, "--seed", "9")
    kill([*line, "--overwrite"], MOMENTS[moment][0])
    main([*line, "--resume"])
    main(words(given, trained.with_name("whole"), "--seed", "9"))
    (trained / "notes.txt").unlink()
    assert not list(trained.glob(".*plainbert*"))
    assert results(trained) == results(trained.with_name("whole"))


def kill(line: list[str], arrange: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            arrange()
            main(line)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def test_others_beside_a_run_that_is_writing_a_checkpoint(given: Path, tmp_path: Path) -> None:
    """Training there is refused, evaluation is not, and the run ends as it would have alone."""
    folder, wrote = tmp_path / "run", checkpoint.write_into
    line, half = words(given, folder), Pipe()

    def waits(partial: Path, *rest: Any) -> None:
        wrote(partial, *rest)
        if "step-0000006" in partial.name:
            half.tell_and_wait()

    def training() -> None:
        checkpoint.write_into = waits  # type: ignore[assignment]
        main(line)

    with half.beside(training):
        [partial] = folder.glob(".step-*")
        written = content(partial)
        [state] = folder.glob(".state-0000006*")
        assert "training.safetensors" in content(state)
        for more in ((), ("--resume",), ("--overwrite",)):
            with pytest.raises(UsageError, match=r"is in use by process \d+ on .*, since 20"):
                main([*line, *more])
        evaluation = [*line, "--only_inference"]
        evaluation[1] = str(folder / "last")
        assert set(main(evaluation)) == {"dev"}
        assert content(partial) == written
    main(words(given, tmp_path / "alone"))
    assert results(folder) == results(tmp_path / "alone")


def test_a_mistake_of_several_processes_costs_nothing(
    given: Path, trained: Path, tmp_path: Path
) -> None:
    before = content(trained)
    line = words(given, trained, "--overwrite", "--num_local_ranks", "2")
    damaged = shutil.copytree(line[1], tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    line[1] = str(damaged)
    script = str(HERE / "scripts" / "bert" / "finetune_classifier.py")
    done = Command([sys.executable, script, *line], environment()).wait(120)
    assert done.status == 2, done.text
    assert "the run that it was to overwrite is back" in done.text
    assert content(trained) == before


@pytest.mark.parametrize("moment", ["by a mistake", "nothing is written yet", "in the second step"])
def test_a_run_that_is_started_again_does_not_go_on_with_the_old_one(
    moment: str, given: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It overwrites another, and is lost before its first checkpoint."""
    torchrun = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost",
                "TORCHELASTIC_RUN_ID": "a1", "TORCHELASTIC_RESTART_COUNT": "0"}  # fmt: skip
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    line = words(given, trained, "--seed", "9", "--overwrite")
    if moment in MOMENTS:
        kill(line, MOMENTS[moment][0])
    else:
        with monkeypatch.context() as patch:
            patch.setattr(Stepper, "step", stop(1, CheckpointError("worn out")))
            with pytest.raises(CheckpointError):
                main(line)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    main(line)
    assert json.loads((trained / "args.json").read_text())["flags"]["seed"] == 9
    state = json.loads((trained / "last" / "training.json").read_text())
    assert (state["step"], state["order"]["seed"]) == (6, 9)
    assert not list(trained.glob(".*plainbert*"))


class Pipe:
    """Between this process and one beside it, which waits in the middle of its work."""

    def __init__(self) -> None:
        self.at, self.go = os.pipe(), os.pipe()

    def tell_and_wait(self) -> None:
        os.write(self.at[1], b"x")
        os.read(self.go[0], 1)

    @contextmanager
    def beside(self, work: Callable[[], object]) -> Iterator[None]:
        """While the block is done, the other waits; then it comes to its end."""
        child = os.fork()
        if child == 0:
            os.close(self.at[0])
            os.close(self.go[1])
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        os.close(self.at[1])
        os.close(self.go[0])
        try:
            assert os.read(self.at[0], 1) == b"x"
            yield
        finally:
            os.close(self.go[1])
            status = os.waitpid(child, 0)[1]
            os.close(self.at[0])
        assert status == 0


def test_shards_are_not_made_in_the_folder_of_a_model(given: Path, trained: Path) -> None:
    before = content(trained)
    (given / "text.txt").write_text("a b c.\nthe cat.\n\nb a.\nc the cat.\n" * 9)
    line = ["--input_file", str(given / "text.txt"), "--model_dir", str(given / "model"),
            "--max_seq_length", "16", "--num_workers", "0", "--output_dir"]  # fmt: skip
    with pytest.raises(UsageError, match=r"holds a run of another script \(finetune_classifier\)"):
        create([*line, str(trained), "--overwrite"])
    with pytest.raises(UsageError, match=r"holds a run\. Add --overwrite to start"):
        create([*line, str(trained)])
    assert content(trained) == before

    shards = given / "shards"
    create([*line, str(shards)])
    before = content(shards)
    line[3] = str(given / "no-such-model")
    with pytest.raises(PlainBertError):
        create([*line, str(shards), "--overwrite"])
    assert content(shards) == before
    line[3] = str(given / "model")
    create([*line, str(shards), "--overwrite", "--seed", "3"])
    assert json.loads((shards / "args.json").read_text())["flags"]["seed"] == 3
    assert not list(shards.glob(".*"))


def test_a_disk_without_links(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends well, and all that reads a model follows the files that stand for links."""

    def no_links(*names: Any, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", no_links)
    run = tmp_path / "run"
    main(words(given, run))
    best = run / "best"
    assert (run / best.read_text().rstrip()).is_dir()
    main(words(given, run, "--resume", "--epochs", "3"))
    main([*words(given, run, "--only_inference"), "--model_dir", str(best)])
    sentences = ["--model_dir", str(best), "--sentences", "b the a"]
    assert load("predict_classifier")(sentences)
    assert load("embedding")(sentences)["texts"] == ["b the a"]
    (tmp_path / "text.txt").write_text("a b\nb a\n\nthe b\na\n")
    text = ["--input_file", str(tmp_path / "text.txt"), "--max_seq_length", "12"]
    for number, flag in enumerate(("--model_dir", "--vocab")):
        shards = ["--output_dir", str(tmp_path / f"shards{number}"), "--num_workers", "0"]
        create([*text, *shards, flag, str(best), "--max_predictions_per_seq", "2"])
    load("convert_checkpoint")(["--from", str(best), "--to", str(tmp_path / "converted")])
    main(words(given, run, "--overwrite"))
    assert not best.is_symlink()
    assert not [path for path in run.iterdir() if path.name.endswith(".tmp")]


def test_a_link_to_nothing_as_the_run_folder(given: Path, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("disk/run")
    with pytest.raises(UsageError, match="run leads to disk/run, which does not exist"):
        main(words(given, tmp_path / "run"))
    (tmp_path / "disk" / "run").mkdir(parents=True)
    main(words(given, tmp_path / "run"))
    assert (tmp_path / "disk" / "run" / "best").exists()


def test_the_home_folder_and_blanks(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the shell leaves alone, and the printed command as a shell reads it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    line = words(given, tmp_path)[:-2]
    main([*line, "--output_dir=~/my run"])
    assert (tmp_path / "my run" / "best").exists()
    (printed,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("next: ")]
    typed = shlex.split(printed.removeprefix("next: "))
    assert typed[typed.index("--model_dir") + 1] == str(tmp_path / "my run" / "best")


LIMITED = """
import resource, sys
from pathlib import Path
from plainbert.cli.run import run
from tests.helpers import scripts
main = scripts.load(Path(sys.argv[1])).main
sys.dont_write_bytecode = True  # it would leave half a .pyc
for size in sys.argv[2].split(","):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
    try:
        run(lambda: main(sys.argv[3:]))
    except SystemExit as end:
        print("status", end.code)
"""


@pytest.mark.parametrize("name", ["finetune_classifier", "embedding"])
def test_a_limit_on_the_size_of_files(name: str, given: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b the cat\n" * 500)
    lines = {
        "finetune_classifier": words(given, tmp_path / "out"),
        "embedding": [
            "--model_dir", str(given / "model"), "--file", str(text),
            "--output", str(tmp_path / "x.jsonl"),
        ],
    }  # fmt: skip
    script = HERE / "scripts" / "bert" / f"{name}.py"
    line = [sys.executable, "-c", LIMITED, str(script), "5000,20000", *lines[name], "--overwrite"]
    done = subprocess.run(
        line,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.split("status ")[1:] == ["2\n", "2\n"], done.stderr
    assert "Traceback" not in done.stderr
    error = r"error: a file would become larger than .* \(ulimit -f\)"
    assert len(re.findall(error, done.stderr)) == 2
