"""What a start does to a folder that holds something: nothing, but for a run of its own kind."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from plainbert import files
from plainbert.cli.run import kept
from plainbert.errors import UsageError
from plainbert.recipes.shared import flags, lock, output_dir
from plainbert.recipes.shared.settings import DeviceFlags, FolderFlags, RunFlags
from plainbert.recipes.shared.start import Run, start
from plainbert.train import earlier, run_folder
from tests.helpers import kills
from tests.recipes.shared.test_lock import another_process
from tests.train.test_earlier import Tree, tree
from tests.train.test_run_folder import COPIES, HIDDEN, OLD, a_checkpoint, a_run

OURS, OTHER = "run_pretraining", "finetune_ner"


@dataclass(frozen=True, kw_only=True)
class Settings(DeviceFlags, RunFlags):
    """Of a recipe that trains."""

    output_dir: str | None = None
    lr: float = 5e-5
    model_dir: str | None = None
    vocab: str | None = None
    train_file: str | None = None
    labels: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True, kw_only=True)
class WritesFiles(FolderFlags):
    """Of a recipe that does not train."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 0.05)


def parsed(folder: Path, *argv: str) -> Settings:
    return flags.parse(Settings, None, ["--output_dir", str(folder), "--gpus=", *argv])


def begin(folder: Path, *argv: str, new_run: bool = True, recipe: str | None = OURS) -> Run:
    return start(parsed(folder, *argv), new_run, recipe=recipe)


def trained(folder: Path, *steps: int, recipe: str | None = OURS) -> Path:
    """A run that has ended, with what its user put beside it."""
    with begin(folder, recipe=recipe):
        values = (folder / "args.json").read_text()
        a_run(folder, *steps or (100, 200))
        (folder / "args.json").write_text(values)
    (folder / "notes.txt").write_text("mine")
    for name in COPIES:
        a_checkpoint(folder, name)
    return folder


def save(folder: Path, step: int = 10) -> None:
    """What the first checkpoint of a run does."""
    with files.new_folder(folder / f"step-{step:07d}") as partial:
        (partial / run_folder.STATE).write_text("new")
    files.point(folder / "last", f"step-{step:07d}")
    earlier.remove(folder)


