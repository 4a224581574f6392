"""Completion of the commands and their flags, as a script for a shell. Free of torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from plainbert.cli.parser import Parser
from plainbert.errors import MissingDependencyError, UnknownNameError
from plainbert.recipes.commands import SUMMARIES
from plainbert.recipes.shared.flags import parser as parser_of


def script(shell: str) -> str:
    """What a shell reads to complete ``plainbert NAME --flag``.

    Args:
        shell: bash, fish, tcsh or zsh.

    Raises:
        UnknownNameError: no script can be made for this shell.
        MissingDependencyError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise MissingDependencyError("shtab", "completion", "--completion") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UnknownNameError("shell", shell, shtab.SUPPORTED_SHELLS)
    text: str = shtab.complete(_all_commands(), shell)
    return text


def _all_commands() -> Parser:
    """One parser with a sub-parser for every command."""
    everything = Parser(None, prog="plainbert")

    def build(prog: str, recipe: str, **_: Any) -> Parser:
        module = import_module(f"plainbert.recipes.{recipe}")
        return parser_of(module.Settings, None)

    commands = everything.add_subparsers(parser_class=cast(Any, build))
    for name, summary in SUMMARIES.items():
        commands.add_parser(name, help=summary, recipe=name)
    return everything
