"""``plainbert NAME ...``: every command, also as ``python -m plainbert NAME ...``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

from plainbert import __version__
from plainbert.cli.program import command
from plainbert.cli.run import run
from plainbert.errors import UnknownNameError
from plainbert.recipes.commands import GROUPS, SUMMARIES


def main() -> int:
    """Run the command that the first word names; its exit status.

    Raises:
        UnknownNameError: there is no such command.
    """
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("--version", "-V"):
        print(f"plainbert {__version__}")
        return 0
    if name in ("--help", "-h", "help"):
        print(overview())
        return 0
    if name == "--completion":
        from plainbert.recipes.completion import script

        print(script(*words[:1] or [""]))
        return 0
    name = name.replace("-", "_").removesuffix(".py")
    if name not in SUMMARIES:
        raise UnknownNameError("command", name, list(SUMMARIES))
    recipe = import_module(f"plainbert.recipes.{name}")
    results = recipe.main(words)
    return int(recipe.status(results)) if "status" in vars(recipe) else 0


def overview() -> str:
    """All commands, a line each, in groups."""
    width = max(map(len, SUMMARIES))
    how = command("NAME")
    lines = [f"{how} [flags]", ""]
    for heading, group in GROUPS.items():
        lines += [f"{heading}:", *(f"  {name:{width}}  {text}" for name, text in group.items()), ""]
    lines += [f"{how} --help explains a command.", "--version, --completion bash|fish|tcsh|zsh"]
    return "\n".join(lines)


def console() -> NoReturn:
    """What the installed program ``plainbert`` runs."""
    run(main, status=int)


if __name__ == "__main__":
    console()
