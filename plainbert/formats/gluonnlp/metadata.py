"""What GluonNLP's finetune_ner.py leaves: ``PREFIX_003.params`` and ``PREFIX_metadata.pkl``.

The pickle holds the flags of the training and the tags by id. It is read as data: classes are of
no interest, and nothing is imported or called.

Source:
    GluonNLP v0.7 scripts/bert/ner_utils.py, dump_metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert.containers.pickle_machine import COMMON, DICTS, PickleMachine, StrangeError, expect
from plainbert.errors import CheckpointError, FormatError


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
        config, vocabulary = _MetadataMachine().run(path.read_bytes()).arguments
        flags, tags = config.state, vocabulary.state["_idx_to_token"]
        if not all(isinstance(tag, str) for tag in (*flags, *tags)) or type(tags) is not list:
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f" ({error})" if type(error) in (ValueError, StrangeError) else ""
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


class _MetadataMachine(PickleMachine):
    instructions = COMMON | DICTS | {"NEWOBJ"}
    most = 100_000  # more than any set of flags and tags needs

    def named(self, module: str, name: str) -> None:
        """Whatever class it is: only what its instances hold is read."""

    def called(self, function: Any, arguments: tuple[Any, ...]) -> _Object:
        return _Object(arguments)

    def build(self, target: Any, state: Any) -> None:
        expect(target, _Object).state = state

    def update(self, target: Any, pairs: dict[Any, Any]) -> None:
        if type(target) is dict:  # of other kinds of dict nothing is needed
            target.update(pairs)
