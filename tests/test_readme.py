"""Every command that the README and the scripts' docstrings show is understood by its script."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    path
    for path in (HERE / "scripts").rglob("*.py")
    if any(
        isinstance(node, ast.FunctionDef) and node.name == "parse_args"
        for node in ast.parse(path.read_text("utf-8")).body
    )
)
PYTHON = re.compile(r"python3?(\.\d+)?$")


def blocks(text: str) -> list[str]:
    """The indented lines of a text, with continued lines joined, prompts and remarks removed."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if re.match(r"\s{2,}\S", line)]
    return [line.removeprefix("$ ") for line in lines if not line.startswith("#")]


def commands(text: str) -> list[list[str]]:
    """Words of every ``python scripts/...`` in a text, without pipes, redirections, variables."""
    found = []
    for line in blocks(text):
        if "scripts/" not in line or "python" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        part: list[str] = []
        for word in [*lexer, ";"]:
            if word in ("|", ";", "&&", "||", ">", ">>", "<", "&", "2>"):
                while part and not PYTHON.search(part[0]):
                    part = part[1:]  # VARIABLE=value before the command, or no python at all
                if len(part) > 1 and part[1].startswith("scripts/"):
                    found.append(part[1:])
                # What follows > or < is a file, not the next command.
                part = ["(file)"] if word in (">", ">>", "<", "2>") else []
            else:
                part.append(word)
    return found


def module(path: Path) -> ModuleType:
    """Load a script as a module, without running its ``main``."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def parser_of(name: str) -> Callable[[list[str]], Any]:
    """The ``parse_args`` of ``scripts/...``."""
    path = HERE / name
    assert path.is_file(), f"{name} does not exist"
    parse: Callable[[list[str]], Any] = module(path).parse_args
    return parse


README = (HERE / "README.rst").read_text("utf-8") if (HERE / "README.rst").exists() else ""


def test_the_readme_shows_commands() -> None:
    assert len(commands(README)) >= 5
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("words", commands(README), ids=" ".join)
def test_readme_command(words: list[str]) -> None:
    parser_of(words[0])(words[1:])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_docstring_commands(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    shown = [words for words in commands(doc) if (HERE / words[0]) == path]

    assert shown, "the docstring shows no command of this script"
    for words in shown:
        parser_of(words[0])(words[1:])


def test_make_targets_exist() -> None:
    makefile = (HERE / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(README)))) | set(
        re.findall(r"``make ([a-z]+)``", README)
    )

    assert {"quickstart", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_files_named_in_the_readme_exist() -> None:
    folders = "data|benchmarks|scripts|plainbert|tests"
    # A name that goes on as a pattern (finetune_{a,b}) or a variable is not a file's.
    named = set(re.findall(rf"(?<![\w/])(?:{folders})/[\w/.-]*\w(?![\w/.-]*[{{*$<])", README))

    assert named
    assert [name for name in sorted(named) if not (HERE / name).exists()] == []


def test_commands_are_found_as_a_shell_reads_them() -> None:
    text = """

::

    $ CUDA_VISIBLE_DEVICES=0 python scripts/a.py --x "1 2" \\
        --y 3 | head
    cat in.txt | .venv/bin/python scripts/b.py --file - > out.txt
    python scripts/c.py && python scripts/d.py --z '<b>'
    make test
    # python scripts/remark.py
"""
    found = commands(text.split("::")[1])

    assert found == [
        ["scripts/a.py", "--x", "1 2", "--y", "3"],
        ["scripts/b.py", "--file", "-"],
        ["scripts/c.py"],
        ["scripts/d.py", "--z", "<b>"],
    ]


def test_a_wrong_command_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(
        "from plainbert.recipes.shared import flags\n"
        "def parse_args(argv=None):\n"
        "    parser = flags.parser(None)\n"
        "    flags.add(parser, epochs=1)\n"
        "    return flags.parse(parser, argv)\n"
    )
    parse = module(script).parse_args

    assert parse(["--epoch", "2"]).epochs == 2
    with pytest.raises(SystemExit):
        parse(["--epocs", "2"])
