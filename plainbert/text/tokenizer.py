"""What every tokenizer can do, and the cache that makes it fast."""

from __future__ import annotations

import hashlib
import re
import tempfile
import weakref
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from plainbert.files import SURROGATE
from plainbert.text.marks import whole_ends
from plainbert.text.vocab import Vocab

CACHE_WORDS = 1 << 17  # about 30 MB when full
LONGEST_CACHED = 48  # characters; longer runs between blanks hardly ever return
# What BERT replaces by a blank. The other characters that str.split() splits at (vertical tab,
# form feed, U+001C to U+001F, U+0085) are control characters, which BERT deletes.
_BLANKS = "\t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BLANK = re.compile(f"[{_BLANKS}]+")
RUN = re.compile(f"[^ {_BLANKS}]+")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Sub-words of one text and where they came from; four lists of equal length.

    Args:
        ids: rows of the vocabulary.
        start: first character of each piece in the text.
        end: the character after its last one, and after the marks behind it that no piece covers:
            lower-casing drops vowel signs and accents, joiners and variation selectors.
        word: index of the blank-separated word (as of ``text.split()``) in which it starts; -1
            where it starts in none.
    """

    ids: list[int]
    start: list[int]
    end: list[int]
    word: list[int]

    def __len__(self) -> int:
        return len(self.ids)


def weakly(method: Callable[[str], Sequence[int]]) -> Callable[[str], Sequence[int]]:
    """A method of an object that may hold the result: no cycle keeps the object alive."""
    reference = weakref.WeakMethod(method)

    def call(chunk: str) -> Sequence[int]:
        bound = reference()
        assert bound is not None, "its object is gone"
        return bound(chunk)

    return call


class ChunkCache(dict[str, tuple[int, ...]]):
    """Ids of the runs of characters between blanks, computed when first asked for.

    BERT's tokenisation never looks across a blank, so the ids of a text are those of its runs in
    order; punctuation stays with its word. Two generations bound the memory: when the young one
    is full it becomes the old one, and whatever is asked for again moves back.

    Args:
        compute: ids of one run without blanks.
        limit: entries kept, both generations together; 0 keeps nothing.
    """

    def __init__(self, compute: Callable[[str], Sequence[int]], limit: int) -> None:
        super().__init__()
        self._compute = compute
        self._half = limit // 2
        self._old: dict[str, tuple[int, ...]] = {}

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        ids = self._old.get(chunk) if self._old else None
        if ids is None:
            if not chunk.isprintable():
                parts = BLANK.split(chunk)
                if len(parts) > 1:
                    joined: list[int] = []
                    for part in parts:
                        joined += self[part]
                    return tuple(joined)
            ids = tuple(self._compute(chunk))
        if len(chunk) <= LONGEST_CACHED and self._half:
            if len(self) >= self._half:
                self._old = dict(self)
                self.clear()
            self[chunk] = ids
        return ids

    @property
    def held(self) -> int:
        """Entries in memory, both generations."""
        return len(self) + len(self._old)


class Tokenizer(ABC):
    """Text to ids, and back to its characters.

    Instances pickle as their settings only: caches and native objects are made anew.
    """

    vocab: Vocab
    lower: bool
    _cache: ChunkCache
    across_blanks = False  # whether an added token holds a blank, so that runs depend on another
    _backend: tokenizers.Tokenizer  # the same tokenizer as an object of the reference library

    def ids(self, text: str) -> list[int]:
        """Ids of a text, without [CLS] and [SEP]; the fast path."""
        if self.across_blanks:
            return list(self._reference(text))
        cache = self._cache
        ids: list[int] = []
        for chunk in text.split(" "):
            ids += cache[chunk]
        return ids

    def ids_many(self, texts: Iterable[str]) -> list[list[int]]:
        """Ids of several texts; see :meth:`ids`."""
        if self.across_blanks:
            return [self.ids(text) for text in texts]
        cache = self._cache
        result = []
        for text in texts:
            ids: list[int] = []
            for chunk in text.split(" "):
                ids += cache[chunk]
            result.append(ids)
        return result

    def tokenize(self, text: str) -> list[str]:
        """Sub-words of a text, without [CLS] and [SEP]; the unknown token where none fits."""
        tokens = self.vocab.tokens
        return [tokens[row] for row in self.ids(text)]

    def pieces(self, text: str) -> Pieces:
        """Sub-words with their place in the text, whatever normalisation did to its characters."""
        # A lone surrogate is no character; U+FFFD is as long and BERT deletes both.
        clean = text if text.isascii() else SURROGATE.sub("\ufffd", text)
        ids, offsets = self._offsets(clean)
        words = [match.start() for match in re.finditer(r"\S+", text)]
        start = [begin for begin, _ in offsets]
        return Pieces(
            ids=ids,
            start=start,
            end=whole_ends(text, start, [end for _, end in offsets]),
            word=[bisect_right(words, begin) - 1 for begin in start],
        )

    def _reference(self, text: str) -> Sequence[int]:
        """Ids by the ``tokenizers`` library, the reference."""
        if not text.isascii():
            text = SURROGATE.sub("\ufffd", text)
        return self._backend.encode(text, add_special_tokens=False).ids

    @abstractmethod
    def _offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and (start, end) character offsets of a text without lone surrogates."""

    @abstractmethod
    def is_first(self, piece: str) -> bool:
        """Whether a sub-word starts a word."""

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the files from which :func:`plainbert.text.reader.read_tokenizer` makes it again.

        Args:
            folder: exists; files of the same names are replaced.
        """

    def fingerprint(self) -> tuple[str, ...]:
        """What tells this tokenizer from others: SHA-256 of each file that :meth:`save` writes."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            paths = sorted(Path(folder).iterdir())
            return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
