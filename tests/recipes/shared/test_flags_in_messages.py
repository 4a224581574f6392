"""A flag that a message, a help text or a refusal proposes exists in the command that shows it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from plainbert.cli import run
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.settings import CommonFlags
from tests.helpers.flag_names import FLAG, Message, named, reached, read_package
from tests.helpers.scripts import HERE, SCRIPTS, parser_of

COMMANDS = [path.stem for path in SCRIPTS if path.stem != "quickstart"]
PACKAGE = read_package(HERE / "plainbert")
# Places that only commands with a certain flag come to: it is checked before.
GUARDS = {
    "plainbert.cli.run": "--resume",
    "plainbert.distributed": "--dist_timeout",
    "plainbert.recipes.shared.held_runs": "--output_dir",
    "plainbert.recipes.shared.output_dir": "--output_dir",
    "plainbert.recipes.shared.ranks": "--dist_timeout",
    "plainbert.export.card": "--int8",
    "plainbert.tasks.classification.columns": "--text_columns",
    "plainbert.tasks.classification.headers": "--text_columns",
    "plainbert.infer.devices": "--gpus",
    "plainbert.infer.gpus": "--gpus",
    "plainbert.export.onnx.format": "--int8",
}
REFUSALS = "plainbert.recipes.shared.older_systems"  # the parsers know whose they are
DEVICES = "this script runs in one process"


@cache
def parser(command: str) -> argparse.ArgumentParser:
    (path,) = (path for path in SCRIPTS if path.stem == command)
    return parser_of(path)


@cache
def taken(command: str) -> frozenset[str]:
    """The flags that a command takes: not those that it refuses."""
    actions = [each for each in parser(command)._actions if not hasattr(each, "reason")]
    return frozenset(option for action in actions for option in action.option_strings)


def lacking(text: str, command: str) -> Iterator[str]:
    """The flags that a text names and that its reader cannot give."""
    first = re.match(r"--[a-z][\w-]*", text)
    if first and first[0] not in taken(command):
        return  # about a flag that cannot have been typed there
    for flag, script in named(text, COMMANDS):
        if flag not in taken(script or command):
            yield f"{flag} of {script or command}"


def messages(command: str) -> Iterator[Message]:
    """Every message that a command can come to show, as far as reading the code tells."""
    recipe = command.removesuffix("_hvd")
    for name, top in reached(PACKAGE, f"plainbert.recipes.{recipe}"):
        guards = [flag for room, flag in GUARDS.items() if f"{name}.".startswith(f"{room}.")]
        if name != REFUSALS and all(flag in taken(command) for flag in guards):
            yield from PACKAGE[name].messages(top)


@pytest.mark.parametrize("command", COMMANDS)
def test_messages_name_flags_that_the_command_has(command: str) -> None:
    shown = list(messages(command))
    faults = {
        f"{message.module}:{message.line}: {fault}: {message.text}"
        for message in shown
        if not message.text.startswith(DEVICES)
        for fault in lacking(message.text, command)
    }

    assert faults == set()
    assert shown


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_refusals_name_flags_that_the_command_has(command: str) -> None:
    texts = [str(parser(command).epilog)]
    for action in parser(command)._actions:
        reason = getattr(action, "reason", None)
        if reason is not None:
            texts.append(reason)
        elif action.help:
            texts.append(re.sub(r" Also: .*?\.(?= |$)", "", action.help))
    faults = [(fault, text) for text in texts for fault in lacking(text, command)]

    assert faults == []


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "launch"])
def test_what_saves_memory(command: str) -> None:
    run.note_folder(None)
    run.note_flags(taken(command))
    try:
        advice = run.explain(MemoryError()) or ""
    finally:
        run.note_flags(())

    assert advice.startswith("out of memory.")
    assert set(FLAG.findall(advice)) <= taken(command)
    assert ("--batch_size" in advice) == ("--batch_size" in taken(command))


def test_a_command_line_tells_its_flags() -> None:
    run.note_folder(None)
    flags.parse(CommonFlags, None, [])
    try:
        assert run.explain(MemoryError()) == (
            "out of memory. Close other programs, or take a machine that has more."
        )
    finally:
        run.note_flags(())


def test_the_check_sees_faults(tmp_path: Path) -> None:
    package = tmp_path / "plainbert"
    for path, source in {
        "recipes/a.py": "from plainbert.data import read\n\ndef run():\n    read()\n",
        "data.py": (
            "from plainbert import other\n"
            "def read():\n    raise ValueError(f'{1}: give --epochs there, or --lr.')\n"
            "def never():\n    '''--seed x'''\n    print('use --seed 1')\n"
            "def write():\n    other.Reader()\n"
        ),
        "other.py": "class Reader:\n    def go(self):\n        return 'x.py takes --gpu 1'\n",
    }.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(source)
    modules = read_package(package)

    places = reached(modules, "plainbert.recipes.a")
    found = [message for name, top in places for message in modules[name].messages(top)]

    assert [message.text for message in found] == ["{}: give --epochs there, or --lr."]
    assert list(lacking(found[0].text, "embedding")) == [
        "--epochs of embedding",
        "--lr of embedding",
    ]
    assert list(lacking("finetune_ner.py takes --lr; not --lr", "embedding")) == [
        "--lr of embedding"
    ]
    (reader,) = modules["plainbert.other"].messages("Reader")
    assert list(named(reader.text, COMMANDS)) == [("--gpu", None)]
    assert ("plainbert.other", "Reader") in reached(modules, "plainbert.data")
