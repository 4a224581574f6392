"""Flags of the commands that learn and answer questions.

GluonNLP's are documented under our names. Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.cli import values
from plainbert.cli.settings import Flags, option
from plainbert.tasks.squad.scores import SCORINGS

DEBUG_TRAIN, DEBUG_EVAL = 1000, 3  # questions with --debug, as documented


@dataclass(frozen=True, kw_only=True)
class SearchFlags(Flags):
    """How long texts are cut, and how answers are looked for; None: as in training."""

    doc_stride: int | None = option(
        None,
        values.positive_int,
        "Tokens from one window over a long text to the next.",
        group="answers",
        metavar="TOKENS",
    )
    max_query_length: int | None = option(
        None,
        values.positive_int,
        "Tokens of a question; the rest is cut, and how often is reported.",
        group="answers",
        metavar="TOKENS",
    )
    n_best_size: int | None = option(
        None,
        values.positive_int,
        "Starts and ends tried per window, and candidates listed per question.",
        group="answers",
        metavar="N",
    )
    max_answer_length: int | None = option(
        None, values.positive_int, "Longest answer in tokens.", group="answers", metavar="TOKENS"
    )
    null_score_diff_threshold: float | None = option(
        None,
        values.number,
        "There is no answer where the score of that is above the best answer's by more than this "
        "(SQuAD 2.0).",
        group="answers",
        metavar="X",
    )

    def check_lengths(self, max_len: int | None) -> None:
        """Refuse windows that have no room for a text beside the question.

        Args:
            max_len: tokens of a window; None where the model's folder says it.
        """
        query = self.max_query_length if "max_query_length" in self.typed else None
        if max_len is not None and query is not None and max_len <= query + 3:
            self.refuse(
                f"--max_len {max_len} has no room for a text beside a question of "
                f"--max_query_length {query} and 3 special tokens."
            )


@dataclass(frozen=True, kw_only=True)
class ScoringFlags(Flags):
    """How answers are scored."""

    version_2: bool = option(
        False,
        None,
        "SQuAD 2.0: a question may have no answer.",
        ("version_2_with_negative",),
        "answers",
    )
    scoring: str = option(
        "auto",
        values.one_of("scoring", lambda: SCORINGS),
        "How answers are scored: words (SQuAD), characters (CMRC 2018, for texts without blanks), "
        "auto (by the answers).",
        group="answers",
        metavar="NAME",
    )


@dataclass(frozen=True, kw_only=True)
class QuestionFlags(Flags):
    """Questions to answer, and their texts."""

    file: str | None = option(
        None,
        values.path,
        "Questions in SQuAD's form (.json, also .gz and .xz), with or without right answers; - is "
        "standard input.",
        ("predict_file",),
        "data",
        "FILE",
    )
    question: tuple[str, ...] | None = option(
        None,
        str,
        "Questions about --context, each in quotes.",
        ("questions",),
        "data",
        "TEXT",
        nargs="+",
    )
    context: str | None = option(
        None, str, "The text that holds the answers, of any length.", group="data", metavar="TEXT"
    )
    context_file: str | None = option(
        None,
        values.path,
        "The same from a file; - is standard input.",
        group="data",
        metavar="FILE",
    )

    def check_questions(self) -> None:
        """Refuse a command line without questions, or without their text."""
        if self.file is None and self.question is None:
            self.refuse("nothing is asked: give --question TEXT --context TEXT, or --file FILE.")
        self.exclusive("file", "question")
        self.exclusive("context", "context_file")
        self.needs("question", "context", "context_file")
        for name in ("context", "context_file"):
            self.needs(name, "question")
