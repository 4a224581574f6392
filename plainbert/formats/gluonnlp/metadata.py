"""What GluonNLP's finetune_ner.py leaves: ``PREFIX_003.params`` and ``PREFIX_metadata.pkl``.

The pickle holds the flags of the training and the tags by id. It is read as data: the instructions
that make lists and dicts are followed, classes are only names, and nothing is imported or called.

Source:
    GluonNLP v0.7 scripts/bert/ner_utils.py, dump_metadata; Python's pickletools (instructions).
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert.errors import CheckpointError, FormatError

# More than any set of flags and tags needs.
MOST = 100_000
_EMPTY: dict[str, Any] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT", "FLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Metadata:
    """What the metadata file of a tagger says.

    Attributes:
        tags: by id; "X" stands for pieces that have none.
        flags: of the training, by name ("bert_model", "cased", "seq_len" ...).
    """

    tags: tuple[str, ...]
    flags: dict[str, Any]

    @property
    def dataset_name(self) -> str | None:
        """What the body was pre-trained on; None where the flags do not say it."""
        cased = self.flags.get("cased")
        if not isinstance(cased, bool):
            return None
        return f"book_corpus_wiki_en_{'cased' if cased else 'uncased'}"


def last_weights(prefix: str | Path) -> Path | None:
    """The newest ``PREFIX_NNN.params``, which is also the best: others are not kept.

    Returns:
        None if there is none.
    """
    prefix = Path(prefix).expanduser()
    pattern = re.compile(re.escape(prefix.name) + r"_\d+\.params")
    if not prefix.parent.is_dir():
        return None
    names = [path for path in prefix.parent.iterdir() if pattern.fullmatch(path.name)]
    return max(names, key=lambda path: int(path.stem.rpartition("_")[2]), default=None)


def metadata_of(weights: str | Path) -> Metadata | None:
    """What lies beside ``PREFIX_NNN.params``; None if there is no ``PREFIX_metadata.pkl``.

    Raises:
        FormatError: the file is no metadata of a tagger.
    """
    weights = Path(weights)
    path = weights.with_name(weights.stem.rpartition("_")[0] + "_metadata.pkl")
    return read(path) if path.is_file() else None


def read(path: str | Path) -> Metadata:
    """Read a metadata file.

    Raises:
        FormatError: it is garbled, or no metadata of a tagger.
        CheckpointError: it does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; a metadata file of a tagger is expected.")
    try:
        metadata = _followed(path.read_bytes())
        config, vocabulary = metadata.arguments
        flags, tags = config.state, vocabulary.state["_idx_to_token"]
        if not all(isinstance(tag, str) for tag in (*flags, *tags)) or type(tags) is not list:
            raise TypeError
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        reason = f" ({error})" if type(error) is ValueError else ""
        raise FormatError(
            f"{path} is not what GluonNLP's finetune_ner.py writes{reason}. Give the tags by id "
            "with --labels instead."
        ) from None
    return Metadata(tuple(tags), dict(flags))


@dataclass
class _Object:
    """What an instance of a class would have been made of."""

    arguments: tuple[Any, ...] = ()
    state: Any = field(default_factory=dict)


def _followed(data: bytes) -> _Object:
    """The value of a pickle, with records in place of objects."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def last(number: int) -> list[Any]:
        if number > len(stack):
            raise IndexError
        items = stack[len(stack) - number :]
        del stack[len(stack) - number :]
        return items

    for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        code = instruction.name
        if code == "STOP":
            break
        if number > MOST:
            raise ValueError("too long")
        if code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _LITERALS:
            stack.append(argument)
        elif code in _EMPTY:
            stack.append(_EMPTY[code]())
        elif code == "MARK":
            marks.append(len(stack))
        elif code in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if code == "MEMOIZE" else int(argument or 0)] = stack[-1]
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif code in _TUPLES or code == "TUPLE":
            count = _TUPLES.get(code)
            stack.append(tuple(last(len(stack) - marks.pop() if count is None else count)))
        elif code in ("APPEND", "APPENDS"):
            items = last(1 if code == "APPEND" else len(stack) - marks.pop())
            stack[-1].extend(items)
        elif code in ("SETITEM", "SETITEMS"):
            items = last(2 if code == "SETITEM" else len(stack) - marks.pop())
            if not all(type(key) in (str, int) for key in items[::2]):
                raise TypeError
            if type(stack[-1]) is dict:  # of other kinds of dict nothing is needed
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif code == "GLOBAL":
            stack.append(None)
        elif code == "STACK_GLOBAL":
            last(2)
            stack.append(None)
        elif code in ("REDUCE", "NEWOBJ"):
            _, arguments = last(2)
            stack.append(_Object(arguments))
        elif code == "BUILD":
            (state,) = last(1)
            stack[-1].state = state
        elif code not in ("PROTO", "FRAME"):
            raise ValueError(f"the instruction {code}")
    (value,) = stack
    if type(value) is not _Object:
        raise TypeError
    return value
