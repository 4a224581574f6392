"""What becomes of the folder that ``--output_dir`` names, and of the run that is in it.

Nothing is touched before everything is checked, only one run at a time writes, and the run that
``--overwrite`` replaces is set aside until the new one has a checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.cli import run
from plainbert.errors import FormatError, UsageError
from plainbert.infer.evaluation import RESULTS_FILE
from plainbert.keys import schema
from plainbert.keys.run_files import ARGS
from plainbert.patterns import matching
from plainbert.recipes.shared.held_runs import no_run_in, run_in
from plainbert.recipes.shared.lock import LOCK_FILE, Lock
from plainbert.recipes.shared.settings import FolderFlags, RunFlags
from plainbert.train import background, earlier, run_folder
from plainbert.train.run_folder import ARGS_FILE, LOG_FILE

log = logging.getLogger(__name__)

# Flags that a resumed run may have otherwise.
_FREE = {"resume", "overwrite", "verbose", "start_step"}
_OUTPUTS = {"output_dir", "save_checkpoint_prefix"}


class Claim:
    """A run folder in use by this process: locked until :meth:`end`.

    Args:
        folder: the run folder.
        lock: of it.
        resumed: whether the run in it goes on.
    """

    def __init__(self, folder: Path, lock: Lock, resumed: bool) -> None:
        self.folder, self._lock = folder, lock
        self._began = run_folder.checkpoints(folder)
        self._args = (folder / ARGS_FILE).read_bytes() if resumed else None

    def end(self, failed: bool) -> None:
        """Let go of the folder; an earlier run that is still set aside comes back, or goes.

        Args:
            failed: the run did not do what it was to do.
        """
        if failed and background.is_busy():
            return  # a checkpoint is being written: if it gets done, the earlier run is no more
        try:
            if not failed:
                earlier.remove(self.folder)
            elif earlier.is_aside(self.folder):
                _put_back(self.folder)
            elif self._args is not None and run_folder.checkpoints(self.folder) == self._began:
                with files.atomic_file(self.folder / ARGS_FILE) as file:
                    file.write(self._args)  # nothing was trained with other flags
        except (OSError, UsageError) as error:  # what failed before is the news
            log.warning("%s", error)
        self._lock.release()


def claim(folder: Path, settings: FolderFlags, recipe: str | None) -> Claim:
    """Make the folder of a run that trains, or decide what happens to the run that is in it.

    Args:
        folder: of ``--output_dir``.
        settings: of the recipe; only those that are ``RunFlags`` can go on with a run.
        recipe: its name; ``--overwrite`` and ``--resume`` spare the runs of others.

    Raises:
        UsageError: the folder is in use, or holds what the flags do not go with; it is as it was.
    """
    resume, overwrite = isinstance(settings, RunFlags) and settings.resume, settings.overwrite
    _check_folder(folder)
    if resume and not folder.exists():
        raise no_run_in(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock.take(folder)
    try:
        if not earlier.is_replaced(folder) or overwrite or (lock.is_held and not resume):
            _put_back(folder)
        elif resume:
            log.warning("%s: a run that overwrites another goes on.", folder)
        if resume:
            _check_resumed(folder, recipe)
        elif overwrite:
            _check_overwritten(folder, settings, recipe)
        else:
            _check_new(folder, settings, lock)
        if overwrite and (folder / ARGS_FILE).exists():
            earlier.remove(folder)
            earlier.set_aside(folder)
            log.info("the run in %s is kept until the new one has saved a checkpoint.", folder)
        return Claim(folder, lock, resume)
    except BaseException:
        lock.release()
        raise


def beside(folder: Path) -> None:
    """Make the folder of a script that only writes results, or join the run that is in it.

    A run that trains there may be under way: nothing of it is touched, and no lock is needed. If
    one was killed while it overwrote another, that one is put back.

    Raises:
        UsageError: the folder is a file.
    """
    _check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not earlier.is_aside(folder):
        return
    try:
        lock = Lock.take(folder)
    except UsageError:  # a run is under way, and will see to it
        return
    try:
        if lock.is_held:
            _put_back(folder)
    finally:
        lock.release()


def differences(folder: Path, settings: FolderFlags) -> list[str]:
    """Flags whose values are not those that the run in a folder was started with."""
    before = (_args_of(folder) or {}).get("flags", {})
    now = json.loads(json.dumps(settings.values()))  # tuples become lists, as in the file
    return [
        f"--{name} was {before[name]}, is {now[name]}"
        for name in sorted(before.keys() & now.keys() - _FREE)
        if before[name] != now[name]
    ]


def recipe_of(script: str) -> str:
    """The recipe behind a script's path; run_pretraining.py has two names, for the same runs."""
    return Path(script).stem.removesuffix("_hvd")


def launch_of(folder: Path) -> str | None:
    """Which launch began the run in a folder; None when there is no run."""
    values = _args_of(folder)
    return None if values is None else str(values.get("launch", ""))


