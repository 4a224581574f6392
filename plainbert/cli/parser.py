"""The argument parser of every script: argparse with GluonNLP's spellings and short errors.

What it adds: one declaration gives a flag all its spellings; flags that are gone exit naming what
replaced them; ``given`` tells which flags were typed; a wrong flag names its nearest match.
Free of torch, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from plainbert.cli.program import as_started
from plainbert.visible import visible

REQUIRED: Any = object()  # as a default: the flag must be given
_UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a command line.

    Args:
        name: the attribute on the parsed namespace; ``--name`` is the spelling that help shows.
        type: reads the text (see ``plainbert.cli.values``); None for a switch without a value.
        help: one sentence with the unit.
        spellings: what else users type for it: GluonNLP's names of the same thing.
        group: the heading under which help lists it.
        metavar: how help shows the value; the name in capitals when empty.
        nargs: as argparse's; "?" takes ``const`` when no value follows, "+" gives one tuple, in
            which lists between commas are joined.
        const: the value of a "?" flag that stands alone.
        note: set on flags that are accepted but change nothing: why; a run logs it.
    """

    name: str
    type: Callable[[str], Any] | None
    help: str
    spellings: tuple[str, ...] = ()
    group: str = "other"
    metavar: str = ""
    nargs: str | None = None
    const: Any = None
    note: str = ""

    @property
    def options(self) -> list[str]:
        """Every spelling, with underscores and with dashes, the name first."""
        words = (self.name, *self.spellings)
        both = [form for word in words for form in (f"--{word}", f"--{word.replace('_', '-')}")]
        return list(dict.fromkeys(both))


class _Refuse(argparse.Action):
    """A flag of the original scripts that exits naming its replacement."""

    def __init__(self, option_strings: Sequence[str], dest: str, reason: str) -> None:
        super().__init__(option_strings, dest, nargs="*", default=argparse.SUPPRESS)
        self.help = argparse.SUPPRESS
        self.reason = reason

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        words = values if isinstance(values, list) else []
        parent = Path(words[0]).parent if words and "/" in words[0] else "FOLDER"
        reason = self.reason.replace("{folder}", str(parent))
        parser.error(f"{option_string} is not available: {reason}")


