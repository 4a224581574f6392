"""``plainbert.folders``: what takes the place of older files, and what a kill leaves of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plainbert import files, folders
from plainbert.errors import FormatError, UsageError
from tests.helpers import kills
from tests.helpers.processes import wait_for

NAMES = ("a.txt", "b-*.txt", "whole.txt")
MARK = "mark.txt"
ASIDE = f".out.old{files.PARTIAL}"
OLD = {"a.txt": "old", "b-1.txt": "old", "b-2.txt": "old", "whole.txt": "old"}
NEW = {"b-0.txt": "new", "b-1.txt": "new", "whole.txt": "new"}


def write(folder: Path, content: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    """What is in a folder; folders in it end in a slash."""
    return {
        path.name + "/" * path.is_dir(): "" if path.is_dir() else path.read_text()
        for path in folder.iterdir()
    }


def publish(folder: Path, content: dict[str, str] = NEW) -> None:
    with folders.published(folder, NAMES) as work:
        write(work, content)


def test_files_appear_together_beside_those_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    with folders.published(folder, NAMES) as work:
        write(work, {**OLD, "scratch": "for the work only"})
        assert [path.name for path in folder.iterdir()] == [work.name]
    assert read(folder) == OLD
    (folder / "notes.txt").write_text("mine")
    (folder / "sub").mkdir()
    publish(folder)
    assert read(folder) == {**NEW, "notes.txt": "mine", "sub/": ""}
    assert not folders.finish(folder)
    assert not folders.finish(tmp_path / "absent")


def test_what_fails_leaves_the_older_files(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    with pytest.raises(TypeError), folders.published(tmp_path, NAMES) as work:
        write(work, {**NEW, "scratch": None})  # type: ignore[dict-item]
    assert read(tmp_path) == OLD


@contextlib.contextmanager
def refused(words: str, folder: Path) -> Iterator[None]:
    """Before any work, and nothing in the folder changes."""
    before = read(folder)
    with pytest.raises(UsageError, match=words), folders.published(folder, NAMES):
        raise AssertionError("the work began")
    assert read(folder) == before
    yield


def test_what_is_in_the_way(tmp_path: Path) -> None:
    write(tmp_path / "b-7.txt", {"mine": ""})
    with refused(r"b-7\.txt is a folder that is in the way", tmp_path):
        shutil.rmtree(tmp_path / "b-7.txt")
    for name in (
        folders.COMMITTED,
        f"{folders.COMMITTED}{files.PARTIAL}",
    ):  # not ours: there is no list of steps
        write(tmp_path / name, {"mine": ""})
        with refused(f"{name} is a folder that is in the way", tmp_path):
            shutil.rmtree(tmp_path / name)
    publish(tmp_path)
    assert read(tmp_path) == NEW


@pytest.mark.parametrize(
    "steps",
    ["", "[]", "{", "null", '{"removed": 1, "files": []}', '{"files": []}', "[" * 9999,
     '{"removed": ["../mine"], "files": []}', '{"removed": [], "files": ["/mine"]}',
     '{"removed": [".."], "files": []}', '{"removed": ["a\\u0000"], "files": []}'],
)  # fmt: skip
def test_garbled_steps_remove_nothing(tmp_path: Path, steps: str) -> None:
    (tmp_path / "mine").write_text("")
    write(tmp_path / "out" / folders.COMMITTED, {"plainbert-journal.json": steps, **NEW})
    with pytest.raises(FormatError, match=r"plainbert-journal\.json"):
        folders.finish(tmp_path / "out")
    assert (tmp_path / "mine").exists()
    assert read(tmp_path / "out" / folders.COMMITTED).keys() > NEW.keys()


def test_a_kill_leaves_one_set_or_less_of_it_and_the_rest_is_finished(tmp_path: Path) -> None:
    folder, states = tmp_path / "out", []

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, {**OLD, "notes.txt": "mine"})

    def check(number: int) -> None:
        shown = {name: text for name, text in read(folder).items() if name[0] != "."}
        assert shown.pop("notes.txt") == "mine"
        assert shown.items() <= OLD.items() or shown.items() <= NEW.items()
        if "whole.txt" in shown:
            assert shown in (OLD, NEW)
        finished = folders.finish(folder)
        now = {name: text for name, text in read(folder).items() if name[0] != "."}
        assert now == {**(NEW if finished or shown == NEW else OLD), "notes.txt": "mine"}
        states.append(tuple(sorted(shown.items())))
        publish(folder)
        assert read(folder) == {**NEW, "notes.txt": "mine"}

    done = kills.before_each_change(lambda: publish(folder), kills.below(folder), prepare, check)
    assert done > 20
    assert len(set(states)) == 1 + len(OLD) + len(NEW)  # each step on the way was seen


def slow(call: Callable[..., None]) -> Callable[..., None]:
    def slowed(*values: object) -> None:
        time.sleep(random.uniform(0, 0.01))
        call(*values)

    return slowed


def _finish(folder: Path, ready: Callable[[], int]) -> None:
    ready()
    random.seed()
    os.rename, os.unlink = slow(os.rename), slow(os.unlink)
    folders.finish(folder)
    assert {name for name in read(folder) if name[0] != "."} == NEW.keys()


def on_its_way(folder: Path) -> Path:
    """The older files, and a new set that a kill kept from its place."""
    write(folder, OLD)
    steps = {"removed": [*OLD], "files": [*NEW]}
    write(folder / folders.COMMITTED, {"plainbert-journal.json": json.dumps(steps), **NEW})
    return folder / folders.COMMITTED / "plainbert-journal.json"


def test_several_processes_finish_one_set(tmp_path: Path) -> None:
    """All see the set whole when they have looked, also while another one is at it."""
    context = multiprocessing.get_context("fork")
    for number in range(10):
        folder = tmp_path / str(number)
        on_its_way(folder)
        barrier = context.Barrier(4)
        processes = [context.Process(target=_finish, args=(folder, barrier.wait)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4
        assert read(folder) == NEW


def test_who_waited_for_another_does_not_touch_what_came_since(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with on_its_way(folder).open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        process = multiprocessing.get_context("fork").Process(target=folders.finish, args=(folder,))
        process.start()
        waits = re.compile(rf"-> POSIX .* {process.pid} ")
        wait_for(lambda: waits.search(Path("/proc/locks").read_text()) is not None)
        shutil.rmtree(folder / folders.COMMITTED)
        write(folder, {"a.txt": "newer"})
        fcntl.lockf(file, fcntl.LOCK_UN)
        process.join()
    assert process.exitcode == 0
    assert read(folder)["a.txt"] == "newer"


def replace(path: Path, text: str) -> None:
    with folders.replaced_folder(path, MARK) as partial:
        write(partial, {MARK: text, "more": text})
        write(partial / "deep", {"more": text})


def test_a_killed_replacement_is_finished_or_undone(tmp_path: Path) -> None:
    place, seen = tmp_path / "place", set()
    path = place / "out"

    def prepare() -> None:
        shutil.rmtree(place, ignore_errors=True)
        replace(path, "old")

    def texts() -> set[str]:
        return {(path / name).read_text() for name in (MARK, "more", "deep/more")}

    def check(number: int) -> None:
        seen.add(tuple(sorted(read(place))))
        missing = not path.exists()
        assert missing or texts() in ({"old"}, {"new"})
        assert folders.finish_folder(path, MARK) == missing
        assert texts() in ({"old"}, {"new"})
        replace(path, "newer")
        assert texts() == {"newer"}
        assert read(place) == {"out/": ""}

    done = kills.before_each_change(
        lambda: replace(path, "new"), kills.below(place), prepare, check
    )
    assert done > 15
    assert (".out.new/", f"{ASIDE}/") in seen


def test_an_older_folder_comes_back_where_the_new_one_is_lost(tmp_path: Path) -> None:
    write(tmp_path / ASIDE, {MARK: "old"})
    assert folders.finish_folder(tmp_path / "out", MARK)
    assert read(tmp_path / "out") == {MARK: "old"}
    assert not folders.finish_folder(tmp_path / "out", MARK)


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    replace(path, "old")
    monkeypatch.chdir(path)
    assert not folders.finish_folder(".", MARK)
    replace(Path(), "new")
    assert read(tmp_path) == {"out/": ""}
    assert read(path)[MARK] == "new"
    monkeypatch.chdir(path)  # anew: the older folder is gone
    for place in ("/", ".."):
        with pytest.raises(UsageError, match=r"exists and has no mark\.txt"):
            replace(Path(place), "new")


def test_a_folder_that_is_not_ours_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(path, {"mine": ""})
    with pytest.raises(UsageError, match=r"out exists and has no mark\.txt: it is not replaced"):
        replace(path, "new")
    write(path, {MARK: "mine"})
    with (
        pytest.raises(UsageError, match=r"its mark\.txt is something else than ours"),
        folders.replaced_folder(path, MARK, lambda _: False),
    ):
        pass
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match="link exists"):
        replace(tmp_path / "link", "new")
    assert read(path) == {"mine": "", MARK: "mine"}
    for name in (".out.new", ASIDE):
        write(tmp_path / name, {"mine": ""})
        with pytest.raises(UsageError, match=rf"{name} is in the way of a new out: move it away"):
            replace(path, "new")
        assert read(tmp_path / name) == {"mine": ""}
        shutil.rmtree(tmp_path / name)
