"""Small corpora: made-up documents as a store, and as text with a tokenizer for it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from plainbert.corpus.tokens import Reading, Store
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers.slow_corpus import Document

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(97 + n) for n in range(26)]
TOKENS = [*SPECIALS, *LETTERS, *(f"##{one}" for one in LETTERS[:10])]
FIRST = len(SPECIALS)
INNER = set(range(len(SPECIALS) + 26, len(TOKENS)))


def tokenizer() -> WordPiece:
    return WordPiece(Vocab.from_tokens(TOKENS), lower=True)


def documents(number: int, seed: int, sentences: int = 10, words: int = 12) -> list[Document]:
    """Documents of up to so many sentences of up to so many tokens, of which FIRST begins each."""
    rng = random.Random(seed)
    return [
        [
            [FIRST, *(rng.randrange(FIRST + 1, len(TOKENS)) for _ in range(rng.randrange(words)))]
            for _ in range(rng.randint(1, sentences))
        ]
        for _ in range(number)
    ]


def store(made: list[Document]) -> Store:
    lengths = [len(sentence) for document in made for sentence in document]
    return Store(
        ids=np.array([t for document in made for s in document for t in s], np.uint16),
        sentences=np.append(0, np.cumsum(lengths)),
        documents=np.append(0, np.cumsum([len(document) for document in made])),
    )


def text(made: list[Document]) -> str:
    """As a file would hold it; sub-words from inside of words become letters of their own."""
    return (
        "\n\n".join(
            "\n".join(" ".join(TOKENS[t].strip("#") for t in s) for s in document)
            for document in made
        )
        + "\n"
    )


def write(folder: Path, number: int = 40, seed: int = 1, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_text(text(documents(number, seed)), "utf-8")
    return path


def reading() -> Reading:
    return Reading(tokenizer())
