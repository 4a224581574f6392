"""Train a vocabulary on text: WordPiece, or SentencePiece for GluonNLP's rules."""

from __future__ import annotations

import io
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, trainers

from plainbert.errors import DataError, MissingDependencyError, UsageError
from plainbert.progress import Progress
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

log = logging.getLogger(__name__)

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # Google's order
KINDS = ("wordpiece", "sentencepiece")
LEAST = 100  # tokens; fewer cannot hold letters and specials
ASCII = "".join(map(chr, range(33, 127)))  # in every vocabulary: new text holds it too
LONG_WORD = re.compile(r"\S{101,}")  # WordPiece makes them [UNK]
LINE_WORDS = 400  # sentencepiece leaves out lines of more than 4192 bytes
LINES = 2_000_000  # sentencepiece keeps all its lines in memory
THREADS = 4  # fixed: sums of floats depend on how they are divided


def train_vocabulary(
    texts: Iterable[str],
    size: int,
    folder: str | Path,
    kind: str = "wordpiece",
    lower: bool = True,
    algorithm: str = "unigram",
) -> Tokenizer:
    """Train a vocabulary and write it as a tokenizer folder; equal texts give equal files.

    Rows 0 to 4 are [PAD], [UNK], [CLS], [SEP], [MASK].

    Args:
        texts: sentences or longer; iterated once. Kept in a temporary file meanwhile.
        size: number of tokens in all.
        folder: gets ``vocab.txt`` or ``spm.model``, ``tokenizer.json``, ``tokenizer_config.json``.
        kind: "wordpiece" or "sentencepiece".
        lower: lower-case and strip accents, in training and ever after.
        algorithm: "unigram" or "bpe", for SentencePiece.

    Returns:
        the tokenizer that uses it.

    Raises:
        UsageError: the size is too small, or larger than the text allows; an unknown kind.
        DataError: there is no text.
        MissingDependencyError: the ``sentencepiece`` package is not installed.
    """
    if kind not in KINDS or algorithm not in ("unigram", "bpe"):
        raise UsageError(
            f"a vocabulary of kind {kind!r} ({algorithm!r}) was asked for; {' and '.join(KINDS)} "
            "(unigram, bpe) are known."
        )
    if size < LEAST:
        raise UsageError(f"a vocabulary of {size} tokens was asked for; {LEAST} are the least.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vocabulary.", suffix=".tmp", dir=folder) as name:
        path = Path(name) / "text"
        characters = _spooled(texts, path, lower, apart=kind == "sentencepiece")
        if not characters:
            raise DataError("there is no text to train a vocabulary on.")
        log.info("training a vocabulary of %d tokens (%s).", size, kind)
        tokenizer: Tokenizer
        if kind == "wordpiece":
            tokenizer = WordPiece(Vocab(_wordpiece(path, size, characters, lower)), lower=lower)
        else:
            model = Path(name) / "spm.model"
            model.write_bytes(_sentencepiece(path, size, characters, algorithm))
            tokenizer = SentencePiece(model, lower=lower)
    assert tokenizer.vocab.tokens[: len(SPECIALS)] == SPECIALS, tokenizer.vocab.tokens[:9]
    assert len(set(tokenizer.vocab.tokens)) == size == len(tokenizer.vocab), len(tokenizer.vocab)
    tokenizer.save(folder)
    return tokenizer


def _spooled(texts: Iterable[str], path: Path, lower: bool, apart: bool) -> Counter[str]:
    """Write the texts as the tokenizer will see them.

    Args:
        texts: words or sentences, one a line of the file.
        path: of the file.
        lower: lower-case and strip accents.
        apart: put blanks between BERT's words, and few of them on a line.

    Returns:
        how often each character occurs, but for blanks.
    """
    normalize = normalizers.BertNormalizer(lowercase=lower).normalize_str
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    characters: Counter[str] = Counter()
    with (
        path.open("w", encoding="utf-8") as file,
        Progress("read the text", "sentence", None, scale=True) as bar,
    ):
        for text in texts:
            bar.update(1)
            clean = normalize(text.encode("utf-8", "replace").decode())
            clean = LONG_WORD.sub(" ", clean.replace("\n", " ").replace("\r", " "))
            if apart:
                distinct = [word for word, _ in words(clean)]
                parts = [
                    " ".join(distinct[start : start + LINE_WORDS])
                    for start in range(0, len(distinct), LINE_WORDS)
                ]
            else:
                parts = [clean]
            for part in parts:
                characters.update(part)
                file.write(part + "\n")
    return Counter({one: count for one, count in characters.items() if not one.isspace()})


