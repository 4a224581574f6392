"""Keywords of a caller in Python as the flags of a recipe: one set of names, checked the same."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from plainbert.arguments import short
from plainbert.cli.parser import Flag
from plainbert.cli.settings import Flags, declared
from plainbert.errors import UnknownNameError, UsageError
from plainbert.recipes.shared.flag_tables import SHARED

Kind = TypeVar("Kind", bound=Flags)


def settings_of(kind: type[Kind], options: Mapping[str, Any], direct: Mapping[str, Any]) -> Kind:
    """The settings of a recipe.

    Args:
        kind: the class of its settings.
        options: a flag, by any of its spellings with underscores, to its value; None is as good as
            not given.
        direct: fields that are set as they are.

    Raises:
        UnknownNameError: there is no such flag; near ones are named.
        UsageError: a value is of another kind, or flags do not go together.
    """
    flags = {
        spelling.replace("-", "_"): (name, flag)
        for name, flag, _ in declared(kind, SHARED)
        for spelling in (name, flag.name, *flag.spellings)
    }
    values = dict(direct)
    for option, value in options.items():
        if option not in flags:
            raise UnknownNameError(
                "option of finetune", option, {name for name, _ in flags.values()}
            )
        name, flag = flags[option]
        if value is None:
            continue
        if name in values:
            raise UsageError(f"{option} and {name} are the same: give one of them.")
        values[name] = _value(option, value, flag)
    return kind.of(**values)


def _value(option: str, value: Any, flag: Flag) -> Any:
    """A value as the command line would have read it."""
    if flag.type is None:
        if not isinstance(value, bool):
            raise UsageError(f"{option}={short(value)}: True or False is expected.")
        return value
    several = isinstance(value, list | tuple)
    try:
        parts = [flag.type(_word(option, one)) for one in (value if several else [value])]
        if flag.nargs != "+" and not all(isinstance(part, tuple) for part in parts):
            if several:
                raise UsageError(f"{option}={short(value)}: one value is expected.")
            return parts[0]
        return tuple(one for part in parts for one in (part if isinstance(part, tuple) else [part]))
    except ArgumentTypeError as error:
        raise UsageError(f"{option}={short(value)}: {error}") from None


def _word(option: str, value: Any) -> str:
    """How a value is typed."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str | int | Path):
        return str(value)
    raise UsageError(f"{option}={short(value)} ({type(value).__name__}): no such value is known.")