class _Join(argparse.Action):
    """Several values as one tuple: ``a b`` and, where the type splits at commas, ``a,b c``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        joined: list[Any] = []
        for value in values:
            joined += value if isinstance(value, tuple) else [value]
        setattr(namespace, self.dest, tuple(joined))


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the docstring's lines and shows each flag under one spelling."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return super()._format_action_invocation(action)
        first = action.option_strings[0]
        if action.nargs == 0:
            return first
        return f"{first} {self._format_args(action, action.dest.upper())}"


class Parser(argparse.ArgumentParser):
    """Flags become attributes of a namespace, which ``recipes.shared.flags.parse`` makes settings.

    Args:
        doc: the command's docstring; help shows it with examples as this user would type them.
        prog: what starts the command; the script's name when None.
    """

    def __init__(self, doc: str | None, prog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=as_started(textwrap.dedent(doc or "").strip()),
            formatter_class=_Help,
            allow_abbrev=False,
            usage="%(prog)s [flags]",
            epilog="Underscores and dashes are the same in every flag.",
        )
        # A list such as -4,-3 is a value too, not a flag.
        self._negative_number_matcher = re.compile(r"-\d[-\d.,eE+ ]*$|-\.\d+$")
        self._headings: dict[str, argparse._ArgumentGroup] = {}
        self._notes: dict[str, str] = {}

    def add(self, flag: Flag, default: Any) -> None:
        """Add one flag; ``REQUIRED`` as the default makes it obligatory."""
        group = self._headings.get(flag.group)
        if group is None:
            group = self._headings[flag.group] = self.add_argument_group(flag.group)
        required = default is REQUIRED
        parts = [flag.help.replace("%", "%%")]
        if other := [word for word in flag.spellings if word.replace("-", "_") != flag.name]:
            parts.append(f"Also: {', '.join(f'--{word}' for word in other)}.")
        if required:
            parts.append("(required)")
        elif default not in (None, False, ()):
            text = ",".join(map(str, default)) if isinstance(default, tuple) else default
            parts.append(f"(default: {text})")
        kind: dict[str, Any] = {"action": "store_true", "default": False}
        if flag.type is not None:
            kind = {
                "type": flag.type,
                "default": None if required else default,
                "nargs": flag.nargs,
                "metavar": flag.metavar or flag.name.upper(),
            }
            if flag.nargs == "?":
                kind["const"] = flag.const
            elif flag.nargs == "+":
                kind["action"] = _Join
        group.add_argument(
            *flag.options, dest=flag.name, required=required, help=" ".join(parts), **kind
        )
        if flag.note:
            self._notes[flag.name] = flag.note

    def refuse(self, *spellings: str, reason: str) -> None:
        """Make flags of the original scripts exit, saying what to use instead."""
        for spelling in spellings:
            options = dict.fromkeys((spelling, "--" + spelling[2:].replace("_", "-")))
            self.add_argument(*options, action=_Refuse, reason=reason)

    def taken(self) -> list[str]:
        """Every spelling of every flag that may be given: not of those that are refused."""
        actions = [action for action in self._actions if not isinstance(action, _Refuse)]
        return [option for action in actions for option in action.option_strings]

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; the namespace gets ``given``, the flags that were typed, beside their values.

        Raises:
            SystemExit: with status 2 and one to three lines on standard error for wrong flags.
        """
        space = argparse.Namespace() if namespace is None else namespace
        actions = [action for action in self._actions if action.default is not argparse.SUPPRESS]
        for action in actions:
            setattr(space, action.dest, _UNSET)
        space, unknown = self.parse_known_args(self._two_dashes(args), space)
        if unknown:
            self._unknown(unknown)
        space.given = sorted(
            {action.dest for action in actions if getattr(space, action.dest) is not _UNSET}
        )
        for action in actions:
            if getattr(space, action.dest) is _UNSET:
                setattr(space, action.dest, action.default)
        space.notes = [
            f"--{name} changes nothing: {self._notes[name]}"
            for name in space.given
            if name in self._notes
        ]
        return space

    def _two_dashes(self, args: Sequence[str] | None) -> list[str]:
        """The words with bert-as-service's ``-max_seq_len 25`` as ``--max_seq_len 25``."""
        words = sys.argv[1:] if args is None else args
        known = self._option_string_actions
        single = (re.match(r"-[a-z]\w+", word) for word in words)
        return [
            f"-{word}" if match and f"-{match[0]}" in known else word
            for word, match in zip(words, single, strict=True)
        ]

    def error(self, message: str) -> NoReturn:
        """Print ``error: ...`` and exit with status 2."""
        message = re.sub(r"^argument (--[^/\s:]+)[^:]*: ", r"\1: ", message)
        message = message.replace("the following arguments are required:", "missing:")
        message = re.sub(r"(--[\w-]+)(/--[\w-]+)+", r"\1", message)
        text = f"error: {message}\n  {self.prog} --help explains every flag."
        print(visible(text), file=sys.stderr)
        raise SystemExit(2)

    def _unknown(self, words: list[str]) -> NoReturn:
        word = words[0].split("=")[0]
        if not word.startswith("-"):
            self.error(f"{word!r} belongs to no flag; a value with blanks needs quotes.")
        near = _nearest(word, self._option_string_actions)
        self.error(f"no flag is named {word}." + (f" Did you mean {near}?" if near else ""))


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """The flag that was mistyped: each of its words is like the one that was typed.

    Example:
        >>> _nearest("--bath_size", ["--batch_size"]), _nearest("--data_dir", ["--ckpt_dir"])
        ('--batch_size', None)
    """

    def parts(flag: str) -> list[str]:
        return re.split("[-_]", flag.lstrip("-"))

    for flag in difflib.get_close_matches(word, known, n=5, cutoff=0.7):
        pairs = list(itertools.zip_longest(parts(word), parts(flag), fillvalue=""))
        if "".join(parts(word)) == "".join(parts(flag)):
            return flag
        if all(difflib.SequenceMatcher(None, *pair).ratio() >= 0.6 for pair in pairs):
            return flag
    return None
