"""The typed settings of a command: one frozen dataclass that its flags fill.

The dataclass is the one declaration: its fields are the flags, their defaults the documented ones.
A command line and a caller in Python make it alike, and both go through ``checked``::

    @dataclass(frozen=True, kw_only=True)
    class Settings(Flags):
        words: int = option(100, values.positive_int, "Words of a row.", metavar="N")

    Settings.of(words=20)

Free of torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from plainbert.cli.mistakes import render
from plainbert.cli.parser import REQUIRED, Flag
from plainbert.errors import PlainBertError, UsageError

_FLAG = "flag"
_BESIDE = ("typed", "notes", "faults")  # fields that are no flags


class FlagError(UsageError):
    """Flags that do not go together; a parser adds where they are explained."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Base of all settings.

    Attributes:
        typed: names of the flags that were typed, or passed to :meth:`of`: such a value wins over
            the checkpoint folder's, a default does not.
        notes: sentences to log about flags that change nothing, or mean something else here.
        faults: what :meth:`checked` has against these settings, gathered so that all is said.
    """

    COMMAND: ClassVar[str] = ""  # its name, where its settings are not in the module of its name
    # The fields that --help shows, by heading; all where there are no headings. What is decided
    # where a flag is not given, in words, where the default value does not say it.
    MAIN: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    UNSET: ClassVar[Mapping[str, str]] = {}

    typed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    faults: list[str] = dataclasses.field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, **flags: Any) -> Self:
        """Settings as if these flags were typed.

        Args:
            flags: field name to value; the others keep their defaults.

        Raises:
            FlagError: they do not go together.
        """
        settings = cls(**flags, typed=frozenset(flags)).checked()
        if settings.faults:
            raise FlagError(render(settings.faults))
        return settings

    def checked(self) -> Self:
        """These settings, after the flags that go together were brought together.

        What is wrong goes to ``faults``, which all copies share.

        Raises:
            FlagError: they cannot be brought together.
        """
        return self

    def problems(self) -> Iterator[PlainBertError]:
        """What the command will stumble over, as far as a quick look at its files shows it.

        It is looked for before torch is imported. A file that is not there is none of these.
        """
        yield from ()

    def refuse(self, fault: str) -> None:
        """Note that flags do not go together."""
        self.faults.append(fault)

    def exclusive(self, *names: str) -> None:
        """Refuse more than one of these flags."""
        present = [f"--{name}" for name in names if name in self.typed]
        if len(present) > 1:
            self.refuse(f"{' and '.join(present)} exclude each other: give one of them.")

    def needs(self, name: str, *others: str) -> None:
        """Refuse the flag ``name`` without any of ``others``."""
        if name in self.typed and not self.typed.intersection(others):
            alternatives = " or ".join(f"--{other}" for other in others)
            self.refuse(f"--{name} needs {alternatives} beside it.")

    def values(self) -> dict[str, Any]:
        """Every flag with its value, by field name."""
        return {name: value for name, value in vars(self).items() if name not in _BESIDE}

    def noted(self, note: str) -> Self:
        """These settings with one more sentence to log."""
        return dataclasses.replace(self, notes=(*self.notes, note))


def option(
    default: Any,
    type: Callable[[str], Any] | None,
    help: str,
    spellings: tuple[str, ...] = (),
    group: str = "other",
    metavar: str = "",
    *,
    nargs: str | None = None,
    const: Any = None,
    note: str = "",
    name: str = "",
) -> Any:
    """A field that declares its flag; for flags that no table has, or with a help of their own.

    Args:
        default: of the field; ``REQUIRED`` when there is none.
        type: reads the text of the value; None for a switch without a value.
        help: one sentence with the unit.
        spellings: what else users type for the flag.
        group: the heading under which help lists it.
        metavar: how help shows the value; the name in capitals when empty.
        nargs: of argparse: "?" takes ``const`` when no value follows, "+" gives one tuple.
        const: the value of a "?" flag that stands alone.
        note: why the flag changes nothing, for one that is only accepted.
        name: of the flag, where it is not the field's (a word that Python keeps for itself).
    """
    flag = Flag(name, type, help, spellings, group, metavar, nargs, const, note)
    metadata = {_FLAG: flag}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def accepted(
    type: Callable[[str], Any] | None,
    note: str,
    group: str,
    metavar: str = "N",
    default: Any = None,
) -> Any:
    """A field for a flag of old command lines that changes nothing.

    Args:
        type: reads the text of the value; None for a switch without a value.
        note: why it changes nothing, for the log.
        group: the heading under which help lists it.
        metavar: how help shows the value.
        default: of the field; a switch has False.
    """
    if type is None:
        default, metavar = False, ""
    words = "Accepted for old command lines."
    return option(default, type, words, group=group, metavar=metavar, note=note)


def no_flag() -> Any:
    """A required field that no flag fills: positional words of the command line."""
    return dataclasses.field(metadata={_FLAG: None})


def declared(kind: type[Flags], table: Mapping[str, Flag]) -> Iterator[tuple[str, Flag, Any]]:
    """The flags behind a class of settings.

    Args:
        kind: the class.
        table: flags by name, for fields that are not made by :func:`option`.

    Yields:
        name of the field, its flag, its default (``REQUIRED`` where it has none).
    """
    for field in dataclasses.fields(kind):
        if field.name in _BESIDE:
            continue
        flag = _declaration(kind, field.name, table)
        if flag is not None:
            default = REQUIRED if field.default is dataclasses.MISSING else field.default
            yield field.name, flag, default


def _declaration(kind: type[Flags], name: str, table: Mapping[str, Flag]) -> Flag | None:
    """The flag of a field; a subclass that only changes the default keeps its base's."""
    for base in kind.__mro__:
        if issubclass(base, Flags) and name in base.__dataclass_fields__:
            metadata = base.__dataclass_fields__[name].metadata
            if _FLAG in metadata:
                flag: Flag | None = metadata[_FLAG]
                return flag and dataclasses.replace(flag, name=flag.name or name)
    return table[name]
