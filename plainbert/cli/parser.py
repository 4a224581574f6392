"""The argument parser of every script: argparse with GluonNLP's spellings and short errors.

What it adds: one declaration gives a flag all its spellings; flags that are gone name what replaced
them; ``given`` tells which flags were typed; all that is wrong is said at once.
Free of torch, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from plainbert.cli.help import HelpFormatter, ShowHelp, default_words, short
from plainbert.cli.mistakes import about_unknown, render
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
    """A flag of the original scripts that names its replacement."""

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
    ) -> None:
        assert isinstance(parser, Parser)
        words = values if isinstance(values, list) else []
        parent = Path(words[0]).parent if words and "/" in words[0] else "FOLDER"
        reason = self.reason.replace("{folder}", str(parent))
        parser._note(f"{option_string} is not available: {reason}")


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


class Parser(argparse.ArgumentParser):
    """Flags become attributes of a namespace, which ``recipes.shared.flags.parse`` makes settings.

    Args:
        doc: the command's docstring; help shows it with examples as this user would type them.
        prog: what starts the command; the script's name when None.

    Attributes:
        main: the flags that ``--help`` shows, by heading; all of them where there is none.
    """

    def __init__(self, doc: str | None, prog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=as_started(textwrap.dedent(doc or "").strip()),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
            add_help=False,
            usage="%(prog)s [flags]",
            epilog="Underscores and dashes are the same in every flag.",
        )
        # A list such as -4,-3 is a value too, not a flag.
        self._negative_number_matcher = re.compile(r"-\d[-\d.,eE+ ]*$|-\.\d+$")
        self.main: Mapping[str, Sequence[str]] = {}
        self.add_argument(
            "-h", "--help", action=ShowHelp, method="short_help", help="The flags that matter."
        )
        self.add_argument("--help-all", "--help_all", action=ShowHelp, help="Every flag.")
        self._texts: dict[str, str] = {}
        self._required: list[argparse.Action] = []
        self._headings: dict[str, argparse._ArgumentGroup] = {}
        self._notes: dict[str, str] = {}
        # Of the command line that is read: mistakes, flags with a wrong value, flags without one.
        self._mistakes: list[str] = []
        self._wrong: list[argparse.Action] = []
        self._empty: list[argparse.Action] = []

    def short_help(self) -> str:
        """What ``--help`` prints."""
        main = self.main or {"flags": list(self._texts)}
        return short(self, main, self._texts, self._required)

    def add(self, flag: Flag, default: Any, unset: str = "") -> None:
        """Add one flag.

        Args:
            flag: its declaration.
            default: its value where it is not given; ``REQUIRED`` makes it obligatory.
            unset: what is decided where it is not given, if that is no value.
        """
        group = self._headings.get(flag.group)
        if group is None:
            group = self._headings[flag.group] = self.add_argument_group(flag.group)
        required = default is REQUIRED
        parts = [flag.help, default_words(None if required else default, unset)]
        if required:
            parts[1] = "(required)"
        self._texts[flag.name] = " ".join(filter(None, parts)).replace("%", "%%")
        if other := [word for word in flag.spellings if word.replace("-", "_") != flag.name]:
            parts.insert(1, f"Also: {', '.join(f'--{word}' for word in other)}.")
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
        text = " ".join(filter(None, parts)).replace("%", "%%")
        kind |= {"dest": flag.name, "required": required, "help": text}
        action = group.add_argument(*flag.options, **kind)
        self._required += [action] if required else []
        if flag.note:
            self._notes[flag.name] = flag.note

    def refuse(self, *spellings: str, reason: str) -> None:
        """Make flags of the original scripts mistakes, saying what to use instead."""
        for spelling in spellings:
            options = dict.fromkeys((spelling, "--" + spelling[2:].replace("_", "-")))
            self.add_argument(*options, action=_Refuse, reason=reason)

    def taken(self) -> list[str]:
        """Every spelling of every flag that may be given: not of those that are refused."""
        actions = [action for action in self._actions if not isinstance(action, _Refuse)]
        return [option for action in actions for option in action.option_strings]

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; what is wrong is noted, and left at its default.

        Returns:
            the namespace. Beside the values it has ``given``, the flags that were typed; ``notes``
            on flags that change nothing; ``mistakes``; and ``meant``, the flags behind these.

        Raises:
            SystemExit: ``--help``, with status 0; with 2 where the words cannot be read on.
        """
        space = argparse.Namespace() if namespace is None else namespace
        for noted in (self._mistakes, self._wrong, self._empty):
            noted.clear()
        actions = [action for action in self._actions if action.default is not argparse.SUPPRESS]
        required = [action for action in actions if action.required]
        for action in actions:
            setattr(space, action.dest, _UNSET)
            action.required = False  # argparse would name nothing else
        try:
            space, words = self.parse_known_args(self._two_dashes(args), space)
        finally:
            for action in required:
                action.required = True
        messages, spellings = about_unknown(words, self._option_string_actions)
        meant = [self._option_string_actions[spelling] for spelling in spellings]
        self._mistakes += messages
        space.given = sorted(
            {action.dest for action in actions if getattr(space, action.dest) is not _UNSET}
        )
        for action in required:
            if getattr(space, action.dest) is _UNSET and action not in meant:
                self._note(f"missing: {self._explained(action)}", action)
        for action in actions:
            if getattr(space, action.dest) is _UNSET or action in self._wrong:
                blank = () if action.nargs == "+" else ""
                setattr(space, action.dest, blank if action.required else action.default)
        space.notes = [
            f"--{name} changes nothing: {self._notes[name]}"
            for name in space.given
            if name in self._notes
        ]
        space.mistakes = list(self._mistakes)
        space.meant = sorted({action.dest for action in (*meant, *self._wrong)})
        return space

    def _explained(self, action: argparse.Action) -> str:
        """A flag, what it takes and the first sentence of its help."""
        name = action.option_strings[0] if action.option_strings else ""
        sentence = re.match(r".*?(?=\. |\.?$)", str(action.help), re.DOTALL)
        takes = str(action.metavar or "")
        return f"{' '.join(filter(None, [name, takes]))} ({sentence[0] if sentence else ''})"

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
        """Stop at what argparse cannot read past; says everything that is known to be wrong."""
        self.fail([*self._mistakes, _in_short(message)])

    def fail(self, mistakes: Sequence[object]) -> NoReturn:
        """Print ``error: ...`` and exit with status 2.

        Args:
            mistakes: at least one.
        """
        text = f"error: {render(mistakes)}\n  {self.prog} --help explains the flags."
        print(visible(text), file=sys.stderr)
        raise SystemExit(2)

    # What argparse would stop at, noted instead, so that all is said at once.

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)  # type: ignore[misc]
        except argparse.ArgumentError as error:
            self._note(str(error), action)
            return action.default

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action in self._empty:
            return action.default if action.nargs is None else []
        return super()._get_values(action, arg_strings)  # type: ignore[misc]

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        try:
            return super()._match_argument(action, arg_strings_pattern)  # type: ignore[misc]
        except argparse.ArgumentError as error:
            self._note(str(error), action)
            self._empty.append(action)
            return 0

    def _note(self, message: str, action: argparse.Action | None = None) -> None:
        """Remember a mistake, and whose value is none."""
        self._mistakes.append(_in_short(message))
        if action is not None:
            self._wrong.append(action)


def _in_short(message: str) -> str:
    """A message of argparse, with a flag under one spelling."""
    message = re.sub(r"^argument (--[^/\s:]+)[^:]*: ", r"\1: ", message)
    return re.sub(r"(--[\w-]+)(/--[\w-]+)+", r"\1", message)
