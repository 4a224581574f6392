"""From the logits of a tagger to the tags of words, and to entities in a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.infer import finite
from plainbert.infer.logits import probabilities
from plainbert.tasks.ner.features import WordFeatures
from plainbert.tasks.ner.tags import OUTSIDE, TagSet, spans
from plainbert.tasks.ner.words import SplitText


@dataclass(frozen=True)
class Word:
    """One word of a text and its tag.

    Attributes:
        text: the characters from ``start`` to ``end``.
        start: its first character in the text.
        end: the character after its last one.
        tag: the most probable one.
        score: probability of that tag; 0 for a word that leaves the model no token to look at.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float


@dataclass(frozen=True)
class Entity:
    """One entity of a text.

    Attributes:
        text: the characters from ``start`` to ``end``.
        type: of the entity, "PER" for one.
        start: its first character in the text.
        end: the character after its last one.
        score: mean of the probabilities of its words' tags.
    """

    text: str
    type: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Tagging:
    """What a tagger says about one text.

    Attributes:
        text: all characters; words that came without a text are joined by blanks.
        words: every word with its tag.
        entities: in the order of the text; empty where the tags are plain labels.
    """

    text: str
    words: tuple[Word, ...]
    entities: tuple[Entity, ...]

    @property
    def tags(self) -> list[str]:
        """The tag of each word."""
        return [word.tag for word in self.words]

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Tagging:
        """What ``dataclasses.asdict`` took apart."""
        words = tuple(Word(**word) for word in plain["words"])
        entities = tuple(Entity(**entity) for entity in plain["entities"])
        return cls(plain["text"], words, entities)


def decode(
    logits: NDArray[np.float32],
    features: WordFeatures,
    texts: Sequence[SplitText],
    tags: TagSet,
) -> list[Tagging]:
    """Tags and entities of texts, in order.

    Args:
        logits: of every token; (S, C).
        features: the words of the texts as features.
        texts: the texts with the offsets of their words.
        tags: the C tags that the model learned.
    """
    rows = zip(texts, decode_tags(logits, features, tags), strict=True)
    return [_tagging(text, names, shares, entities=tags.entities) for text, (names, shares) in rows]


def decode_tags(
    logits: NDArray[np.float32], features: WordFeatures, tags: TagSet
) -> list[tuple[list[str], list[float]]]:
    """The most probable tag of every word and its probability, for each sentence.

    A word without a token has the tag O, or the first one where there is no O, and probability 0.

    Args:
        logits: of every token; (S, C).
        features: the words of the sentences as features.
        tags: the C tags that the model learned.

    Raises:
        NotFiniteError: logits are not finite; the sentences are named.
    """
    seen = features.first >= 0
    # Only the first piece of each word, in its best window, speaks for it.
    known = logits[features.first[seen]]
    finite.check(
        known,
        lambda row: f"sentence {row + 1}",
        lambda: ragged.rows(np.diff(features.offsets))[seen],
    )
    nothing = tags.labels.index(OUTSIDE) if OUTSIDE in tags.labels else 0
    rows = np.full(len(features.first), nothing)
    shares = np.zeros(len(features.first))
    rows[seen] = known.argmax(1)
    shares[seen] = probabilities(known).max(1, initial=0)
    names = [tags.labels[row] for row in rows.tolist()]
    values = shares.tolist()
    ends = features.offsets.tolist()
    return [(names[a:b], values[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def _tagging(
    text: SplitText, tags: Sequence[str], shares: Sequence[float], entities: bool
) -> Tagging:
    words = tuple(
        Word(text.text[start:end], start, end, tag, share)
        for (start, end), tag, share in zip(text.offsets, tags, shares, strict=True)
    )
    marked = []
    for kind, first, stop in spans(tags) if entities else ():
        start, end = text.offsets[first][0], text.offsets[stop - 1][1]
        score = sum(shares[first:stop]) / (stop - first)
        marked.append(Entity(text.text[start:end], kind, start, end, score))
    return Tagging(text.text, words, tuple(marked))
