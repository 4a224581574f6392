"""What of a folder is a run's, and what is somebody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plainbert import files
from plainbert.errors import UsageError
from plainbert.train import run_folder


def a_checkpoint(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "model.safetensors").write_text(name)
    (folder / name / "training.json").write_text("{}")
    return folder / name


def a_run(folder: Path, *steps: int) -> Path:
    """A folder as a run leaves it."""
    folder.mkdir(exist_ok=True)
    for step in steps:
        a_checkpoint(folder, f"step-{step:07d}")
        files.point(folder / "last", f"step-{step:07d}")
    if steps:
        files.point(folder / "best", f"step-{steps[0]:07d}")
    for name in (
        "log.txt",
        "metrics.jsonl",
        "eval_results.json",
        "events.out.tfevents.17.host.1.0",
    ):
        (folder / name).write_text(f"of {steps}")
    values = {"flags": {"lr": 1}, "versions": {"plainbert": "0.1.0"}, "steps": steps}
    (folder / "args.json").write_text(json.dumps(values))
    return folder


COPIES = (
    "step-0000100-keep", "step-0000100 (copy)", "step-0000100.bak", "step-100", "step-00000100",
    "step-0000100\n", "step-", "step-final", "step-000010x", "step-٠٠٠٠١٠٠", "Step-0000100",
    "my step-0000100",
)  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
def test_names_that_we_would_not_write(name: str, tmp_path: Path) -> None:
    a_checkpoint(tmp_path, name)
    assert run_folder.step_of(name) is None
    assert run_folder.checkpoints(tmp_path) == []
    assert run_folder.newest_step(tmp_path) == -1
    assert run_folder.written(tmp_path) == run_folder.in_the_way(tmp_path) == []


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    steps = (9_999_998, 10_000_000, 9_999_999, 123_456_789)
    for step in steps:
        a_checkpoint(tmp_path, f"step-{step:07d}")
    assert [run_folder.step_of(path.name) for path in run_folder.checkpoints(tmp_path)] == sorted(
        steps
    )
    assert run_folder.newest_step(tmp_path) == 123_456_789


def test_a_folder_without_the_mark_is_no_checkpoint(tmp_path: Path) -> None:
    a_run(tmp_path, 100, 200)
    for name in ("step-0000050", "step-0000300"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("mine")
    names = [path.name for path in run_folder.checkpoints(tmp_path)]
    assert names == ["step-0000100", "step-0000200"]
    assert [path.name for path in run_folder.in_the_way(tmp_path)] == [
        "step-0000050",
        "step-0000300",
    ]
    with pytest.raises(UsageError, match=r"step-0000300 has the name of a later .* Move it elsewh"):
        run_folder.newest_step(tmp_path)
    (tmp_path / "step-0000300").rename(tmp_path / "mine")
    assert run_folder.newest_step(tmp_path) == 200


def test_what_a_run_wrote(tmp_path: Path) -> None:
    a_run(tmp_path, 100, 200)
    own = {path.name for path in tmp_path.iterdir()}
    for name in ("notes.txt", "log.txt.1", "events.out.tfevents.mine", "predictions.json"):
        (tmp_path / name).write_text("")
    for name in ("raw_cache", "untrained", "step-0000100-keep", "checkpoints"):
        (tmp_path / name).mkdir()
    paths = run_folder.written(tmp_path)
    assert {path.name for path in paths} == own
    assert paths[-1].name == "args.json"


def test_links_of_others_are_in_the_way(tmp_path: Path) -> None:
    a_checkpoint(tmp_path / "elsewhere", "model")
    (tmp_path / "best").symlink_to("elsewhere/model")
    (tmp_path / "last").mkdir()
    assert [path.name for path in run_folder.in_the_way(tmp_path)] == ["best", "last"]
    assert run_folder.written(tmp_path) == []


def test_a_copied_run_has_folders_for_links(tmp_path: Path) -> None:
    a_run(tmp_path, 100)
    (tmp_path / "best").unlink()
    a_checkpoint(tmp_path, "best")
    assert tmp_path / "best" in run_folder.written(tmp_path)
    assert run_folder.in_the_way(tmp_path) == []


HIDDEN = (
    ".notes.tmp", ".session.tmp", ".step-0000100.tmp.mine", ".best.backup.tmp", ".plainbert.tmp",
    ".step-100.tmp", ".predictions.json.abcdefgh.plainbert.tmp", ".vectors.npz.plainbert.tmp",
    ".args.json.mine.tmp", "..tmp", ".tmp",
)  # fmt: skip
OLD = (".step-0000300.tmp", ".step-0000100.old.tmp", ".step-12345678.tmp")


def test_leftovers_are_told_from_hidden_files(tmp_path: Path) -> None:
    a_run(tmp_path, 100)
    whole = {path.name for path in tmp_path.iterdir()}
    for name in HIDDEN:
        (tmp_path / name).write_text("mine")
        (tmp_path / f".{name}.d.tmp").mkdir()
    (tmp_path / ".last.tmp").write_text("a file, where an old version had a link")
    others = {path.name for path in tmp_path.iterdir()} - whole
    for name in (*OLD, ".step-0000400.plainbert.tmp", ".step-0000100.old.plainbert.tmp"):
        a_checkpoint(tmp_path, name)
    (tmp_path / ".best.tmp").symlink_to("step-0000100")
    (tmp_path / ".last.plainbert.tmp").symlink_to("step-0000100")
    for name in (".args.json.0a_bcdef.tmp", ".metrics.jsonl.0a_bcdef.plainbert.tmp"):
        (tmp_path / name).write_text("{")

    run_folder.remove_leftovers(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == whole | others


def test_old_leftovers_stay_where_no_run_is(tmp_path: Path) -> None:
    for name in OLD:
        a_checkpoint(tmp_path, name)
    run_folder.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(OLD)


def test_removing_a_checkpoint_that_lies_elsewhere_removes_the_link(tmp_path: Path) -> None:
    a_run(tmp_path / "run", 100)
    place = (tmp_path / "run" / "step-0000100").rename(tmp_path / "large disk")
    (tmp_path / "run" / "step-0000100").symlink_to(place)
    run_folder.remove_checkpoint(tmp_path / "run" / "step-0000100")
    assert sorted(os.listdir(place)) == ["model.safetensors", "training.json"]
    assert not list((tmp_path / "run").glob("*step-*"))


def a_state(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "training.safetensors").write_text(name)
    return folder / name


def test_states_are_of_the_run(tmp_path: Path) -> None:
    a_run(tmp_path, 100, 200)
    own = a_state(tmp_path, "state-0000200")
    for name in ("state-200", "state-0000200-keep", "state"):
        a_state(tmp_path, name)
    (tmp_path / "state-0000300").mkdir()  # somebody else's
    assert run_folder.states(tmp_path) == [own]
    assert own in run_folder.written(tmp_path)
    assert [path.name for path in run_folder.in_the_way(tmp_path)] == ["state-0000300"]


def test_where_the_state_of_a_checkpoint_is(tmp_path: Path) -> None:
    a_run(tmp_path, 100, 200)
    last = tmp_path / "step-0000200"
    with pytest.raises(UsageError, match=r"state-0000200 is not there: it holds the optimizer's"):
        run_folder.optimizer_state(last)
    (last / "training").mkdir()  # as an earlier version wrote it
    assert run_folder.optimizer_state(last) == last
    own = a_state(tmp_path, "state-0000200")
    assert run_folder.optimizer_state(last) == own
