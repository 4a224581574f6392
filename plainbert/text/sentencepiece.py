"""SentencePiece with GluonNLP's rules: BERT's words first, then the model on every word."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

from plainbert import files
from plainbert.errors import CheckpointError, FormatError, MissingDependencyError, UsageError
from plainbert.files import SURROGATE
from plainbert.text import casing, sentencepiece_json, sentencepiece_model
from plainbert.text.sampling import Segmenter
from plainbert.text.special import special_pattern, tokenizer_config
from plainbert.text.tokenizer import CACHE_WORDS, RUN, ChunkCache, Tokenizer, weakly
from plainbert.text.vocab import Vocab

log = logging.getLogger(__name__)

_MARK = sentencepiece_json.MARK
_WHOLE = re.compile(r"(?!)")  # never matches: a vocabulary without special tokens


class SentencePiece(Tokenizer):
    """GluonNLP's ``BERTSPTokenizer``: every word and punctuation mark is segmented by itself.

    Special tokens written in the text become their ids, as with WordPiece.

    Args:
        path: a unigram or BPE model file.
        lower: lower-case and strip accents before the model sees a word.
        nbest: 0 or 1: the best segmentation; above 1: one drawn from the so many best; below 0:
            one drawn from all. BPE models only know "drawn or not".
        alpha: how sharp the draw is (exponent of the probabilities); for BPE the share of merges
            left out.
        seed: of the draws.
        cache_words: runs between blanks kept in memory; nothing is kept when drawing.

    Raises:
        CheckpointError: there is no such file.
        FormatError: it is not a SentencePiece model of these kinds.
        MissingDependencyError: the ``sentencepiece`` package is not installed.

    Source:
        dmlc/gluon-nlp v0.10, src/gluonnlp/data/transforms.py, BERTSPTokenizer.
    """

    def __init__(
        self,
        path: str | Path,
        lower: bool = True,
        nbest: int = 0,
        alpha: float = 1.0,
        seed: int = 0,
        cache_words: int = CACHE_WORDS,
    ) -> None:
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"{path} is not a file; a SentencePiece model is expected.")
        if alpha < 0:
            raise UsageError(f"alpha={alpha}: a number from 0 up is expected.")
        vocab = Vocab.from_sentencepiece(path)
        if lower and casing.of_tokens(vocab.tokens) is False:
            log.warning(
                "%s has upper-case letters, but text is lower-cased: pieces with them are never "
                "used. --do_lower_case false keeps the case.",
                path,
            )
        self._set_up(path.read_bytes(), vocab, lower, nbest, alpha, seed, cache_words)

    def _set_up(
        self,
        data: bytes,
        vocab: Vocab,
        lower: bool,
        nbest: int,
        alpha: float,
        seed: int,
        cache_words: int,
    ) -> None:
        self._state = (data, vocab, lower, nbest, alpha, seed, cache_words)
        self._data, self.vocab, self.lower = data, vocab, lower
        self.nbest, self.alpha = nbest, alpha
        model = sentencepiece_model.parse(data, "the model")
        self._processor = _load(data)
        self._backend = sentencepiece_json.build(model, vocab, lower)
        self._normalizer = sentencepiece_json.bert_normalizer(lower)
        self._words = pre_tokenizers.BertPreTokenizer()
        self._special = special_pattern(vocab) or _WHOLE
        self._bpe = model.kind == sentencepiece_model.BPE
        self._sampling = nbest not in (0, 1)
        self._random = random.Random(seed)
        self._segmenter = Segmenter(model, alpha, self._random)
        self._cache = ChunkCache(weakly(self._compute), 0 if self._sampling else cache_words)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, self._state)

    def reseed(self, seed: int) -> None:
        """Begin the draws anew, so that they do not depend on what was tokenised before."""
        self._random.seed(seed)

    def is_first(self, piece: str) -> bool:
        """Whether a sub-word starts a word: those with the mark U+2581 do."""
        return piece.startswith(_MARK)

    def save(self, folder: str | Path) -> None:
        """Write ``spm.model``, ``tokenizer.json`` with equal ids, ``tokenizer_config.json``."""
        folder = Path(folder)
        with files.atomic_file(folder / "spm.model") as file:
            file.write(self._data)
        files.write_text(folder / "tokenizer.json", self._backend.to_str(pretty=True) + "\n")
        config = tokenizer_config(self.vocab, "PreTrainedTokenizerFast", self.lower)
        files.write_json(folder / "tokenizer_config.json", config)

    def _compute(self, chunk: str) -> Sequence[int]:
        """Ids of one run without blanks: special tokens first, then word by word."""
        if not chunk.isascii():
            chunk = SURROGATE.sub("\ufffd", chunk)
        ids: list[int] = []
        done = 0
        for match in self._special.finditer(chunk):
            ids += self._plain(chunk[done : match.start()])
            ids.append(self.vocab.rows[match.group()])
            done = match.end()
        ids += self._plain(chunk[done:])
        return ids

    def _plain(self, text: str) -> list[int]:
        """Ids of text without special tokens."""
        clean = self._normalizer.normalize_str(text)
        ids: list[int] = []
        for word, _ in self._words.pre_tokenize_str(clean):
            ids += self._sampled(word) if self._sampling else self._processor.encode(word)
        return ids

    def _sampled(self, word: str) -> list[int]:
        if self._bpe:
            return self._segmenter.of_merges(self._processor.normalize(word))
        if self.nbest < 0:
            return self._segmenter.of_all(self._processor.normalize(word))
        segmentations = self._processor.nbest_encode(word, nbest_size=self.nbest, out_type=int)
        return self._segmenter.of_best(segmentations) if segmentations else []

    def _offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Offsets come from ``tokenizers``; they belong to the best segmentation, never a draw.

        Where the two libraries break a tie differently (seen in 2 of 110,000 lines), the pieces
        of that run all get the place of the whole run.
        """
        encoding = self._backend.encode(text, add_special_tokens=False)
        if self._sampling or encoding.ids == self.ids(text):
            return encoding.ids, [_trimmed(text, *span) for span in encoding.offsets]
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for run in RUN.finditer(text):
            own = self._cache[run.group()]
            part = self._backend.encode(run.group(), add_special_tokens=False)
            begin = run.start()
            if tuple(part.ids) == own:
                bounds = [(begin + start, begin + end) for start, end in part.offsets]
                spans += [_trimmed(text, *span) for span in bounds]
            else:
                spans += [run.span()] * len(own)
            ids += own
        return ids, spans


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the blanks at its ends (the mark of a word may lie on one)."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _restore(*state: Any) -> SentencePiece:
    tokenizer = SentencePiece.__new__(SentencePiece)
    tokenizer._set_up(*state)
    return tokenizer


def _load(data: bytes) -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise MissingDependencyError(
            "sentencepiece", "sentencepiece", "Tokenising with a SentencePiece model"
        ) from None
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except (RuntimeError, OSError, ValueError) as error:
        raise FormatError(f"the SentencePiece model cannot be loaded: {error}") from None
