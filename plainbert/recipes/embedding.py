r"""Vectors of words, or of whole sentences.

Vectors of the words of a sentence, from the last layer (GluonNLP's way):

    python scripts/bert/embedding.py --sentences "A heron was fishing."

One vector per sentence, as the folder's own pooling makes it, to a file:

    python scripts/bert/embedding.py --model_dir all-MiniLM-L6-v2 --file texts.txt \
        --output vectors.npz

The same with bert-as-service's pooling, from two layers:

    python scripts/bert/embedding.py --file texts.txt --pooling_strategy REDUCE_MEAN \
        --pooling_layer -2 -1 --output vectors.jsonl

What the folder says of its vectors holds unless a flag says otherwise: pooling, length, and the
prompt before every text (--prompt, --prompt_name).

A line of --file (or of standard input, --file -) is a text; "first ||| second" is a pair. With
--text_columns, or for a .tsv, .csv or .jsonl file, the texts are in columns. The rows
of --output are in the order of the input: .npz holds the arrays "text" and "vector", .jsonl one
object a line. Sentence vectors are made when --output or a pooling flag is given.

A long file goes through block by block, to --output. If that is interrupted, the same command with
--resume goes on behind the rows that are done, and the file is the same.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from plainbert import files
from plainbert.recipes.shared import blocks, command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import (
    DeviceFlags,
    GrowingOutputFlags,
    TextsFlags,
    TrainedModelFlags,
)
from plainbert.tasks.embedding.flags import VectorFlags

POOLING = (
    "output", "pooling_strategy", "pooling_layer", "mask_cls_sep", "prompt", "prompt_name",
)  # fmt: skip
FORMS = (".npz", ".jsonl")
SHOWN = 3  # numbers at either end of a printed vector, as in GluonNLP's documentation
WORD_LENGTH = 25  # tokens of a sentence, as GluonNLP's script has it

Encode = Callable[..., Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(DeviceFlags, GrowingOutputFlags, VectorFlags, TextsFlags, TrainedModelFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: texts from one of two places": ("sentences", "file"),
        "what people set": (
            "model_dir", "text_columns", "pooling_strategy", "pooling_layer", "prompt_name",
            "max_len", "batch_size", "oov_way", "gpu", "dtype",
        ),
        "output": ("output", "overwrite", "resume"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "file": "required without --sentences",
        "sentences": "required without --file",
        "model_dir": "the size that --bert_model names, downloaded",
        "pooling_strategy": "the folder's own; vectors of words without it and without --output",
        "prompt": "the folder's default",
        "prompt_name": "the folder's default",
        "max_len": "the folder's own; 25 for vectors of words",
    }

    sentencepiece: str | None = None
    max_len: int | None = None
    pooling_strategy: str | None = None
    batch_size: int = 256

    def checked(self) -> Self:
        settings = super().checked()
        self.check_texts()
        self.check_output(FORMS)
        return settings


@dataclass(frozen=True)
class Vectors:
    """What the recipe returns.

    Attributes:
        texts: a pair has " ||| " between its texts. None where they are more than one block, or
            none is left to do, and all is in ``output`` alone.
        words: for each text its words and their vectors; None where sentence vectors were made.
        vectors: (texts, units), or for each text (tokens, units) where nothing is pooled; None
            where word vectors were made, or where ``texts`` is.
        output: file with the sentence vectors; None where there is none.
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

    from plainbert.model import load
    from plainbert.recipes.shared.models import name_of
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.embedding import result_files
    from plainbert.tasks.embedding.words import BertEmbedding
    from plainbert.text.sentencepiece import SentencePiece

    ready = start(settings)
    folder = name_of(settings)
    tokenizer = None
    if settings.sentencepiece is not None:
        tokenizer = SentencePiece(settings.sentencepiece, lower=settings.do_lower_case is not False)

    # Without a word on pooling: vectors of words, GluonNLP's way.
    if not settings.typed.intersection(POOLING):
        embedding = BertEmbedding(
            ready.device,
            str(ready.precision),
            params_path=folder,
            max_seq_length=settings.max_len or WORD_LENGTH,
            batch_size=settings.batch_size,
            tokenizer=tokenizer,
            lower=settings.do_lower_case,
        )
        rows = reader.all()
        lines = [texts.join(row) for row in rows]
        return Vectors(lines, embedding(rows, oov_way=settings.oov_way), None, None)

    model = load(
        folder,
        dtype=ready.precision,
        device=ready.device,
        lower=settings.do_lower_case,
        tokenizer=tokenizer,
    )
    encode: Encode = model.encode
    if settings.pooling_strategy == "NONE":
        encode = model.encode_tokens
    work = functools.partial(
        encode,
        pooling_strategy=settings.pooling_strategy,
        pooling_layer=settings.pooling_layer,
        mask_cls_sep=settings.mask_cls_sep,
        max_len=settings.max_len,
        prompt=settings.prompt,
        prompt_name=settings.prompt_name,
    )
    if settings.output is None or reader.is_single:
        rows = reader.all()
        lines, vectors = [texts.join(row) for row in rows], work(rows, bar=True)
        if settings.output is not None:
            result_files.write_vectors(settings.output, lines, vectors)
            blocks.discard(settings.output)
            log.info("%d vectors in %s", len(lines), settings.output)
        return Vectors(lines, None, vectors, settings.output)
    key = {
        "pooling": [settings.pooling_strategy, settings.pooling_layer, settings.mask_cls_sep],
        "tokens": [settings.max_len, settings.sentencepiece, settings.do_lower_case],
        "prompt": [settings.prompt, settings.prompt_name],
        "numbers": str(ready.precision),
        "weights": blocks.identity(model.checkpoint.folder),
    }
    with blocks.BlockWork(settings.output, key, settings.overwrite) as done:
        _write_blocks(done, reader, work)
    return Vectors(None, None, None, settings.output)


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
            vectors = work(block)
        lines = [texts.join(row) for row in block]
        parts = result_files.parts_of(lines, vectors, done.output.suffix)
        done.add(parts, width=result_files.width_of(vectors))
    rows = done.done
    done.finish(result_files.publish)
    log.info("%d vectors in %s", rows, done.output)


def report(results: Vectors) -> None:
    """Print the vectors that are in no file."""
    if results.texts is None:
        return
    if results.words is not None:
        import numpy as np

        for line, (_, arrays) in zip(results.texts, results.words, strict=True):
            print(f"Text: {line}")
            with np.printoptions(threshold=2 * SHOWN, edgeitems=SHOWN):
                print(f"Tokens embedding: {arrays}")
    elif results.output is None:
        for line, vector in zip(results.texts, results.vectors, strict=True):
            print(files.json_text({"text": line, "vector": vector.tolist()}))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out("embedding", argv, parse_args, run, report)
    if results.words is not None:
        return {"texts": results.texts, "words": results.words}
    return {"texts": results.texts, "vectors": results.vectors}
