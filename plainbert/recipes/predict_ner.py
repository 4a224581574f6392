r"""Find entities in text, or tag words, with a model that finetune_ner.py trained.

    python scripts/bert/predict_ner.py --model_dir runs/ner/best \
        --sentences "Anna Lee flew from Berlin to New York."

Plain text, one a line; the result has the text's own characters, their places and confidence:

    python scripts/bert/predict_ner.py --model_dir runs/ner/best --file texts.txt \
        --output entities.jsonl

CoNLL files (a word a line), or a sentence a line for .tsv; with tags in them there are scores:

    python scripts/bert/predict_ner.py --model_dir runs/ner/best --test-path test.conll \
        --output predictions.conll

What GluonNLP's script left behind, models/large_bert_012.params and its metadata:

    python scripts/bert/predict_ner.py --load-checkpoint-prefix models/large_bert \
        --test-path test.txt

A long file of plain text goes through block by block, to an --output in .jsonl. If that is
interrupted, the same command with --resume goes on behind the texts that are done.

--output ends in .jsonl (entities; words, where the labels mark none), .csv (a row for each entity,
with the number of its text from 0), .conll or .txt (columns: word, tag in the file, predicted tag)
or .tsv (words, a tab, predicted tags). Without it a table is shown on a terminal, and JSON Lines
are written elsewhere. Every text gets an answer, in the order of the input.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert import files
from plainbert.cli import values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import accepted, option
from plainbert.recipes.shared import before, blocks, command, flags
from plainbert.recipes.shared.flag_tables import WINDOW, helped
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.results import line_of
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    GrowingOutputFlags,
    ProcessFlags,
    TextsFlags,
)
from plainbert.tasks.ner.flags import ColumnFlags

if TYPE_CHECKING:
    from plainbert.errors import PlainBertError
    from plainbert.tasks.ner.decode import Tagging

NAME = "predict_ner"
FORMS = (".jsonl", ".csv", ".conll", ".txt", ".tsv")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ProcessFlags, GrowingOutputFlags, TextsFlags, CheckpointFlags, ColumnFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: a model, and texts": ("model_dir", "sentences", "file", "test_file"),
        "what people set": ("text_columns", "word_column", "tag_column", "max_len", "labels",
                            "gpu", "dtype"),
        "output": ("output", "overwrite", "resume"),
    }  # fmt: skip
    UNSET: ClassVar = {"max_len": "that of the training"} | dict.fromkeys(
        ("file", "sentences", "test_file"), "required without the others"
    )

    model_dir: str = option(
        REQUIRED,
        values.path,
        "Model: a folder, also of a run, a name, or the prefix of GluonNLP's files.",
        ("load_checkpoint_prefix",),
        "model",
        "DIR",
    )
    test_file: str | None = option(
        None,
        values.path,
        "Words of sentences, tagged or not: CoNLL columns, or for .tsv a sentence a line.",
        ("test_path",),
        "data",
        "FILE",
    )
    batch_size: int = accepted(
        int, "batches are packed by tokens; any size gives the same results.", "data", default=32
    )
    labels: tuple[str, ...] | None = None
    file: str | None = helped(
        "file",
        "Plain text to tag, one sentence a line, or rows with a header (.tsv, .csv, .jsonl); - is "
        "standard input.",
        None,
    )
    text_columns: tuple[str, ...] | None = helped(
        "text_columns", "Column of --file that holds the text, by name or number from 0.", None
    )
    sentences: tuple[str, ...] | None = None
    max_len: int | None = helped("max_len", WINDOW, None)

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("test_file", "file", "sentences")
        self.needs("text_columns", "file")
        if self.test_file is None and self.file is None and self.sentences is None:
            self.refuse("no texts: give --sentences TEXT ..., --file FILE or --test-path FILE.")
        self.check_output(FORMS)
        if self.resume and not self.grows:
            self.refuse("--resume goes on with plain text (--file) and an --output in .jsonl.")
        return settings

    def problems(self) -> Iterator[PlainBertError]:
        yield from super().problems()
        yield from before.text_problems(self.test_file)

    @property
    def grows(self) -> bool:
        """Whether the results are worked out block by block, where there is a file for them."""
        return self.test_file is None and (self.output or ".jsonl").endswith(".jsonl")


@dataclass(frozen=True)
class Taggings:
    """What the recipe returns.

    Attributes:
        taggings: one for each text; None where these are more than one block, or none is left to
            do, and all is in ``output`` alone.
        scores: metric to score, where the file has tags.
        content: what goes into the file or to standard output; "" where ``taggings`` is None.
        output: file with the content; None where there is none.
        rank: of this process, of which rank 0 speaks for all.
    """

    taggings: list[Tagging] | None
    scores: dict[str, float]
    content: str
    output: str | None
    rank: int


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def read(settings: Settings) -> dict[str, list[Any]]:
    """The texts, or the words of each, and their tags, None where there are none."""
    from plainbert.tasks.ner import evaluate

    if settings.test_file is not None:
        data = evaluate.read(settings.test_file, tagged=False, columns=settings.columns)
        evaluate.describe(data)
        return {
            "texts": [sentence.words for sentence in data.sentences],
            "tags": [sentence.tags for sentence in data.sentences],
        }
    rows = [text for (text,) in stream(settings)]
    return {"texts": rows, "tags": [None] * len(rows)}


def stream(settings: Settings) -> Iterator[tuple[str]]:
    """Yield the texts of ``--sentences`` or ``--file``, in order, as they are read."""
    from plainbert.tasks.classification.table import iter_texts
    from plainbert.text.inputs import typed_texts

    if settings.sentences is not None:
        yield from ((text,) for text in typed_texts(settings.sentences, "sentences"))
        return
    assert settings.file is not None
    yield from ((row[0],) for row in iter_texts(settings.file, settings.text_columns))


def run(settings: Settings) -> Taggings:
    """Tag every text, score the tags of a file, and write them where ``--output`` says."""
    from plainbert.recipes.shared import ranked_blocks, taggers
    from plainbert.recipes.shared.ranks import deal, from_first, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.ner.conll import Sentence
    from plainbert.tasks.ner.decode import Tagging
    from plainbert.tasks.ner.result_files import records, score, screen_table, table
    from plainbert.tasks.ner.result_files import report as report_by_type
    from plainbert.tasks.ner.scores import require
    from plainbert.tasks.reports import format_report

    with join(settings) as group:
        growing: ranked_blocks.Rows | None = None
        if settings.grows:
            growing = ranked_blocks.read(
                settings,
                group,
                lambda: blocks.BlockReader(settings, settings.output, lambda _: stream(settings)),
            )
            if growing.is_done:
                return Taggings(None, {}, "", settings.output, group.rank)
        ready = start(settings, group=group)
        if growing is None:
            rows = from_first(group, lambda: read(settings))
            if all(rows["tags"]):
                require()
        else:
            texts = [text for (text,) in growing.whole or ()]
            rows = {"texts": texts, "tags": [None] * len(texts)}
        model = taggers.open_tagger(
            settings.model_dir,
            ready,
            labels=settings.labels,
            dataset_name=settings.bert_dataset,
            lower=settings.do_lower_case,
        )
        max_len, tags = taggers.length_of(model, settings.max_len), model.tags
        is_whole = growing is None or growing.whole is not None

        def tag(part: list[Any]) -> list[Any]:
            taggings = model.tag(part, max_len=max_len, bar=group.rank == 0 and is_whole)
            return [dataclasses.asdict(tagging) for tagging in taggings]

        def tag_all(texts: Sequence[Any]) -> list[Tagging]:
            return [Tagging.of(fields) for fields in deal(group, texts, tag)]

        if growing is not None and not is_whole:
            key = {
                "tokens": [max_len, settings.do_lower_case, settings.bert_dataset],
                "labels": settings.labels,
                "numbers": str(ready.precision),
                "weights": blocks.identity(model.checkpoint.folder),
            }
            with ranked_blocks.RankedWork(settings, group, growing.reader, key) as work:
                for _, taggings in work.results(lambda rows: tag_all([text for (text,) in rows])):
                    work.add(records(taggings, tags, ".jsonl"))
                work.finish()
            return Taggings(None, {}, "", settings.output, group.rank)
        taggings = tag_all(
            [text if isinstance(text, str) else tuple(text) for text in rows["texts"]]
        )

    # A file with the right tags is scored, too.
    predicted = [tagging.tags for tagging in taggings]
    scores: dict[str, float] = {}
    if all(rows["tags"]):
        scores = score(predicted, rows["tags"], tags)
        by_type = format_report(report_by_type(predicted, rows["tags"], tags))
        log.info("%s\n%s", line_of(scores), by_type)

    suffix = ".jsonl" if settings.output is None else Path(settings.output).suffix
    if group.rank > 0:
        content = ""
    elif settings.output is None and sys.stdout.isatty():
        content = screen_table(taggings, tags)
    elif suffix in (".jsonl", ".csv"):
        content = records(taggings, tags, suffix)
    else:
        sentences = [
            Sentence(tuple(word.text for word in tagging.words), own)
            for tagging, own in zip(taggings, rows["tags"], strict=True)
        ]
        content = table(sentences, predicted, suffix, tags)
    if settings.output is not None and group.rank == 0:
        files.write_text(settings.output, content)
        if growing is not None:
            blocks.discard(settings.output)
        log.info("%d predictions in %s", len(taggings), settings.output)
    return Taggings(taggings, scores, content, settings.output, group.rank)


def report(results: Taggings) -> None:
    """Print what is in no file; of a file the scores."""
    if results.rank > 0:
        return
    if results.output is None:
        print(results.content, end="")
    elif results.scores:
        print(line_of(results.scores))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out(NAME, argv, parse_args, run, report)
    return {"predictions": results.taggings, "scores": results.scores}
