"""What may be left of a command, and what may not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from plainbert import files
from tests.drill.child import Around, Child, Ended, import_once, plainly
from tests.drill.commands import Command, Content, normal


class Fault(Exception):
    """A trial ended in something else than it may."""


class Bench:
    """A command, what it writes when nobody disturbs it, and the place where it is disturbed.

    Args:
        command: which.
        root: a folder for it alone.
    """

    def __init__(self, command: Command, root: Path) -> None:
        self.command, self.root, self.place = command, root, root / "place"
        self.stored = {which: root / which for which in ("old", "new")}
        self.sets: dict[str, Content] = {}
        for which, folder in self.stored.items():
            self.sets[which] = self._undisturbed(which, folder)
        again = self._undisturbed("new", root / "again")
        differ = [name for name, data in self.sets["new"].items() if again.get(name) != data]
        if differ or again.keys() != self.sets["new"].keys() or again == self.sets["old"]:
            raise Fault(f"{command.name}: two runs differ in {differ}, or old and new do not")
        # Of each set, what is in its files; links are left out.
        self._plain = {
            which: {
                name: data
                for name, data in command.parts(content).items()
                if not (self.stored[which] / command.output / name).is_symlink()
            }
            for which, content in self.sets.items()
        }
        self.changes: dict[bool, int] = {}  # of files, by whether there is an older result

    def _undisturbed(self, which: str, folder: Path) -> Content:
        folder.mkdir(parents=True, exist_ok=True)
        argv = self.command.argv(which, folder)
        ended = import_once(
            lambda around: Child(self.command.main, argv, self.root / "log", around)
        )
        if not ended.is_done:
            raise Fault(f"{self.command.name} does not work: {ended.status}\n{ended.text}")
        return self.command.content(folder)

    def prepare(self, older: bool, place: Path | None = None) -> Path:
        """The state in which a trial begins.

        Args:
            older: whether there is an older result.
            place: where; the bench's own place where it is not given.
        """
        place = place or self.place
        shutil.rmtree(place, ignore_errors=True)
        if older:
            shutil.copytree(self.stored["old"], place, symlinks=True)
        else:
            place.mkdir(parents=True)
        return place

    def start(
        self,
        place: Path,
        *more: str,
        which: str = "new",
        log: str = "log",
        around: Around = plainly,
    ) -> Child:
        argv = self.command.argv(which, place, *more)
        return Child(self.command.main, argv, self.root / log, around)

    def first_words(self, older: bool) -> list[str]:
        return ["--overwrite"] if older else []

    # What is seen

    def state(self, place: Path, older: bool) -> str:
        """Name the state of a place in which a command was stopped.

        Raises:
            Fault: it is none of those that may be.
        """
        content = self.command.content(place)
        if content == self.sets["new"]:
            return "whole"
        if content == (self.sets["old"] if older else {}):
            return "untouched"
        parts = self.command.parts(content)
        right = {which: self.command.parts(made) for which, made in self.sets.items()}
        kinds = ["old", "new"] if older else ["new"]
        if not any(parts.items() <= right[which].items() for which in kinds):
            raise Fault(f"a mixture, or half a file, of {[*parts]}")
        if older and not self._is_kept(place, parts, right):
            raise Fault(f"the older result is lost, and no new one is there: {[*content]}")
        return "under way"

    def _is_kept(self, place: Path, parts: Content, right: dict[str, Content]) -> bool:
        """Whether the old result, or the new one, is there, if under other names."""
        if self.command.is_run and parts and parts.items() <= right["new"].items():
            return True  # it can be resumed
        held = {normal(path, place) for path in place.rglob("*") if path.is_file()}
        return any(set(files.values()) <= held for files in self._plain.values())

    # What follows

    def follow(self, place: Path, older: bool) -> str:
        """Start again, and see that the result is that of a command that nobody disturbed.

        Raises:
            Fault: it is not.
        """
        before = self.command.content(place)
        if not self.command.overwrites:
            ended = self.start(place).end()
            if before and not ended.is_refused:
                raise Fault(f"it wrote over what is there: {shortened(ended)}")
            if not before and not ended.is_done:
                raise Fault(f"it cannot start again: {shortened(ended)}")
            return self._checked(place, "done again" if not before else "refused")
        way = "done again"
        if self.command.resumes:
            ended = self.start(place, "--resume").end()
            if ended.is_done:
                content = self.command.content(place)
                if content == self.sets["new"]:
                    return self._checked(place, "resumed")
                if not (older and content == self.sets["old"]):
                    raise Fault(f"--resume gives another result in {self._differing(content)}")
            elif not ended.is_refused:
                raise Fault(f"--resume: {shortened(ended)}")
            elif self.state(place, older) == "under way" and self._has_steps(place):
                raise Fault(f"--resume is refused: {shortened(ended)}")
        ended = self.start(place, "--overwrite").end()
        if not ended.is_done:
            raise Fault(f"--overwrite: {shortened(ended)}")
        return self._checked(place, way)

    def _has_steps(self, place: Path) -> bool:
        """Whether a new run left a checkpoint, from which it can go on."""
        parts = self.command.parts(self.command.content(place))
        new = self.command.parts(self.sets["new"])
        return self.command.is_run and bool(parts) and parts.items() <= new.items()

    def _checked(self, place: Path, way: str) -> str:
        content = self.command.content(place)
        if content != self.sets["new"]:
            raise Fault(f"{way}, with another result in {self._differing(content)}")
        hidden = list(place.rglob(".*"))
        rests = [path for path in hidden if path.is_file() and path.name.endswith(files.PARTIAL)]
        if len(rests) < len(hidden):
            raise Fault(f"{way}, and left behind: {sorted({*hidden} - {*rests})}")
        # Nobody reads it, and nobody can know that no other process is writing it.
        return f"{way}, a half-written file stays hidden" if rests else way

    def _differing(self, content: Content) -> list[str]:
        new = self.sets["new"]
        return sorted(name for name in content | new if content.get(name) != new.get(name))


def shortened(ended: Ended) -> str:
    """How a command ended, in a few lines."""
    text = re.sub(r"\r[^\n]*", "", ended.text).strip()
    return f"status {ended.status}: ...{text[-1500:]}"
