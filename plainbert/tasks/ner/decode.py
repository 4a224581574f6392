"""From the logits of a tagger to the tags of words, and to entities in a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.errors import UsageError
from plainbert.infer import logits as scores
from plainbert.nn.bert import Bert
from plainbert.tasks.ner.features import WordFeatures, featurize_words
from plainbert.tasks.ner.tags import OUTSIDE, TagSet, spans
from plainbert.text.tokenizer import Tokenizer

# A text, or a sentence that is already split into words.
Sentence = str | tuple[str, ...]


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
        text: as it was given; words that were given are joined by blanks.
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
        return cls(plain["text"], words, tuple(Entity(**each) for each in plain["entities"]))


def tag(
    model: Bert | scores.ComputesLogits,
    tokenizer: Tokenizer,
    texts: Sequence[Sentence],
    tags: TagSet,
    max_len: int,
    device: torch.device | str = "cpu",
    bar: bool = False,
) -> list[Tagging]:
    """Tag texts.

    Args:
        model: prepared, with a tagging head.
        tokenizer: the model's.
        texts: texts, split by :func:`split`, or tuples of words.
        tags: of the model.
        max_len: tokens that the model sees at a time; longer texts are read in windows.
        device: where the model is.
        bar: show progress.

    Raises:
        UsageError: the model is no tagger, or has fewer than ``max_len`` positions.
    """
    if isinstance(model, Bert) or model.head != "token_classification":
        has = "no head" if isinstance(model, Bert) else f"a {model.head} head"
        raise UsageError(
            f"this model has {has}; tag needs a tagger. Train one with "
            "scripts/bert/finetune_ner.py."
        )
    if max_len > (most := model.config.max_position_embeddings):
        raise UsageError(f"max_len={max_len}: this model has {most} positions; give at most that.")
    taken = [_joined(text) if isinstance(text, tuple) else text for text in texts]
    places = [
        _places(text) if isinstance(text, tuple) else split(tokenizer, text) for text in texts
    ]
    words = [
        [text[start:end] for start, end in each] for text, each in zip(taken, places, strict=True)
    ]
    features = featurize_words(tokenizer, words, max_len)
    logits = scores.run_tokens(model, features.features, bar=bar)
    found = decide(logits, features, tags)
    return [
        _tagging(text, each, *said, entities=tags.entities)
        for text, each, said in zip(taken, places, found, strict=True)
    ]


def split(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Where the words of a text lie: (start, end) in characters.

    A word is what the tokenizer takes for one: it splits at blanks, around each punctuation
    character and around each ideograph. Characters that it deletes belong to no word.
    """
    pieces = tokenizer.pieces(text)
    found: list[tuple[int, int]] = []
    fresh = True
    for row, start, end in zip(pieces.ids, pieces.start, pieces.end, strict=True):
        fresh = fresh or tokenizer.is_first(tokenizer.vocab.tokens[row])
        if start == end:  # a lone mark of a word's beginning; the word comes next
            continue
        if fresh:
            found.append((start, end))
        else:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        fresh = False
    return found


def decide(
    logits: NDArray[np.float32], features: WordFeatures, tags: TagSet
) -> list[tuple[list[str], list[float]]]:
    """The most probable tag of every word and its probability, for each sentence.

    A word without a token has the tag O, or the first one where there is no O, and probability 0.

    Args:
        logits: of every token; (S, C).
        features: of the sentences.
        tags: of the model.
    """
    seen = features.first >= 0
    known = logits[features.first[seen]]
    nothing = tags.labels.index(OUTSIDE) if OUTSIDE in tags.labels else 0
    rows = np.full(len(features.first), nothing)
    shares = np.zeros(len(features.first))
    rows[seen] = known.argmax(1)
    shares[seen] = scores.probabilities(known).max(1, initial=0)
    names = [tags.labels[row] for row in rows.tolist()]
    values = shares.tolist()
    ends = features.offsets.tolist()
    return [(names[a:b], values[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def _joined(words: tuple[str, ...]) -> str:
    return " ".join(words)


def _places(words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where words lie once they are joined by blanks."""
    found, start = [], 0
    for word in words:
        found.append((start, start + len(word)))
        start += len(word) + 1
    return found


def _tagging(
    text: str,
    places: Sequence[tuple[int, int]],
    tags: Sequence[str],
    shares: Sequence[float],
    entities: bool,
) -> Tagging:
    words = tuple(
        Word(text[start:end], start, end, tag, share)
        for (start, end), tag, share in zip(places, tags, shares, strict=True)
    )
    found = []
    for kind, first, stop in spans(tags) if entities else ():
        start, end = places[first][0], places[stop - 1][1]
        score = sum(shares[first:stop]) / (stop - first)
        found.append(Entity(text[start:end], kind, start, end, score))
    return Tagging(text, words, tuple(found))
