"""``--help``, the flags that matter, and ``--help-all``, every flag. Free of torch."""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from plainbert.visible import visible

WIDTH = 100


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the docstring's lines and shows each flag under one spelling."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return super()._format_action_invocation(action)
        first = action.option_strings[0]
        if action.nargs == 0:
            return first
        return f"{first} {self._format_args(action, action.dest.upper())}"


class ShowHelp(argparse._HelpAction):
    """A flag that prints what a method of the parser returns, and ends.

    Args:
        option_strings: its spellings.
        dest: of argparse.
        help: what it shows.
        method: name of the parser's method.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, help: str = "", method: str = "format_help"
    ) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, help=help)
        self.method = method

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        print(visible(getattr(parser, self.method)()), end="")
        parser.exit()


def short(
    parser: argparse.ArgumentParser,
    main: Mapping[str, Sequence[str]],
    texts: Mapping[str, str],
    required: Sequence[argparse.Action],
) -> str:
    """The help of the flags that matter.

    Args:
        parser: of the command; its description begins with a paragraph on what it does, and its
            first indented lines are an example.
        main: heading to the names of flags, in the order to show them.
        texts: name of a flag to its help.
        required: the flags that must be given.
    """
    by_name = {action.dest: action for action in parser._actions}
    described = parser.description or ""
    formatter = parser._get_formatter()
    positional = [action for action in parser._actions if not action.option_strings]
    words = [_invocation(action) for action in (*positional, *required)]
    formatter.add_usage(" ".join(["%(prog)s", *words, "[flags]"]), parser._actions, [])
    formatter.add_text(described.split("\n\n")[0])
    for heading, names in main.items():
        formatter.start_section(heading)
        for name in names:
            action = copy.copy(by_name[name])
            action.help = texts.get(name, action.help)
            formatter.add_argument(action)
        formatter.end_section()
    example = re.search(r"^ {4}.*(?:\n {4}.*)*", described, re.MULTILINE)
    if example is not None:
        formatter.add_text(f"example:\n{example[0]}")
    every = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    more = len(every) - sum(map(len, main.values())) - 2  # for help itself
    formatter.add_text(f"--help-all shows {more or 'no'} more flags, and all examples.")
    return formatter.format_help()


def _invocation(action: argparse.Action) -> str:
    """A flag that is needed, as the usage shows it."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return f"{action.option_strings[0]} {value}" if action.option_strings else value


def default_words(default: object, unset: str) -> str:
    """What holds where a flag is not given, in brackets; empty where nothing is to be said.

    Args:
        default: of the flag.
        unset: what is decided then, where that is no value.
    """
    if unset:
        return f"({unset})" if unset.startswith("required") else f"(default: {unset})"
    if isinstance(default, bool):
        return "(default: true)" if default else ""
    if default is None or default == ():
        return ""
    text = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"(default: {text})"
