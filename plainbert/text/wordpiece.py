"""WordPiece as Google's BERT defines it, bit for bit that of the ``tokenizers`` library."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from plainbert import files
from plainbert.files import SURROGATE
from plainbert.text.long_words import LONG_RUN, SHORT, Spans, words
from plainbert.text.special import add_special_tokens, special_pattern, tokenizer_config
from plainbert.text.tokenizer import CACHE_WORDS, ChunkCache, Tokenizer, weakly
from plainbert.text.vocab import Vocab

# Characters that are words of their own whatever stands beside them, so that a run may be cut
# there. Any subset of BERT's punctuation and CJK ranges is right; what is left out only means
# that a longer piece of text goes to the reference.
PUNCTUATION = (
    "!-/:-@\\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf"
    "\u2010-\u2027\u2030-\u2043\u2045-\u2051\u2053-\u205e"
    "\u3001-\u3003\u3008-\u3011\u3014-\u301f"
    "\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f\uff1a\uff1b\uff1f\uff20"
)
IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002a6df\U0002a700-\U0002b73f"
ASCII_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")


class WordPiece(Tokenizer):
    """Google's basic tokenizer followed by greedy longest-match-first sub-words.

    Three stages, each exact: a cache of whole runs between blanks; for a new run of ASCII a few
    lines of Python; for anything else the ``tokenizers`` library, after cutting where
    punctuation or ideographs allow it.

    Special tokens that are written in the text, such as ``[MASK]``, become their ids, as in
    ``transformers``.

    Args:
        vocab: must hold an unknown token.
        lower: lower-case, and strip accents where ``strip_accents`` does not say otherwise.
        max_word_chars: longer words become the unknown token; Google 100, GluonNLP 200.
        strip_accents: None follows ``lower``.
        split_cjk: every ideograph is a word of its own.
        cache_words: runs kept in memory; 0 keeps none.
        added: further tokens that are matched before anything else, as ``added_tokens`` in a
            ``tokenizer.json`` states them; each must be in ``vocab``.

    Raises:
        CheckpointError: the vocabulary has no unknown token.

    Source:
        google-research/bert, tokenization.py, FullTokenizer.
    """

    def __init__(
        self,
        vocab: Vocab,
        lower: bool = True,
        max_word_chars: int = 100,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
        cache_words: int = CACHE_WORDS,
        added: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.vocab = vocab
        self.lower = lower
        self.max_word_chars = max_word_chars
        self.strip_accents = strip_accents
        self.split_cjk = split_cjk
        self.cache_words = cache_words
        self.added = tuple(dict(token) for token in added)
        self._unknown = vocab.unk_id
        self._rows = vocab.rows
        self._inner = {
            token[2:]: row for token, row in vocab.rows.items() if token.startswith("##")
        }
        self._longest = max(len(token) for token in vocab.tokens)
        self._special = special_pattern(vocab)
        self._plain_specials = not any(token.isalnum() for token in vocab.specials.values())
        single = PUNCTUATION + (IDEOGRAPHS if split_cjk else "")
        self._atoms = re.compile(f"[{single}]|[^{single}]+")
        self._backend = self._make_backend()
        self.across_blanks = any(re.search(r"\s", token["content"]) for token in self.added)
        compute = self._reference if self.added else self._compute
        self._cache = ChunkCache(weakly(compute), cache_words)

    def __reduce__(self) -> tuple[Any, ...]:
        settings = (self.lower, self.max_word_chars, self.strip_accents, self.split_cjk)
        return (WordPiece, (self.vocab, *settings, self.cache_words, self.added))

    def with_vocab(self, vocab: Vocab) -> WordPiece:
        """The same rules over another vocabulary, such as the same tokens in another order."""
        make, (_, *settings) = self.__reduce__()
        tokenizer: WordPiece = make(vocab, *settings)
        return tokenizer

    def is_first(self, piece: str) -> bool:
        """Whether a sub-word starts a word: all but those with ``##`` do."""
        return not piece.startswith("##")

    def save(self, folder: str | Path) -> None:
        """Write ``vocab.txt``, ``tokenizer.json`` and ``tokenizer_config.json``."""
        folder = Path(folder)
        self.vocab.save_txt(folder / "vocab.txt")
        files.write_text(folder / "tokenizer.json", self._backend.to_str(pretty=True) + "\n")
        # transformers 5 rebuilds a BertTokenizer from the vocabulary and forgets what its
        # constructor cannot say; the general class takes tokenizer.json as it is.
        usual = self.max_word_chars == 100 and not self.added
        name = "BertTokenizer" if usual else "PreTrainedTokenizerFast"
        config = tokenizer_config(self.vocab, name, self.lower)
        config["strip_accents"] = self.strip_accents
        config["tokenize_chinese_chars"] = self.split_cjk
        files.write_json(folder / "tokenizer_config.json", config)

    def _offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        if self.max_word_chars > SHORT and LONG_RUN.search(text):
            return self._of_long_words(text)
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def _reference(self, text: str) -> Sequence[int]:
        if self.max_word_chars > SHORT and LONG_RUN.search(text):
            return self._of_long_words(SURROGATE.sub("\ufffd", text))[0]
        return super()._reference(text)

    def _of_long_words(self, text: str) -> tuple[list[int], Spans]:
        """Ids and offsets, each word cut here."""
        ids: list[int] = []
        spans: Spans = []
        for word, offsets, added in words(text, self._backend, self._add_tokens):
            rows = (self._rows[word],) if added else self._greedy(word)
            start = 0
            for row in rows:
                stop = start + len(self.vocab.tokens[row]) - (2 if start else 0)
                if len(rows) == 1:  # the unknown token among others
                    stop = len(offsets)
                spans.append((offsets[start][0], offsets[stop - 1][1]))
                start = stop
            ids += rows
        return ids, spans

    def _compute(self, chunk: str) -> Sequence[int]:
        """Ids of one run without blanks."""
        if chunk.isascii() and chunk.isalnum() and self._plain_specials:
            return self._word(chunk.lower() if self.lower else chunk)
        if self._special is not None and self._special.search(chunk):
            return self._reference(chunk)
        if chunk.isascii() and chunk.isprintable():
            return self._ascii(chunk.lower() if self.lower else chunk)
        atoms = self._atoms.findall(chunk)
        if len(atoms) < 2:
            return self._reference(chunk)
        ids: list[int] = []
        for atom in atoms:
            ids += self._cache[atom]
        return ids

    def _ascii(self, chunk: str) -> Sequence[int]:
        """Ids of printable ASCII without blanks: there, all but letters and digits stands alone."""
        ids: list[int] = []
        for word in ASCII_WORDS.findall(chunk):
            row = self._rows.get(word)
            if row is not None and len(word) <= self.max_word_chars:
                ids.append(row)
            elif word == chunk:
                ids += self._greedy(word)
            else:
                ids += self._cache[word]
        return ids

    def _word(self, word: str) -> Sequence[int]:
        """Ids of one word that is as the vocabulary would hold it."""
        row = self._rows.get(word)
        if row is not None and len(word) <= self.max_word_chars:
            return (row,)
        return self._greedy(word)

    def _greedy(self, word: str) -> Sequence[int]:
        """The longest known sub-word from the left, again and again; unknown when one lacks."""
        if len(word) > self.max_word_chars:
            return (self._unknown,)
        rows, size = self._rows, len(word)
        ids: list[int] = []
        start = 0
        while start < size:
            for end in range(min(size, start + self._longest), start, -1):
                row = rows.get(word[start:end])
                if row is not None:
                    break
            else:
                return (self._unknown,)
            ids.append(row)
            start = end
            rows = self._inner
        return ids

    def _make_backend(self) -> tokenizers.Tokenizer:
        model = models.WordPiece(
            dict(self._rows),
            unk_token=self.vocab.tokens[self._unknown],
            max_input_chars_per_word=min(self.max_word_chars, sys.maxsize),
        )
        backend = tokenizers.Tokenizer(model)
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.split_cjk,
            strip_accents=self.strip_accents,
            lowercase=self.lower,
        )
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix="##")
        self._add_tokens(backend)
        return backend

    def _add_tokens(self, backend: tokenizers.Tokenizer) -> None:
        """Register what is found before words are: together, or each would cost a new search."""
        add_special_tokens(backend, self.vocab)
        keys = ("single_word", "lstrip", "rstrip", "normalized", "special")
        tokens = [
            (token["content"], {key: token[key] for key in keys if token.get(key) is not None})
            for token in self.added
        ]
        backend.add_tokens([tokenizers.AddedToken(content, **flags) for content, flags in tokens])
