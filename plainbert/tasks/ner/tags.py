"""Tags of words: which scheme they follow, the entities they mark, and the ids that a model learns.

``B-PER I-PER O`` marks an entity of the type PER. In IOB2 every entity begins with B; in IOB1 with
I, and with B only right after another of its type; in BIOES its last word has E, and S marks an
entity of one word. BILOU and BMES are BIOES with other letters. Whatever the scheme, and however
it is broken, entities are read as the official conlleval reads them. Labels without such letters
(parts of speech, punctuation) are "plain": one class for each word and nothing more.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plainbert.errors import DataError, UnknownNameError
from plainbert.nn.names import IGNORE
from plainbert.tasks.ner.conll import Sentences
from plainbert.tasks.ner.spelling import (
    OUTSIDE,
    PIECES,
    canonical,
    is_bare,
    is_control,
    is_odd,
    is_unnamed,
    is_usual,
    marks_entities,
    parse,
)

PLAIN = "plain"
SCHEMES = ("iob1", "iob2", "bioes")
TRAINED = ("bioes", "iob2", PLAIN)  # what a model may learn


class EntitySpan(NamedTuple):
    """An entity: its type, its first word, and the word after its last one."""

    type: str
    start: int
    end: int


def spans(tags: Iterable[str]) -> list[EntitySpan]:
    """Entities of a sentence, in order, whatever the scheme.

    One begins at B and S, after O, E and S, and where the type changes.

    Example:
        >>> spans(["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG"])[1:3]
        [EntitySpan(type='PER', start=2, end=3), EntitySpan(type='LOC', start=4, end=5)]

    Source:
        conlleval.pl of the CoNLL-2000 shared task, startOfChunk and endOfChunk; S as in seqeval.
    """
    entities: list[EntitySpan] = []
    before = (OUTSIDE, "")
    for place, tag in enumerate(tags):
        now = parse(tag)
        if now[0] != OUTSIDE:
            if now[0] in "BS" or before[0] in "OES" or now[1] != before[1]:
                entities.append(EntitySpan(now[1], place, place + 1))
            else:
                entities[-1] = entities[-1]._replace(end=place + 1)
        before = now
    return entities


def encode(entities: Iterable[EntitySpan], length: int, scheme: str) -> list[str]:
    """Tags of a sentence of so many words, from its entities in order.

    Args:
        entities: they do not overlap.
        length: words of the sentence.
        scheme: one of ``SCHEMES``.

    Example:
        >>> encode([EntitySpan("PER", 0, 2), EntitySpan("PER", 2, 3)], 4, "bioes")
        ['B-PER', 'E-PER', 'S-PER', 'O']
    """
    tags = [OUTSIDE] * length
    last: EntitySpan | None = None
    for span in entities:
        touches = last is not None and (last.type, last.end) == (span.type, span.start)
        letters = ["I"] * (span.end - span.start)
        if scheme != "iob1" or touches:
            letters[0] = "B"
        if scheme == "bioes":
            letters[-1] = "E" if len(letters) > 1 else "S"
        for place, letter in enumerate(letters, start=span.start):
            tags[place] = f"{letter}-{span.type}" if span.type else letter
        last = span
    return tags


def convert(tags: Sequence[str], scheme: str) -> list[str]:
    """The same entities in another scheme; "plain" leaves the tags as they are."""
    if scheme == PLAIN:
        return list(tags)
    return encode(spans(tags), len(tags), scheme)


def scheme_of(sentences: Iterable[Sequence[str]]) -> tuple[str, int]:
    """The scheme of a set's tags, and how many words break it.

    Args:
        sentences: tags of each; they mark entities.

    Returns:
        the one of ``SCHEMES`` that the fewest words break.
    """
    broken = Counter(dict.fromkeys(("iob2", "bioes", "iob1"), 0))
    for tags in sentences:
        entities = spans(tags)
        now = [parse(tag) for tag in tags]
        for scheme in broken:
            right = map(parse, encode(entities, len(tags), scheme))
            broken[scheme] += sum(a != b for a, b in zip(now, right, strict=True))
    scheme = min(broken, key=lambda name: broken[name])
    return scheme, broken[scheme]


def faults(data: Sentences, scheme: str) -> list[str]:
    """``file:line: reason`` of every tag that is not as the scheme has it, with what it is read as.

    Args:
        data: their tags mark entities.
        scheme: one of ``SCHEMES``.
    """
    lines = []
    for sentence in data.sentences:
        tags = sentence.tags or ()
        rights = encode(spans(tags), len(tags), scheme)
        for tag, right, line in zip(tags, rights, sentence.lines, strict=True):
            # Unusual spellings are counted by their kind, see :func:`respelled`.
            known = is_usual(tag) or is_odd(tag)
            if not known or parse(tag) != parse(right):
                lines.append(f"{data.path}:{line}: {tag!r} is read as {right!r} of {scheme}")
    return lines


def respelled(data: Sentences) -> Counter[str]:
    """Tags that are spelled unusually, and how many words have each."""
    tags = (tag for sentence in data.sentences for tag in sentence.tags or ())
    return Counter({tag: count for tag, count in Counter(tags).items() if is_odd(tag)})


@dataclass(frozen=True)
class TagSet:
    """The tags that a model learns.

    Attributes:
        labels: in the order of their ids; O, where it occurs, is the first.
        scheme: one of ``TRAINED``.
    """

    labels: tuple[str, ...]
    scheme: str

    @classmethod
    def of(cls, data: Sentences, scheme: str = "iob2") -> TagSet:
        """The tags of a training set.

        Args:
            data: every word has a tag.
            scheme: one of ``TRAINED``, for tags that mark entities; others are plain anyway.

        Raises:
            DataError: all words have the same tag.
            UnknownNameError: a model cannot learn that scheme.
        """
        if scheme not in TRAINED:
            raise UnknownNameError("scheme of tags", scheme, TRAINED)
        tags = [sentence.tags or () for sentence in data.sentences]
        if not marks_entities(tag for row in tags for tag in row):
            scheme = PLAIN
        labels = {tag for row in tags for tag in convert(row, scheme)}
        if len(labels) < 2:
            raise DataError(
                f"every word has the tag {''.join(labels)!r}; two are needed.", data.path
            )
        by_type = {tag: (tag != OUTSIDE, parse(tag)[1], tag) for tag in labels}
        plain = {tag: (tag != OUTSIDE, tag, tag) for tag in labels}
        order = plain if scheme == PLAIN else by_type
        return cls(tuple(sorted(labels, key=lambda tag: order[tag])), scheme)

    @classmethod
    def trained(cls, labels: Sequence[str], scheme: str | None = None) -> TagSet:
        """The tags of a trained model.

        Args:
            labels: by id.
            scheme: what its folder states; else what the labels look like.
        """
        if scheme in TRAINED:
            return cls(tuple(labels), scheme)
        letters = {parse(label)[0] for label in labels}
        if not marks_entities(labels):
            return cls(tuple(labels), PLAIN)
        return cls(tuple(labels), "bioes" if letters & {"E", "S"} else "iob2")

    @property
    def entities(self) -> bool:
        """Whether the tags mark entities."""
        return self.scheme != PLAIN

    @property
    def controls(self) -> list[int]:
        """Ids that no word can have: [CLS], [SEP], padding, beside tags a class without a name."""
        return [
            row
            for row, label in enumerate(self.labels)
            if is_control(label) or (self.entities and is_unnamed(label))
        ]

    @property
    def pieces(self) -> list[int]:
        """Ids of "X", which old taggers learn for every piece of a word behind its first."""
        if not (self.entities or self.controls):
            return []  # a part of speech may be called X
        return [row for row, label in enumerate(self.labels) if label in PIECES]

    @property
    def nothing(self) -> int:
        """Id of O, or of the first label where there is no O."""
        names = self._names
        return names.index(OUTSIDE) if OUTSIDE in names else 0

    @functools.cached_property
    def _names(self) -> list[str]:
        """The labels as :func:`convert` spells them; what is no tag keeps its name."""
        special = {*self.controls, *self.pieces}
        return [
            canonical(label) if self.entities and row not in special else label
            for row, label in enumerate(self.labels)
        ]

    def ids(self, tags: Sequence[str]) -> list[int]:
        """Ids of a sentence's tags, in whatever scheme they are; ``IGNORE`` for unknown ones."""
        rows = {name: row for row, name in reversed(list(enumerate(self._names)))}
        return [rows.get(tag, IGNORE) for tag in convert(tags, self.scheme)]

    def unknown(self, data: Sentences) -> Counter[str]:
        """Tags of a set that the model does not have, and how many words have them."""
        return self.unknown_in(sentence.tags or () for sentence in data.sentences)

    def unknown_in(self, sentences: Iterable[Sequence[str]]) -> Counter[str]:
        """Tags that the model does not have, and how many words have them.

        Args:
            sentences: tags of each, in whatever scheme they are.
        """
        known = set(self._names)
        counts = Counter[str]()
        for row in sentences:
            for tag, name in zip(row, convert(row, self.scheme), strict=True):
                if name not in known:
                    counts[name] += 1
                elif self.entities and name == OUTSIDE and is_bare(tag):
                    counts[tag] += 1
        return counts
