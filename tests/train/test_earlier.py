"""A run that is overwritten: killed at any moment, it is the old run or the new one, as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plainbert import files
from plainbert.errors import UsageError
from plainbert.train import earlier, run_folder
from tests.helpers import kills
from tests.train.test_run_folder import a_checkpoint, a_run

Tree = dict[str, str]


def tree(folder: Path) -> Tree:
    """Every file with what is in it, every link with where it leads to."""
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "/"
        for path in sorted(folder.rglob("*"))
    }


def with_mine(folder: Path) -> Path:
    """A run with what its user put beside it."""
    a_run(folder, 100, 200)
    (folder / "notes.txt").write_text("mine")
    a_checkpoint(folder, "step-0000100-keep")
    (folder / "untrained").mkdir()
    (folder / "untrained" / "model.safetensors").write_text("drawn")
    return folder


def recover(folder: Path) -> None:
    """What a start does first."""
    if earlier.is_aside(folder):
        if earlier.is_replaced(folder) and run_folder.checkpoints(folder):
            earlier.remove(folder)
        else:
            earlier.put_back(folder)
    run_folder.remove_leftovers(folder)


def overwrite(folder: Path) -> None:
    """What a run does that overwrites another, in little."""
    earlier.set_aside(folder)
    files.write_json(folder / "args.json", {"new": True})
    for name in ("log.txt", "metrics.jsonl", "events.out.tfevents.18.host.1.0"):
        (folder / name).write_text("new")
    with files.new_folder(folder / "step-0000010") as partial:
        (partial / "training.json").write_text("new")
    files.point(folder / "last", "step-0000010")
    earlier.remove(folder)


def test_set_aside_and_put_back(tmp_path: Path) -> None:
    before = tree(with_mine(tmp_path))
    earlier.set_aside(tmp_path)
    seen = {name for name in tree(tmp_path) if not name.startswith(earlier.ASIDE)}
    assert {name.partition("/")[0] for name in seen} == {"notes.txt", "step-0000100-keep"}
    assert earlier.is_aside(tmp_path)
    assert not earlier.is_replaced(tmp_path)
    for name in ("args.json", "log.txt", "metrics.jsonl"):
        (tmp_path / name).write_text("new")
    assert earlier.is_replaced(tmp_path)
    earlier.put_back(tmp_path)
    assert tree(tmp_path) == before


def test_a_run_that_is_overwritten_is_gone(tmp_path: Path) -> None:
    with_mine(tmp_path)
    overwrite(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "args.json",
        "log.txt",
        "metrics.jsonl",
        "events.out.tfevents.18.host.1.0",
        "last",
        "step-0000010",
        "step-0000100-keep",
        "notes.txt",
    }


@pytest.mark.volume(sample=12, whole=1000)  # there are about 50 changes of files
def test_killed_before_any_change(
    tmp_path: Path, trials: int, record_property: Callable[[str, object], None]
) -> None:
    with_mine(tmp_path / "whole")
    old = tree(tmp_path / "whole")
    overwrite(tmp_path / "whole")
    new, folder = tree(tmp_path / "whole"), tmp_path / "run"
    ends: list[int] = []
    kills_of_recoveries = 0

    def prepare() -> None:
        files.remove(folder)
        with_mine(folder)

    def check(number: int) -> None:
        nonlocal kills_of_recoveries
        if len(ends) % 6 == 1:  # the recovery is killed, too
            kept = tmp_path / "kept"
            files.remove(kept)
            shutil.copytree(folder, kept, symlinks=True)

            def again() -> None:
                files.remove(folder)
                shutil.copytree(kept, folder, symlinks=True)

            kills_of_recoveries += kills.before_each_change(
                lambda: recover(folder),
                kills.below(folder),
                again,
                lambda _: _check(folder, old, new),
                trials // 2,
            )
            again()
        ends.append(_check(folder, old, new))

    count = kills.before_each_change(
        lambda: overwrite(folder), kills.below(folder), prepare, check, trials
    )
    assert count >= min(trials, 40)
    assert kills_of_recoveries >= count // 3
    record_property("trials", count + kills_of_recoveries)
    assert ends == sorted(ends)  # first the old one, from some moment on the new one
    assert set(ends) == {0, 1}


def _check(folder: Path, old: Tree, new: Tree) -> int:
    recover(folder)
    found = tree(folder)
    if found == old:
        return 0
    # The link may be missing; the run that resumes makes it.
    assert {**found, "last": "-> step-0000010"} == new
    return 1


def test_nothing_of_the_user_is_replaced_by_what_comes_back(tmp_path: Path) -> None:
    with_mine(tmp_path)
    earlier.set_aside(tmp_path)
    (tmp_path / "best").write_text("mine")
    with pytest.raises(UsageError, match=r"best is in the way of the earlier run, .* Move it"):
        earlier.put_back(tmp_path)
    assert (tmp_path / "best").read_text() == "mine"
    (tmp_path / "best").rename(tmp_path / "my best")
    earlier.put_back(tmp_path)
    (tmp_path / "my best").unlink()
    again = tree(tmp_path)
    files.remove(tmp_path)
    assert again == tree(with_mine(tmp_path))


def test_a_failure_while_setting_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = tree(with_mine(tmp_path)), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "log.txt" and target.parent.name == earlier.ASIDE:
            raise PermissionError(13, "no", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PermissionError):
        earlier.set_aside(tmp_path)
    assert tree(tmp_path) == before