def _check_folder(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        target = os.readlink(folder)
        raise UsageError(f"--output_dir {folder} leads to {target}, which does not exist: make it.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir {folder} is a file; the name of a folder is expected.")


def _put_back(folder: Path) -> None:
    """Undo the overwriting of a run by one that ended before its first checkpoint."""
    if not earlier.is_aside(folder):
        return
    if earlier.is_replaced(folder) and run_folder.checkpoints(folder):
        return  # the end came just before the earlier run was removed
    earlier.put_back(folder)
    run.note_folder(None)  # what it holds is not of this run
    ended = "the new run ended before a checkpoint; the run that it was to overwrite is back"
    log.warning("%s: %s, as it was.", folder, ended)


def _check_new(folder: Path, settings: FolderFlags, lock: Lock) -> None:
    """Refuse to begin a run where there is one, or what a run would replace."""
    if (folder / ARGS_FILE).exists():
        values = _args_of(folder)
        if values is None:
            raise _not_ours(folder)
        # Without a lock nobody knows whether a run that has left nothing yet is still alive.
        if not lock.is_held or _is_begun(folder, values):
            raise run_in(folder, resumable=isinstance(settings, RunFlags))
    names = (run_folder.METRICS_FILE, RESULTS_FILE)
    _refuse_in_the_way(
        [*run_folder.in_the_way(folder), *filter(Path.exists, map(folder.joinpath, names))]
    )


def _check_resumed(folder: Path, recipe: str | None) -> None:
    """Refuse to go on with no run, or with that of another script."""
    if not (folder / ARGS_FILE).exists():
        raise no_run_in(folder)
    values = _args_of(folder)
    if values is None:
        raise _not_ours(folder)
    if recipe is not None and values.get("script", recipe) != recipe:
        raise UsageError(
            f"--resume: {folder} holds a run of {values['script']}.py, and this is "
            f"{recipe}.py. Name the folder of one of its own runs with --output_dir."
        )


def _check_overwritten(folder: Path, settings: FolderFlags, recipe: str | None) -> None:
    """Refuse to overwrite anything but an earlier run of the same script."""
    if not (folder / ARGS_FILE).exists():
        names = sorted(path.name for path in folder.iterdir() if path.name != LOCK_FILE)
        if others := [name for name in names if not name.endswith(files.PARTIAL)]:
            raise UsageError(
                f"--overwrite: {folder} holds {others[0]} and no run (no {ARGS_FILE}): only an "
                "earlier run of the same script is overwritten. Name another folder with "
                "--output_dir, or leave --overwrite out."
            )
        return
    values = _args_of(folder)
    if values is None:
        raise _not_ours(folder)
    if _is_begun(folder, values) and not _is_same_script(values, settings, recipe):
        command = values.get("script") or Path([*values.get("command", []), "?"][0]).stem
        raise UsageError(
            f"--overwrite: {folder} holds a run of another script ({command}): only an earlier run "
            "of the same script is overwritten. Name another folder with --output_dir."
        )
    _refuse_in_the_way(run_folder.in_the_way(folder))
    parts = [Path(os.path.realpath(path)) for path in run_folder.written(folder)]
    for name, path in _paths_in(settings):
        if any(path == part or part in path.parents for part in parts):
            raise UsageError(
                f"--{name} is {path}, part of the run in {folder} that --overwrite would remove. "
                "Name another folder with --output_dir, or copy it elsewhere and name the copy."
            )


def _paths_in(settings: FolderFlags) -> list[tuple[str, Path]]:
    """Every flag that may name a path to read, and where that leads to."""
    paths = []
    for name, value in settings.values().items():
        if name in _OUTPUTS:
            continue
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                text = os.path.expanduser(text)
                paths += [(name, Path(os.path.realpath(path))) for path in [text, *matching(text)]]
    return paths


def _is_begun(folder: Path, values: dict[str, Any]) -> bool:
    """Whether the run that noted these values came to do anything before it ended."""
    if run_folder.is_begun(folder):
        return True
    # Scripts that do not train leave files of their own.
    mere = {ARGS_FILE, LOG_FILE, LOCK_FILE}
    others = [path.name for path in folder.iterdir() if path.name not in mere]
    return "resume" not in values["flags"] and not all(name.startswith(".") for name in others)


def _is_same_script(values: dict[str, Any], settings: FolderFlags, recipe: str | None) -> bool:
    """Whether the script that wrote ``args.json`` is this one."""
    if recipe is not None and "script" in values:
        return bool(values["script"] == recipe)
    # Written before scripts left their name: by its command, or else by the flags it knew.
    command = values.get("command")
    if recipe is not None and command and recipe_of(str(command[0])) == recipe:
        return True
    before, now = set(values["flags"]), settings.values().keys()
    return before <= now or now <= before


def _args_of(folder: Path) -> dict[str, Any] | None:
    """What a run of ours noted about itself; None when there is none, or another's file."""
    try:
        values = files.read_json(folder / ARGS_FILE)
        schema.check_forms(values, ARGS, ARGS_FILE, ("flags", "versions"))
    except (OSError, FormatError):
        return None
    return values if "plainbert" in values["versions"] else None


def _refuse_in_the_way(paths: list[Path]) -> None:
    if paths:
        raise UsageError(
            f"{paths[0]} is not of a run of ours, and has a name that a run needs. Move it "
            "elsewhere, or name another folder with --output_dir."
        )


def _not_ours(folder: Path) -> UsageError:
    return UsageError(
        f"{folder / ARGS_FILE} was not written by a run of ours, and a run needs that name. Name "
        "another folder with --output_dir."
    )
