"""What a JSON file may hold: the form of a value by its key, and what becomes of the key."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError, FormatError

log = logging.getLogger(__name__)

# What becomes of a key.
FOLLOWED = "followed"  # our code reads it
IDLE = "idle"  # it changes no result
REFUSED = "refused"  # another value than the usual ones computes what we do not have
NOTED = "noted"  # another value than the usual ones is told in a line, and not followed


class Form(NamedTuple):
    """What a value must look like.

    Attributes:
        words: what is expected, for messages.
        fits: whether a value is so.
        keys: of an object; None where there are none to look at.
        needed: those that must be there.
    """

    words: str
    fits: Callable[[Any], bool]
    keys: Mapping[str, Key] | None = None
    needed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """One key of a file.

    Attributes:
        form: of its value.
        use: FOLLOWED, IDLE, REFUSED or NOTED.
        is_usual: whether a value is one with which nothing is refused or noted; null and a missing
            key always are.
        why: what another value would mean, for messages.
    """

    form: Form
    use: str
    is_usual: Callable[[Any], bool] = lambda value: True
    why: str = ""


Keys = Mapping[str, Key]


def is_text(value: Any) -> bool:
    """Whether a value is text that can be written as UTF-8: without halves of characters."""
    return isinstance(value, str) and (value.isascii() or not files.SURROGATE.search(value))


ANY = Form("a value", lambda value: True)
TEXT = Form("text", is_text)
FLAG = Form("true or false", lambda value: isinstance(value, bool))


def whole(least: int, most: int = 2**53) -> Form:
    """A whole number within limits."""
    limit = f" to {most}" if most < 2**53 else ""
    return Form(
        f"a whole number from {least}{limit}",
        lambda value: (
            isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        ),
    )


def number(least: float, most: float) -> Form:
    """A finite number within limits."""

    def fits(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and least <= value <= most and math.isfinite(value)

    return Form(f"a number from {least:g} to {most:g}", fits)


def one_of(*values: str) -> Form:
    """One of some names."""
    return Form(f"one of {', '.join(values)}", lambda value: value in values if value else False)


def listed(form: Form) -> Form:
    """A list whose elements all have a form."""
    return Form(
        f"a list of {form.words}",
        lambda value: isinstance(value, list | tuple) and all(map(form.fits, value)),
    )


def by_name(form: Form) -> Form:
    """An object whose values all have a form; its keys are any text."""
    return Form(
        f"an object whose values are {form.words}",
        lambda value: (
            isinstance(value, dict)
            and all(map(TEXT.fits, value))
            and all(map(form.fits, value.values()))
        ),
    )


def having(keys: Keys, *needed: str) -> Form:
    """An object with keys of its own, some of which must be there."""

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value for name in needed)
            and all(_fits(keys[name], item) for name, item in value.items() if name in keys)
        )

    words = f"an object with {', '.join(needed)}" if needed else "an object"
    return Form(words, fits, keys, needed)


def either(*forms: Form) -> Form:
    """Any of some forms."""
    words = ", or ".join(form.words for form in forms)
    return Form(words, lambda value: any(form.fits(value) for form in forms))


def maybe(form: Form) -> Form:
    """A form, or null."""
    return Form(f"{form.words} or null", lambda value: value is None or form.fits(value))


def followed(form: Form) -> Key:
    """A key that our code reads."""
    return Key(form, FOLLOWED)


def idle(*names: str, form: Form = ANY) -> dict[str, Key]:
    """Keys that change no result."""
    return {name: Key(form, IDLE) for name in names}


def refused(form: Form, usual: Sequence[Any], why: str) -> Key:
    """A key with which a model computes what we do not have, unless its value is a usual one."""
    return Key(form, REFUSED, lambda value: value in usual, why)


def noted(form: Form, usual: Sequence[Any], why: str) -> Key:
    """A key that is not followed, which a line says unless its value is a usual one."""
    return Key(form, NOTED, lambda value: value in usual, why)


def read(path: str | Path, keys: Keys, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON object and :func:`check` it.

    Raises:
        FormatError: it is no JSON object, or a value has another form.
        CheckpointError: a value means what we do not have.
    """
    values = files.read_json(path)
    check(values, keys, str(path), needed)
    return values


def check_forms(
    values: Mapping[str, Any], keys: Keys, source: str, needed: Iterable[str] = ()
) -> None:
    """Hold the values of a file of our own against the forms of its keys; others are let be.

    Raises:
        FormatError: a key lacks, or its value has another form.
    """
    for name in needed:
        if values.get(name) is None:
            raise FormatError(f"{source} lacks {name}; {keys[name].form.words} is expected.")
    for name, value in values.items():
        if name in keys and not _fits(keys[name], value):
            form = keys[name].form
            if form.keys is not None and isinstance(value, dict):  # say which of its keys it is
                check_forms(value, form.keys, f"{source}: {name}", form.needed)
            raise FormatError(f"{source}: {name}={short(value)}; {form.words} is expected.")


def check(values: Mapping[str, Any], keys: Keys, source: str, needed: Iterable[str] = ()) -> None:
    """Hold the values of a file against the table of its keys.

    Args:
        values: the JSON object.
        keys: what is known of its keys; others are named in the log and have no effect.
        source: where the values come from, for messages.
        needed: keys that must be there.

    Raises:
        FormatError: a key lacks, or its value has another form.
        CheckpointError: a value means what we do not have.
    """
    check_forms(values, keys, source, needed)
    for name, value in values.items():
        key = keys.get(name)
        if key is None:
            continue
        usual = value is None or key.is_usual(value)
        if key.use == REFUSED and not usual:
            raise CheckpointError(f"{source}: {name}={short(value)}: {key.why}")
        if key.use == NOTED and not usual:
            log.warning("%s: %s=%s: %s", source, name, short(value), key.why)
    unknown = [name for name in values if name not in keys]
    if unknown:
        some = ", ".join(short(name) for name in unknown[:8]) + (" ..." if unknown[8:] else "")
        log.info("%s: not known here, and without effect: %s", source, some)


def _fits(key: Key, value: Any) -> bool:
    """Whether a value has its key's form; null stands for a key that is not there."""
    return value is None or key.form.fits(value)
