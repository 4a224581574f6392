"""What README and the pages of docs/ show is true: commands are understood, snippets print that."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plainbert.recipes.commands import SUMMARIES
from tests.helpers.scripts import HERE, SCRIPTS, parse_args_of

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


def parser_of(name: str) -> Callable[[list[str]], Any]:
    """The ``parse_args`` of ``scripts/...``."""
    path = HERE / name
    assert path.is_file(), f"{name} does not exist"
    return parse_args_of(path)


README = (HERE / "README.rst").read_text("utf-8") if (HERE / "README.rst").exists() else ""
PAGES = {
    str(path.relative_to(HERE)): path.read_text("utf-8")
    for path in sorted(HERE.glob("docs/**/*.rst"))
}
SNIPPET = re.compile(
    r"\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)\.\. code-block:: text\n\n((?: {4}.*\n|\n)+)"
)


def test_the_readme_shows_commands() -> None:
    assert len(commands(README)) >= 5
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("words", commands(README), ids=" ".join)
def test_readme_command(words: list[str]) -> None:
    parser_of(words[0])(words[1:])


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(page: str) -> None:
    for words in commands(PAGES[page]):
        parser_of(words[0])(words[1:])


@pytest.mark.parametrize(
    "page", [name for name, text in {"README.rst": README, **PAGES}.items() if SNIPPET.search(text)]
)
def test_snippets_print_what_is_shown(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for code, output in SNIPPET.findall({"README.rst": README, **PAGES}[page]):
        exec(textwrap.dedent(code), {})
        assert capsys.readouterr().out.strip() == textwrap.dedent(output).strip()


def test_the_commands_page_has_every_command() -> None:
    assert re.findall(r"^\.\. flags:: (\w+)$", PAGES["docs/commands.rst"], re.M) == list(SUMMARIES)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_docstring_commands(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    own = [words for words in commands(doc) if (HERE / words[0]) == path]

    assert own, "the docstring shows no command of this script"
    recipe = HERE / "plainbert" / "recipes" / path.name
    if recipe.exists():
        doc = ast.get_docstring(ast.parse(recipe.read_text("utf-8"))) or ""
        recipes_own = [words for words in commands(doc) if (HERE / words[0]) == path]
        assert own == recipes_own[: len(own)], "the recipe's docstring shows other commands"
        own = recipes_own
    for words in own:
        parser_of(words[0])(words[1:])


def test_make_targets_exist() -> None:
    makefile = (HERE / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(README)))) | set(
        re.findall(r"``make ([a-z]+)``", README)
    )

    assert {"quickstart", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_files_named_exist() -> None:
    folders = "data|benchmarks|scripts|plainbert|tests"
    # A name that goes on as a pattern (finetune_{a,b}) or a variable is not a file's.
    text = "\n".join([README, *PAGES.values()])
    named = set(re.findall(rf"(?<![\w/])(?:{folders})/[\w/.-]*\w(?![\w/.-]*[{{*$<])", text))

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
        "from dataclasses import dataclass\n"
        "from plainbert.cli.settings import Flags\n"
        "from plainbert.recipes.shared import flags\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Settings(Flags):\n"
        "    epochs: int = 1\n"
        "def parse_args(argv=None):\n"
        "    return flags.parse(Settings, None, argv)\n"
    )
    parse = parse_args_of(script)

    assert parse(["--epoch", "2"]).epochs == 2
    with pytest.raises(SystemExit):
        parse(["--epocs", "2"])


def test_the_tree_is_the_folders() -> None:
    """Every room of the library, its tasks and benchmarks is in the tree, nothing else."""
    contributing = (HERE / "CONTRIBUTING.rst").read_text("utf-8")
    assert "CONTRIBUTING.rst" in README
    tree = contributing.split("The tree\n--------")[1].split("Imports point")[0]
    named = set(re.findall(r"(?<![\w/])([\w]+(?:/|\.py))(?=\s)", tree))
    package = HERE / "plainbert"
    folders = [path for path in package.iterdir() if (path / "__init__.py").exists()]
    parents = (package / "tasks", package / "recipes", HERE / "benchmarks")
    inside = [path for parent in parents for path in parent.iterdir()]
    there = {f"{path.name}/" for path in folders}
    there |= {f"{path.name}/" for path in inside if (path / "__init__.py").exists()}
    there |= {path.name for path in package.glob("*.py") if path.name != "__init__.py"}

    beside = {"plainbert/", "parallel/", "results/", "helpers/"}
    beside |= {f"{name}/" for name in ("scripts", "data", "benchmarks", "tests")}
    assert named - beside == there
