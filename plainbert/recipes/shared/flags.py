"""From a command line to the settings of a recipe.

A recipe says in one frozen dataclass which flags it has and what their defaults are, from the
groups of :mod:`plainbert.recipes.shared.settings` and fields of its own::

    @dataclass(frozen=True, kw_only=True)
    class Settings(ModelFlags, DeviceFlags):
        max_len: int = 128

    def parse_args(argv: Sequence[str] | None = None) -> Settings:
        return flags.parse(Settings, __doc__, argv)

A field takes its flag (help, spellings, kind of value) from the table of shared flags by its name,
or brings its own with :func:`plainbert.cli.settings.option`. Nothing here imports torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from plainbert.cli import run
from plainbert.cli.parser import Parser
from plainbert.cli.program import command
from plainbert.cli.settings import FlagError, Flags, declared
from plainbert.recipes.shared.flag_tables import SHARED, UNSET
from plainbert.recipes.shared.older_systems import TPU
from plainbert.recipes.shared.settings import DeviceFlags

Kind = TypeVar("Kind", bound=Flags)

# In which order help lists them.
HEADINGS = (
    "data", "conversion", "export", "evaluation", "model", "masking", "training", "answers",
    "vectors", "output", "device", "several processes", "older systems", "other",
)  # fmt: skip


def parser(kind: type[Flags], doc: str | None) -> Parser:
    """The parser of a command.

    Args:
        kind: the class of its settings.
        doc: its docstring.
    """
    target = Parser(doc, prog=command(kind.COMMAND or kind.__module__.rpartition(".")[2]))
    unset, names = {**UNSET, **kind.UNSET}, {}
    for name, flag, default in sorted(
        declared(kind, SHARED), key=lambda declaration: HEADINGS.index(declaration[1].group)
    ):
        target.add(flag, default, unset.get(name, ""))
        names[name] = flag.name
    target.main = {
        heading: [names.get(field, field) for field in fields]
        for heading, fields in kind.MAIN.items()
    }
    if issubclass(kind, DeviceFlags):
        for spellings, reason in TPU.items():
            target.refuse(*spellings, reason=reason)
    return target


def parse(
    kind: type[Kind],
    doc: str | None,
    argv: Sequence[str] | None,
    extend: Callable[[Parser], None] | None = None,
    **fields: Any,
) -> Kind:
    """Parse, and check what goes together.

    Args:
        kind: the class of the settings.
        doc: the command's docstring.
        argv: the words of the command line without the script; ``sys.argv[1:]`` when None.
        extend: adds to the parser what is no field: flags that are refused, positional words.
        fields: of the settings that no flag fills.

    Raises:
        SystemExit: status 2 after ``error: ...`` for flags that are wrong or do not go together.
    """
    target = parser(kind, doc)
    if extend is not None:
        extend(target)
    run.note_flags(option for option in target.taken())
    parsed = vars(target.parse_args(sys.argv[1:] if argv is None else argv))
    mistakes, meant = parsed.pop("mistakes"), parsed.pop("meant")
    values = {name: parsed.pop(flag.name) for name, flag, _ in declared(kind, SHARED)}
    typed, notes = frozenset(parsed.pop("given")), tuple(parsed.pop("notes"))
    # What is left are positional words.
    settings = kind(**values, **parsed, **fields, typed=typed, notes=notes)
    faults = settings.faults
    try:
        settings = settings.checked()
    except FlagError as error:
        faults.append(str(error))
    # A mistyped flag is said once, not also what would follow from its lack.
    mistakes += [text for text in faults if not any(f"--{name}" in text for name in meant)]
    if mistakes:
        from plainbert.recipes.shared import before

        target.fail([*mistakes, *before.problems(settings)])
    return settings
