"""``--help`` shows what matters on one screen, ``--help-all`` everything."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from plainbert.cli.help import default_words
from plainbert.cli.parser import Parser
from plainbert.recipes.commands import SUMMARIES
from tests.helpers.scripts import SCRIPTS, parser_of

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = list(SUMMARIES)


def parser(command: str) -> Parser:
    (path,) = (path for path in SCRIPTS if path.stem == command)
    built = parser_of(path)
    assert isinstance(built, Parser)
    return built


def printed(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        import_module(f"plainbert.recipes.{command}").parse_args([flag])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def entries(text: str) -> dict[str, str]:
    """The flags, and positional words, that a help shows, with their texts in one line each."""
    parts = re.split(r"^  (?=\S)", text.split("\nexample:")[0], flags=re.MULTILINE)[1:]
    return {part.split()[0].rstrip(","): " ".join(part.split("\n\n")[0].split()) for part in parts}


def shown(command: str) -> list[argparse.Action]:
    """The flags that ``--help`` shows."""
    built = parser(command)
    names = [name for names in built.main.values() for name in names]
    by_name = {action.dest: action for action in built._actions}
    return [by_name[name] for name in names or built._texts]


def examples(text: str) -> dict[str, set[str]]:
    """The flags of each command in the command lines of a text."""
    used: dict[str, set[str]] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        command = None
        for word in line.split():
            name = re.sub(r".*/|(_hvd)?\.py$", "", word)
            if name in SUMMARIES and re.search(r"plainbert |scripts/", line):
                command = name
            elif command is not None and word.startswith("--"):
                used.setdefault(command, set()).add(word.split("=")[0].rstrip("`,.;:"))
    return used


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(command, "--help", capsys)
    lines = text.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    assert len(entries(text)) == len(shown(command)) <= 18
    assert lines[0].startswith(f"usage: plainbert {command}")
    assert len(lines[0]) <= 90
    assert f"    plainbert {command}" in text.split("\nexample:\n")[1]
    assert "--help-all shows" in lines[-1]
    assert "Also: --" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_is_required_and_what_holds_otherwise(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(command, "--help", capsys)
    assert not re.search(r"\bNone\b|default: ?\)", text)
    by_flag = entries(text)
    for action in shown(command):
        name = action.option_strings[0] if action.option_strings else str(action.metavar)
        if action.nargs != 0 and action.option_strings:
            assert re.search(r"\((default: .+|required.*)\)$", by_flag[name]), by_flag[name]
    for action in parser(command)._actions:
        if action.required:
            assert action in shown(command) or action.dest in {one.dest for one in shown(command)}
            name = action.option_strings[0] if action.option_strings else str(action.metavar)
            assert name in text.splitlines()[0]
            if action.option_strings:
                assert by_flag[name].endswith("(required)")


@pytest.mark.parametrize("command", COMMANDS)
def test_old_spellings_and_flags_without_effect_are_in_help_all_alone(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    built = parser(command)
    every = printed(command, "--help-all", capsys)
    dests = {action.dest for action in shown(command)}
    assert not dests & built._notes.keys()
    for action in built._actions:
        if action.help != argparse.SUPPRESS and action.option_strings:
            assert re.search(rf"^  (-h, )?{action.option_strings[0]}\b", every, re.MULTILINE)
    old = built._headings.get("older systems")
    assert old is None or not dests & {action.dest for action in old._group_actions}
    assert not re.search(r"\bNone\b|default: ?\)", every)


def test_help_shows_every_flag_of_the_readme() -> None:
    used = examples((ROOT / "README.rst").read_text("utf-8"))
    assert len(used) > 5
    for command, flags in used.items():
        dests = {action.dest for action in shown(command)}
        options: Any = parser(command)._option_string_actions
        assert {flag for flag in flags if options[flag].dest not in dests} == set(), command


def test_what_the_readme_check_sees() -> None:
    text = (
        "$ plainbert embedding --file a \\\n    --output b\n"
        "x scripts/launch.py --ranks 2 scripts/bert/run_pretraining_hvd.py --data=c\n"
    )
    assert examples(text) == {
        "embedding": {"--file", "--output"}, "launch": {"--ranks"}, "run_pretraining": {"--data"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("default", "unset", "words"),
    [
        (None, "", ""),
        (None, "all", "(default: all)"),
        (None, "required without --x", "(required without --x)"),
        (0, "", "(default: 0)"),
        (1, "", "(default: 1)"),
        (1e-5, "", "(default: 1e-05)"),
        (False, "", ""),
        (True, "", "(default: true)"),
        ((), "", ""),
        ((-2, -1), "", "(default: -2,-1)"),
        ("x", "y", "(default: y)"),
    ],
)
def test_words_on_a_default(default: object, unset: str, words: str) -> None:
    assert default_words(default, unset) == words


def test_the_example_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        example = printed(command, "--help", capsys).split("\nexample:\n")[1].split("\n\n")[0]
        words = shlex.split(example.replace("\\\n", " "))
        assert words[:2] == ["plainbert", command]
        options = parser(command)._option_string_actions
        assert [word for word in words if word.startswith("--") and word not in options] == [] or (
            command == "launch"  # the flags behind its own are another command's
        )