def broken(
    error: BaseException, folder: Path, *argv: str, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """A run that does something, and fails."""
    with begin(folder, *argv):
        meanwhile()
        raise error


def untouched(folder: Path, before: Tree, said: str, *argv: str, **kind: str | None) -> None:
    with pytest.raises(UsageError, match=said):
        begin(folder, *argv, **kind)  # type: ignore[arg-type]
    assert tree(folder) == before


# A. Refusals


@pytest.mark.parametrize("argv", [(), ("--resume",), ("--overwrite",)])
def test_hidden_files_of_a_folder_without_a_run(argv: tuple[str, ...], tmp_path: Path) -> None:
    for name in (*HIDDEN, *OLD):
        a_checkpoint(tmp_path, f".d{name}")
        (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    if argv:
        untouched(tmp_path, before, "holds .*no run", *argv)
        return
    with begin(tmp_path):
        save(tmp_path)
    assert before.items() <= tree(tmp_path).items()


def test_a_refused_start_leaves_even_our_leftovers(tmp_path: Path) -> None:
    trained(tmp_path)
    for name in OLD:
        a_checkpoint(tmp_path, name)
    (tmp_path / ".best.plainbert.tmp").symlink_to("step-0000100")
    before = tree(tmp_path)
    untouched(tmp_path, before, "holds a run. Add --resume .* --overwrite")
    untouched(tmp_path, before, "holds a run of another script", "--overwrite", recipe=OTHER)
    untouched(tmp_path, before, "holds a run of run_pretraining.py", "--resume", recipe=OTHER)


@pytest.mark.parametrize("name", ["best", "last", "step-0000100", "log.txt", "notes.txt"])
def test_a_folder_that_holds_no_run_is_not_overwritten(name: str, tmp_path: Path) -> None:
    a_checkpoint(tmp_path, name)
    said = rf"--overwrite: {tmp_path} holds {name} and no run \(no args.json\).*Name another folder"
    untouched(tmp_path, tree(tmp_path), said, "--overwrite")


def test_an_empty_or_missing_folder_has_nothing_to_overwrite(tmp_path: Path) -> None:
    for _ in range(2):
        with begin(tmp_path / "a" / "b", "--overwrite"):
            pass
        assert {path.name for path in (tmp_path / "a/b").iterdir()} == {"args.json", "log.txt"}
        files.remove(tmp_path / "a/b/args.json")
        files.remove(tmp_path / "a/b/log.txt")


FOREIGN = ("{}", '{"lr": 1}', '{"flags": {}}', '{"flags": 3, "versions": {"plainbert": "1"}}', "x")


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("argv", [(), ("--resume",), ("--overwrite",)])
def test_the_args_file_of_another_project(
    content: str, argv: tuple[str, ...], tmp_path: Path
) -> None:
    a_run(tmp_path, 100)
    (tmp_path / "args.json").write_text(content)
    said = "args.json was not written by a run of ours.*another folder"
    untouched(tmp_path, tree(tmp_path), said, *argv)


@pytest.mark.parametrize(
    "name", ["best", "last", "metrics.jsonl", "eval_results.json", "step-0000001"]
)
def test_a_new_run_does_not_replace_what_is_not_its_own(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    untouched(tmp_path, tree(tmp_path), f"{name} is not of a run of ours, .* Move it elsewhere")


@pytest.mark.parametrize("name", ["best", "step-0000300"])
def test_what_is_in_the_way_of_a_new_run_stays(name: str, tmp_path: Path) -> None:
    trained(tmp_path)
    files.remove(tmp_path / name)
    (tmp_path / name).mkdir()
    untouched(tmp_path, tree(tmp_path), f"{name} is not of a run of ours", "--overwrite")


@pytest.mark.parametrize(
    ("flag", "place"),
    [
        ("model_dir", "run/best"),
        ("model_dir", "run/last/"),
        ("model_dir", "run/../run/step-0000100"),
        ("model_dir", "link"),
        ("model_dir", "~/run/best"),
        ("vocab", "run/step-0000200/vocab.txt"),
        ("train_file", "run/log.txt"),
        ("train_file", "run/step-*/model.safetensors"),
    ],
)
def test_the_source_is_not_in_what_is_removed(
    flag: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    trained(tmp_path / "run")
    (tmp_path / "link").symlink_to("run/best")
    said = f"--{flag} is .*run/.*, part of the run in .*run that --overwrite would remove.*the copy"
    untouched(tmp_path / "run", tree(tmp_path / "run"), said, "--overwrite", f"--{flag}", place)


def test_sources_beside_the_run_are_no_hindrance(tmp_path: Path) -> None:
    trained(tmp_path)
    others = ("--model_dir", str(tmp_path / "step-0000100-keep"), "--train_file",
              str(tmp_path / "notes.txt"), "--vocab", str(tmp_path))  # fmt: skip
    with begin(tmp_path, "--overwrite", *others):
        save(tmp_path)
    assert (tmp_path / "step-0000100-keep" / "model.safetensors").exists()


# B. Overwriting


def test_the_old_run_is_there_until_the_new_one_has_a_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path)
    with begin(tmp_path, "--overwrite", "--lr", "1"):
        hidden = tmp_path / earlier.ASIDE
        assert (hidden / "best" / "training.json").exists()
        assert (hidden / "step-0000200" / "model.safetensors").read_text() == "step-0000200"
        assert not (tmp_path / "best").exists()
        save(tmp_path)
        assert not hidden.exists()
    seen = {path.name for path in tmp_path.iterdir()}
    assert seen == {"args.json", "log.txt", "last", "step-0000010", "notes.txt", *COPIES}
    assert json.loads((tmp_path / "args.json").read_text())["flags"]["lr"] == 1
    assert (tmp_path / "log.txt").read_text().count("plainbert 0") == 1


def test_a_run_without_checkpoints_replaces_the_old_one_when_it_ends(tmp_path: Path) -> None:
    trained(tmp_path)
    with begin(tmp_path, "--overwrite"):
        pass
    seen = {path.name for path in tmp_path.iterdir()}
    assert seen == {"args.json", "log.txt", "notes.txt", *COPIES}


@pytest.mark.parametrize("error", [UsageError("no such model"), KeyboardInterrupt(), SystemExit(2)])
def test_a_run_that_fails_first_costs_nothing(
    error: BaseException, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = tree(trained(tmp_path))

    def meanwhile() -> None:
        (tmp_path / "metrics.jsonl").write_text("new")
        assert "--overwrite starts anew" in kept()

    with pytest.raises(type(error)):
        broken(error, tmp_path, "--overwrite", "--lr", "1", meanwhile=meanwhile)
    assert tree(tmp_path) == before
    assert f"{tmp_path}: the new run ended before a checkpoint; the run" in caplog.text
    assert kept() == ""  # of this run nothing is kept


def test_a_start_that_fails_itself_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(trained(tmp_path))

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("plainbert.recipes.shared.start.files.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        begin(tmp_path, "--overwrite")
    assert tree(tmp_path) == before


def test_a_run_that_fails_later_has_replaced_the_old_one(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--overwrite", meanwhile=lambda: save(tmp_path))
    assert [path.name for path in run_folder.checkpoints(tmp_path)] == ["step-0000010"]
    assert not (tmp_path / earlier.ASIDE).exists()


def test_both_scripts_of_pretraining_have_one_recipe() -> None:
    names = ("scripts/bert/run_pretraining.py", "run_pretraining_hvd.py")
    assert {output_dir.recipe_of(name) for name in names} == {OURS}


@pytest.mark.parametrize(
    ("command", "changes", "same"),
    [
        ("/old/place/run_pretraining.py", {"renamed": 1, "lr": None}, True),
        ("run_pretraining_hvd.py", {"renamed": 1, "lr": None}, True),
        ("/usr/bin/pytest", {}, True),  # called from Python
        ("/usr/bin/pytest", {"of_later": 1}, True),
        ("/usr/bin/pytest", {"lr": None}, True),
        ("/usr/bin/pytest", {"tag_scheme": 1, "lr": None}, False),
        ("scripts/bert/finetune_ner.py", {"tag_scheme": 1, "lr": None}, False),
    ],
)
def test_runs_of_earlier_versions(
    command: str, changes: dict[str, int | None], same: bool, tmp_path: Path
) -> None:
    """They did not note their script."""
    trained(tmp_path)
    values = json.loads((tmp_path / "args.json").read_text())
    del values["script"]
    flags = {**values["flags"], **changes}
    values |= {
        "command": [command],
        "flags": {name: value for name, value in flags.items() if name not in changes or value},
    }
    (tmp_path / "args.json").write_text(json.dumps(values))
    with begin(tmp_path, "--resume"):
        (tmp_path / "args.json").write_text(json.dumps(values))
    if not same:
        said = rf"another script \({Path(command).stem}\)"
        untouched(tmp_path, tree(tmp_path), said, "--overwrite")
        return
    with begin(tmp_path, "--overwrite"):
        save(tmp_path)
    assert [path.name for path in run_folder.checkpoints(tmp_path)] == ["step-0000010"]


def test_scripts_are_told_apart_by_their_flags() -> None:
    sets = {
        path.stem: {line.split("\t")[0] for line in path.read_text().splitlines()}
        for path in (Path(__file__).parents[2] / "golden" / "flags").glob("*.tsv")
        if path.stem.startswith(("finetune_", "run_", "create_pretraining"))
    }
    nested = [(a, b) for a in sets for b in sets if a != b and sets[a] <= sets[b]]
    assert {name for pair in nested for name in pair} == {"run_pretraining", "run_pretraining_hvd"}
    assert len(sets) == 6


def test_a_resumed_run_that_is_refused_leaves_its_flags(tmp_path: Path) -> None:
    trained(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--resume", "--seed", "9")
    after = tree(tmp_path)
    assert after.pop("log.txt").startswith(before.pop("log.txt"))
    assert after == before
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--resume", "--lr", "9", meanwhile=lambda: save(tmp_path, 300))
    assert json.loads((tmp_path / "args.json").read_text())["flags"]["lr"] == 9


# C. Kills


def test_killed_at_any_moment_the_next_start_has_the_old_run_or_the_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, ends = tmp_path / "run", []
    whole = tree(trained(tmp_path / "whole"))
    for name in ("log.txt", "args.json"):  # they have times and places
        del whole[name]

    def prepare() -> None:
        files.remove(folder)
        trained(folder)

    def action() -> None:
        with begin(folder, "--overwrite", "--lr", "1"):
            save(folder)

    def check(number: int) -> None:
        caplog.clear()
        pending = (folder / earlier.ASIDE).is_dir()
        if number % 2:
            with pytest.raises(UsageError, match="holds a run. Add --resume"):
                begin(folder)
        else:
            begin(folder, new_run=False)
        found = tree(folder)
        has_old = whole.items() <= found.items()
        assert has_old or found["step-0000010/training.json"] == "new"
        assert has_old != ("step-0000010" in found) or (folder / earlier.ASIDE).exists()
        assert "is back, as it was" in caplog.text or not (pending and has_old)
        ends.append(not has_old)

    count = kills.before_each_change(action, kills.below(folder), prepare, check)
    assert count > 25
    assert ends == sorted(ends)
    assert set(ends) == {False, True}


def test_resuming_a_run_that_was_killed_while_it_overwrote_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the new run that goes on; the old one is still kept until that has a checkpoint."""
    before = tree(trained(tmp_path))
    killed(lambda: begin(tmp_path, "--overwrite", "--lr", "1"))

    def meanwhile() -> None:
        assert "a run that overwrites another goes on" in caplog.text
        assert (tmp_path / earlier.ASIDE / "best").exists()
        assert "resuming with another flag" not in caplog.text

    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--resume", "--lr", "1", meanwhile=meanwhile)
    assert tree(tmp_path) == before
    killed(lambda: begin(tmp_path, "--overwrite", "--lr", "1"))
    with begin(tmp_path, "--resume", "--lr", "1"):
        save(tmp_path)
    assert [path.name for path in run_folder.checkpoints(tmp_path)] == ["step-0000010"]


def test_overwriting_again_after_a_kill_keeps_the_run_that_has_checkpoints(tmp_path: Path) -> None:
    before = tree(trained(tmp_path))
    for _ in range(2):
        killed(lambda: begin(tmp_path, "--overwrite", "--lr", "1"))
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--overwrite")
    assert tree(tmp_path) == before


def test_a_checkpoint_that_is_being_written_in_the_background_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path)
    monkeypatch.setattr("plainbert.recipes.shared.output_dir.background.is_busy", lambda: True)
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--overwrite")
    assert (tmp_path / earlier.ASIDE / "best").exists()
    save(tmp_path)
    assert not (tmp_path / earlier.ASIDE).exists()


def killed(work: Callable[[], object]) -> None:
    with another_process(work):
        pass


# D. Two at a time


@contextlib.contextmanager
def a_living_run(folder: Path) -> Iterator[int]:
    """A run that is writing its second checkpoint."""

    def work() -> None:
        begin(folder)
        save(folder)
        (folder / ".step-0000020.plainbert.tmp").mkdir()
        (folder / ".step-0000020.plainbert.tmp" / "model.safetensors").write_text("half")

    with another_process(work) as child:
        yield child


@pytest.mark.parametrize("argv", [(), ("--resume",), ("--overwrite",)])
def test_a_second_run_is_refused_while_the_first_lives(
    argv: tuple[str, ...], tmp_path: Path
) -> None:
    with a_living_run(tmp_path) as child:
        place = f"{tmp_path} is in use by process {child} on {socket.gethostname()}"
        untouched(tmp_path, tree(tmp_path), place, *argv)
    if argv:
        with begin(tmp_path, *argv):
            pass


def test_evaluation_goes_on_beside_a_living_run(tmp_path: Path) -> None:
    with a_living_run(tmp_path):
        before = tree(tmp_path)
        with begin(tmp_path, "--lr", "3", new_run=False):
            files.write_json(tmp_path / "eval_results.json", {})
        after = tree(tmp_path)
    del after["eval_results.json"]
    assert after.pop("log.txt").startswith(before.pop("log.txt"))
    assert after == before


def test_evaluation_leaves_what_a_living_run_overwrites(tmp_path: Path) -> None:
    trained(tmp_path)
    with another_process(lambda: begin(tmp_path, "--overwrite")):
        begin(tmp_path, new_run=False)
        assert (tmp_path / earlier.ASIDE / "best").exists()
    begin(tmp_path, new_run=False)
    assert (tmp_path / "best").exists()


def test_without_locks_nothing_is_put_back_that_a_living_run_may_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path)
    monkeypatch.setattr(lock, "fcntl", None)
    with another_process(lambda: begin(tmp_path, "--overwrite")):
        begin(tmp_path, new_run=False)
        untouched(tmp_path, tree(tmp_path), "holds a run. Add --resume")
        assert (tmp_path / earlier.ASIDE / "best").exists()
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--resume")
    assert (tmp_path / "best").exists()


@pytest.mark.parametrize("recipe", [OURS, OTHER])
@pytest.mark.parametrize("argv", [(), ("--overwrite",)])
def test_a_command_that_failed_before_it_did_anything_is_no_run(
    recipe: str, argv: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["args.json", "log.txt", "notes.txt"]

    with begin(tmp_path, "--lr", "1e-4", *argv, recipe=recipe):
        save(tmp_path)
    args = json.loads((tmp_path / "args.json").read_text())
    assert (args["flags"]["lr"], args["script"]) == (1e-4, recipe)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    untouched(tmp_path, tree(tmp_path), "holds a run. Add --resume")


@pytest.mark.parametrize("name", ["metrics.jsonl", "eval_results.json", "step-0000100"])
def test_what_a_run_left_makes_it_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path)
    a_checkpoint(tmp_path, name) if name.startswith("step") else (tmp_path / name).write_text("{}")
    untouched(tmp_path, tree(tmp_path), "holds a run. Add --resume")
    untouched(tmp_path, tree(tmp_path), "run of another script", "--overwrite", recipe=OTHER)


def test_shards_are_no_empty_run(tmp_path: Path) -> None:
    settings = WritesFiles.of(output_dir=str(tmp_path))
    with start(settings, recipe="create_pretraining_data"):
        pass
    with start(settings, recipe="create_pretraining_data"):
        (tmp_path / "part-000.npz").write_text("rows")

    untouched(tmp_path, tree(tmp_path), "holds a run. Add --resume")
    with pytest.raises(UsageError, match="holds a run. Add --overwrite"):
        start(settings, recipe="create_pretraining_data")


def test_a_run_that_ended_leaves_no_lock(tmp_path: Path) -> None:
    with begin(tmp_path):
        assert (tmp_path / lock.LOCK_FILE).exists()
    with pytest.raises(KeyError):
        broken(KeyError(), tmp_path, "--resume")
    (tmp_path / "metrics.jsonl").write_text("{}")
    with pytest.raises(UsageError):
        begin(tmp_path)
    names = {"args.json", "log.txt", "metrics.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == names
