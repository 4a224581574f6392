r"""Vectors of words, or of whole sentences.

The words of a sentence and their vectors, from the last layer (GluonNLP's way), as a table with
the ends of every vector; --words --output FILE keeps all of the numbers:

    python scripts/bert/embedding.py --sentences "A heron was fishing."

One vector per sentence, as the folder's own pooling makes it, to a file:

    python scripts/bert/embedding.py --model_dir all-MiniLM-L6-v2 --file texts.txt \
        --output vectors.npz

The same with bert-as-service's pooling, from two layers:

    python scripts/bert/embedding.py --file texts.txt --pooling_strategy REDUCE_MEAN \
        --pooling_layer -2 -1 --output vectors.jsonl

What the folder says of its vectors holds unless a flag says otherwise: pooling, length 1 or not
(--normalize; false with --pooling_strategy REDUCE_MEAN is bert-as-service's way), and the prompt
before every text (--prompt, --prompt_name).

A line of --file (or of standard input, --file -) is a text; "first ||| second" is a pair. With
--text_columns, or for a .tsv, .csv or .jsonl file, the texts are in columns. The rows
of --output are in the order of the input: .npz holds the arrays "text" and "vector", .jsonl one
object a line. Sentence vectors are made when --output or a pooling flag is given, without --words.
Of words there are the first 25 tokens of a text (--max_seq_length): in .npz "word" and "vector",
where text i has the rows offsets[i] to offsets[i + 1], in .jsonl "words" and "vectors". .csv has
the columns text (and word), v0, v1 ...; .npy the vectors alone.

A long file goes through block by block, to --output. If that is interrupted, the same command with
--resume goes on behind the rows that are done, and the file is the same.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert import files
from plainbert.recipes.shared import blocks, command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import (
    DeviceFlags,
    GrowingOutputFlags,
    TextsFlags,
    TrainedModelFlags,
)
from plainbert.tasks.embedding.flags import FORMS, VectorFlags

POOLING = (
    "output", "pooling_strategy", "pooling_layer", "mask_cls_sep", "normalize", "prompt",
    "prompt_name",
)  # fmt: skip
WORD_LENGTH = 25  # tokens of a sentence, as GluonNLP's script has it

if TYPE_CHECKING:
    from plainbert.recipes.shared.start import Run
    from plainbert.text.tokenizer import Tokenizer

Encode = Callable[..., Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(DeviceFlags, GrowingOutputFlags, VectorFlags, TextsFlags, TrainedModelFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: texts from one of two places": ("sentences", "file"),
        "what people set": (
            "model_dir", "text_columns", "pooling_strategy", "pooling_layer", "normalize",
            "prompt_name", "words", "oov_way", "max_len", "batch_size", "gpu", "dtype",
        ),
        "output": ("output", "overwrite", "resume"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "file": "required without --sentences",
        "sentences": "required without --file",
        "model_dir": "the size that --bert_model names, downloaded",
        "pooling_strategy": "the folder's own",
        "prompt": "the folder's default",
        "prompt_name": "the folder's default",
        "max_len": "the folder's own; 25 for vectors of words",
    }

    sentencepiece: str | None = None
    max_len: int | None = None
    pooling_strategy: str | None = None
    normalize: bool | None = None
    batch_size: int = 256

    def checked(self) -> Self:
        settings = super().checked()
        self.check_texts()
        self.check_output(FORMS)
        for name in POOLING[1:]:
            self.exclusive("words", name)
        suffix = Path(self.output or "").suffix
        if suffix in (".npy", ".csv") and self.pooling_strategy == "NONE":
            self.refuse(f"--output {suffix} has one vector for a text; for tokens: .npz, .jsonl.")
        if suffix == ".npy" and self.words:
            self.refuse(f"--output {self.output}: .npy has no place for words; take .csv.")
        if "oov_way" in self.typed and not self.of_words:
            settings = settings.noted("--oov_way is for vectors of words: add --words.")
        return settings

    @property
    def of_words(self) -> bool:
        """Whether words get vectors: without a flag of pooling, GluonNLP's way."""
        return self.words or not self.typed.intersection(POOLING)


@dataclass(frozen=True)
class Vectors:
    """What the recipe returns.

    Attributes:
        texts: a pair has " ||| " between its texts. None where they are more than one block, or
            none is left to do, and all is in ``output`` alone.
        words: for each text its words and their vectors; None where sentence vectors were made, or
            where ``texts`` is.
        vectors: (texts, units), or for each text (tokens, units) where nothing is pooled; None
            where word vectors were made, or where ``texts`` is.
        output: file with the vectors; None where there is none.
    """

    texts: list[str] | None
    words: list[Any] | None
    vectors: Any
    output: str | None


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals("embedding"))