def _wordpiece(path: Path, size: int, characters: Counter[str], lower: bool) -> list[str]:
    """The tokens of a WordPiece vocabulary.

    Left to itself, the library numbers the letters within words in the order of a hash table,
    which changes from run to run, and with it the choice between pairs that are equally frequent.
    So it is given all letters, in order, as if they were special tokens.
    """
    split = pre_tokenizers.BertPreTokenizer()
    spread = normalizers.BertNormalizer(lowercase=lower).normalize_str
    slots = size // 2 - len(SPECIALS)
    initial: list[str] = []
    inner: list[str] = []
    usual = ASCII.lower() if lower else ASCII
    for one in sorted({*characters, *usual}, key=lambda one: (-characters[one], one)):
        # Punctuation and ideographs are words of their own, never within one.
        within = len(split.pre_tokenize_str(spread(f"a{one}a"))) == 1
        slots -= 1 + within
        if slots < 0:
            break
        initial.append(one)
        inner += [f"##{one}"] * within
    missing = len(set(characters) - set(initial))
    if missing:
        log.warning(
            "%d of the text's %d characters, the rarest ones, are not in the vocabulary: words "
            "with them become [UNK]. A larger vocabulary holds them.",
            missing,
            len(characters),
        )
    backend = Backend(models.WordPiece(unk_token=SPECIALS[1]))
    backend.pre_tokenizer = split
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIALS, *sorted(initial), *sorted(inner)],
        initial_alphabet=initial,
        limit_alphabet=len(initial),
        show_progress=False,
        min_frequency=2,
    )
    with path.open(encoding="utf-8", newline="\n") as file:
        backend.train_from_iterator(file, trainer)
    rows = backend.get_vocab(with_added_tokens=False)
    if len(rows) < size:
        raise UsageError(
            f"the text gives {len(rows)} tokens, and {size} were asked for. Ask for fewer, or "
            "give more text."
        )
    return sorted(rows, key=lambda token: rows[token])


def _sentencepiece(path: Path, size: int, characters: Counter[str], algorithm: str) -> bytes:
    """A SentencePiece model with BERT's special tokens in place of its own."""
    try:
        import sentencepiece
    except ImportError:
        raise MissingDependencyError(
            "sentencepiece", "sentencepiece", "Training a SentencePiece model"
        ) from None
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_thinned(path),
            model_writer=model,
            vocab_size=size,
            model_type=algorithm,
            character_coverage=0.9995 if len(characters) > 1000 else 1.0,
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            pad_piece=SPECIALS[0],
            unk_piece=SPECIALS[1],
            control_symbols=list(SPECIALS[2:]),
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        limit = re.search(r"set it to a value <= (\d+)", str(error))
        least = re.search(r"too small|smaller than required_chars", str(error))
        if limit is not None:
            raise UsageError(
                f"the text gives at most {limit[1]} tokens, and {size} were asked for. Ask for "
                "fewer, or give more text."
            ) from None
        if least is not None:
            raise UsageError(
                f"{size} tokens cannot hold all {len(characters)} characters of the text. Ask for "
                "more."
            ) from None
        raise UsageError(f"SentencePiece cannot be trained on this text: {error}") from None
    return model.getvalue()


def _thinned(path: Path) -> Any:
    """The lines of a file; where there are too many, every second, third, ... of them."""
    with path.open("rb") as file:
        count = sum(1 for _ in file)
    step = -(-count // LINES)
    if step > 1:
        log.warning("SentencePiece sees one of %d lines: it holds them all in memory.", step)
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            if number % step == 0:
                yield line.rstrip("\n")
