"""From the logits of a tagger to the tags of words, and to entities in a text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.infer import finite
from plainbert.infer.logits import probabilities
from plainbert.tasks.ner.features import WordFeatures
from plainbert.tasks.ner.tags import PLAIN, EntitySpan, TagSet, encode, spans
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
    touches = np.array([touch for text in texts for touch in text.touches], bool)
    rows = zip(texts, decode_tags(logits, features, tags, touches), strict=True)
    return [_tagging(text, names, shares, entities=tags.entities) for text, (names, shares) in rows]


def decode_tags(
    logits: NDArray[np.float32],
    features: WordFeatures,
    tags: TagSet,
    touches: NDArray[np.bool_] | None = None,
) -> list[tuple[list[str], list[float]]]:
    """The most probable tag of every word and its probability, for each sentence.

    A word without a token has the tag O, or the first one where there is no O, and probability 0.
    Labels that are no tags, [CLS] for one, no word gets. "X" says that a word goes on with the one
    before, which a part of a text can do that touches it, such as the hyphen in "Jean-Luc".

    Args:
        logits: of every token; (S, C).
        features: the words of the sentences as features.
        tags: the C tags that the model learned.
        touches: whether each word begins where the one before ends; none does when not given; (W,).

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
    chosen = known.copy()
    chosen[:, tags.controls] = -np.inf
    if tags.pieces:
        parts = np.zeros(len(seen), bool) if touches is None else touches
        for row in tags.pieces:
            chosen[~parts[seen], row] = -np.inf
    rows = np.full(len(features.first), tags.nothing)
    shares = np.zeros(len(features.first))
    rows[seen] = chosen.argmax(1)
    shares[seen] = np.take_along_axis(probabilities(known), chosen.argmax(1)[:, None], 1)[:, 0]
    values = shares.tolist()
    pieces = np.isin(rows, tags.pieces).tolist()
    names = [tags.labels[row] for row in rows.tolist()]
    ends = features.offsets.tolist()
    return [
        (_continued(names[a:b], pieces[a:b], tags.scheme), values[a:b])
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]


def _continued(names: list[str], pieces: Sequence[bool], scheme: str) -> list[str]:
    """Tags of a sentence where words that are pieces belong to what the word before belongs to."""
    if not any(pieces):
        return names
    # The first word of each group of pieces; the first word of a sentence touches none.
    firsts = [place for place, piece in enumerate(pieces) if not piece]
    if scheme == PLAIN:
        return [names[firsts[bisect_right(firsts, place) - 1]] for place in range(len(names))]
    bounds = [*firsts, len(names)]
    entities = [
        EntitySpan(kind, bounds[start], bounds[end])
        for kind, start, end in spans(names[place] for place in firsts)
    ]
    return encode(entities, len(names), scheme)


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