def run(settings: Settings) -> Vectors:
    """Make the vectors, and write them where ``--output`` says."""
    # Before torch is imported: a file that cannot be read is said at once.
    blocks.check(settings)
    if blocks.is_done(settings):
        return Vectors(None, None, None, settings.output)
    reader = blocks.BlockReader(settings, settings.output)

    from plainbert.recipes.shared.start import start
    from plainbert.tasks.embedding import result_files
    from plainbert.text.sentencepiece import SentencePiece

    ready = start(settings)
    tokenizer = None
    if settings.sentencepiece is not None:
        tokenizer = SentencePiece(settings.sentencepiece, lower=settings.do_lower_case is not False)
    make = _of_words if settings.of_words else _of_texts
    weights, work = make(settings, ready, tokenizer)
    if settings.output is None or reader.is_single:
        rows = reader.all()
        lines, vectors = [texts.join(row) for row in rows], work(rows, bar=True)
        if settings.output is not None:
            result_files.write_vectors(settings.output, lines, *_columns(vectors))
            blocks.discard(settings.output)
            log.info("vectors of %d rows in %s", len(lines), settings.output)
        if settings.of_words:
            return Vectors(lines, vectors, None, settings.output)
        return Vectors(lines, None, vectors, settings.output)
    key = {
        "pooling": [settings.pooling_strategy, settings.pooling_layer, settings.mask_cls_sep],
        "length of vectors": settings.normalize,
        "words": settings.of_words and settings.oov_way,
        "tokens": [settings.max_len, settings.sentencepiece, settings.do_lower_case],
        "prompt": [settings.prompt, settings.prompt_name],
        "numbers": str(ready.precision),
        "weights": blocks.identity(weights),
    }
    with blocks.BlockWork(settings.output, key, settings.overwrite) as done:
        _write_blocks(done, reader, work)
    return Vectors(None, None, None, settings.output)


def _of_words(
    settings: Settings, ready: Run, tokenizer: Tokenizer | None
) -> tuple[str | Path, Encode]:
    """The folder of the weights, and what makes words and their vectors of texts."""
    import numpy as np

    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.embedding.words import BertEmbedding

    embedding = BertEmbedding(
        ready.device,
        str(ready.precision),
        params_path=name_of(settings),
        max_seq_length=settings.max_len or WORD_LENGTH,
        batch_size=settings.batch_size,
        tokenizer=tokenizer,
        lower=settings.do_lower_case,
    )

    width = embedding.bert.config.hidden_size
    assert embedding.folder is not None

    def work(rows: Sequence[Any], bar: bool = False) -> list[Any]:
        # A text may have no word at all.
        return [
            (words, np.reshape(vectors, (len(words), width)))
            for words, vectors in embedding(rows, settings.oov_way)
        ]

    return embedding.folder, work


def _of_texts(
    settings: Settings, ready: Run, tokenizer: Tokenizer | None
) -> tuple[str | Path, Encode]:
    """The folder of the weights, and what makes vectors of texts."""
    from plainbert.model import load
    from plainbert.recipes.shared.models import name_of

    model = load(
        name_of(settings),
        dtype=ready.precision,
        device=ready.device,
        lower=settings.do_lower_case,
        tokenizer=tokenizer,
    )
    encode: Encode = model.encode
    if settings.pooling_strategy == "NONE":
        encode = model.encode_tokens
    return model.checkpoint.folder, functools.partial(
        encode,
        pooling_strategy=settings.pooling_strategy,
        pooling_layer=settings.pooling_layer,
        mask_cls_sep=settings.mask_cls_sep,
        normalize=settings.normalize,
        max_len=settings.max_len,
        prompt=settings.prompt,
        prompt_name=settings.prompt_name,
    )


def _columns(vectors: Any) -> tuple[Any, Any]:
    """Vectors, and the words that they are of; None where they are of none."""
    if not (isinstance(vectors, list) and isinstance(vectors[0], tuple)):
        return vectors, None
    words, arrays = zip(*vectors, strict=True)
    return arrays, words


def _write_blocks(done: blocks.BlockWork, reader: blocks.BlockReader, work: Encode) -> None:
    """Make the vectors that are not made yet, and the file of all.

    Args:
        done: the work on the file.
        reader: the texts.
        work: texts in, vectors out.
    """
    from plainbert.infer.finite import NotFiniteError
    from plainbert.tasks.embedding import result_files

    for block in done.pending(reader):
        with blocks.numbered(done.done, NotFiniteError):
            vectors, words = _columns(work(block))
        lines = [texts.join(row) for row in block]
        suffix, first = done.output.suffix, not done.done
        parts = result_files.parts_of(lines, vectors, suffix, words, header=first)
        done.add(parts, width=result_files.width_of(vectors))
    rows = done.done
    done.finish(result_files.publish)
    log.info("vectors of %d rows in %s", rows, done.output)


def report(results: Vectors) -> None:
    """Print the vectors that are in no file: of words their ends, in a table."""
    if results.texts is None or results.output is not None:
        return
    if results.words is not None:
        from plainbert.tasks.embedding.word_table import word_table

        for line, (words, vectors) in zip(results.texts, results.words, strict=True):
            print(f"Text: {line}")
            print(word_table(words, vectors))
        log.info("all numbers of the vectors: add --words --output words.npz (or words.jsonl)")
    else:
        for line, vector in zip(results.texts, results.vectors, strict=True):
            print(files.json_text({"text": line, "vector": vector.tolist()}))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out("embedding", argv, parse_args, run, report)
    if results.words is not None:
        return {"texts": results.texts, "words": results.words}
    return {"texts": results.texts, "vectors": results.vectors}
