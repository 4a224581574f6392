"""How instances are made, written slowly from the description in the paper's code.

Lists and one random number at a time; nothing of ``plainbert.corpus``. A document is a list of
sentences, a sentence a list of tokens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

Document = list[list[int]]
CLS, SEP, MASK = 2, 3, 4


@dataclass
class Made:
    tokens: list[int]
    split: int  # tokens of the first text with [CLS] and [SEP]
    random_next: bool


def pairs(
    documents: list[Document], index: int, limit: int, short: float, rng: random.Random
) -> list[Made]:
    """All pairs of one document."""
    document = documents[index]
    most = limit - 3
    goal = rng.randint(2, most) if rng.random() < short else most
    made = []
    place = 0
    while place < len(document):
        chunk: Document = []
        while place < len(document):  # sentences until there are enough tokens
            chunk.append(document[place])
            place += 1
            if sum(map(len, chunk)) >= goal:
                break
        used = 1 if len(chunk) == 1 else rng.randint(1, len(chunk) - 1)
        first = [token for sentence in chunk[:used] for token in sentence]
        anywhere = len(chunk) == 1 or rng.random() < 0.5
        second: list[int] = []
        if anywhere:
            place -= len(chunk) - used  # what is left of the chunk comes again
            other = index
            while other == index and len(documents) > 1:
                other = rng.randrange(len(documents))
            for sentence in documents[other][rng.randrange(len(documents[other])) :]:
                second += sentence
                if len(second) >= goal - len(first):
                    break
        else:
            second = [token for sentence in chunk[used:] for token in sentence]
        while len(first) + len(second) > most:
            longer = first if len(first) > len(second) else second
            longer.pop(0 if rng.random() < 0.5 else -1)
        tokens = [CLS, *first, SEP, *second, SEP]
        made.append(Made(tokens, len(first) + 2, anywhere))
    return made


def masks(
    tokens: list[int],
    share: float,
    most: int,
    vocab: int,
    rng: random.Random,
    inner: set[int] | None = None,
) -> tuple[list[int], dict[int, int]]:
    """Tokens after masking, and {place: what was there}; ``inner``: tokens inside of words."""
    words: list[list[int]] = []
    for place, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if inner is not None and words and token in inner:
            words[-1].append(place)
        else:
            words.append([place])
    rng.shuffle(words)
    room = min(most, max(1, round(len(tokens) * share)))
    changed, found = list(tokens), {}
    for word in words:
        if len(word) > room - len(found):
            continue
        for place in word:
            found[place] = tokens[place]
            dice = rng.random()
            if dice < 0.8:
                changed[place] = MASK
            elif dice < 0.9:
                changed[place] = rng.randrange(vocab)
        if len(found) == room:
            break
    return changed, found
