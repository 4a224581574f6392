r"""Answer questions with a model that finetune_squad.py trained.

    python scripts/bert/predict_squad.py --model_dir runs/squad/best \
        --question "Who wrote it?" "When?" --context "It was written by Ada in 1843."

    python scripts/bert/predict_squad.py --model_dir runs/squad/best --file dev.json \
        --output answers.jsonl

    python scripts/bert/predict_squad.py --model_dir runs/squad/best --file dev.json \
        --output_dir runs/answers

A context may be of any length. Every question gets one answer, an exact part of its context, or
nothing where the model was trained to say so (--null_score_diff_threshold; the best one of the
training when not given). Without --output the answers are printed, and with --n_best_size N the N
best, with probabilities and characters (from, to). A name in .json gets {id: answer}, .jsonl all
that is known about each question, .csv and .tsv a row for each with the right answer beside;
--output_dir gets the files that finetune_squad.py writes. If the file has right answers, the
scores are printed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.flag_tables import WINDOW, helped
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.results import line_of
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    FolderFlags,
    OutputFlags,
    ProcessFlags,
)
from plainbert.tasks.squad.flags import QuestionFlags, ScoringFlags, SearchFlags

if TYPE_CHECKING:
    from plainbert.distributed.group import Group
    from plainbert.tasks.squad.data import Question, Squad
    from plainbert.tasks.squad.decode import Answer

NAME = "predict_squad"
FORMS = (".json", ".jsonl", ".csv", ".tsv")


@dataclass(frozen=True, kw_only=True)
class Settings(
    ProcessFlags,
    FolderFlags,
    OutputFlags,
    ScoringFlags,
    SearchFlags,
    QuestionFlags,
    CheckpointFlags,
):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: a model, and questions from one of two places": (
            "model_dir", "question", "context", "file",
        ),
        "what people set": (
            "context_file", "n_best_size", "max_answer_length", "null_score_diff_threshold",
            "max_len", "gpu", "dtype",
        ),
        "output": ("output", "output_dir", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "question": "required without --file",
        "context": "required with --question",
        "context_file": "--context",
        "file": "required without --question",
        "n_best_size": "the best answer alone",
        "max_answer_length": "that of the training",
        "null_score_diff_threshold": "that of the training",
        "max_len": "that of the training",
        "output_dir": "none",
    }

    model_dir: str
    max_len: int | None = helped("max_len", WINDOW, None)
    num_workers: int = 0
    max_eval_samples: int | None = helped(
        "max_eval_samples", "Answer only the first N questions.", None
    )
    output_dir: str | None = helped(
        "output_dir",
        "Folder to write the answers, n-best lists and scores into, in the files of the official "
        "scripts.",
        None,
    )
    overwrite: bool = helped(
        "overwrite", "Replace the files of an earlier --output_dir or --output.", False
    )

    def checked(self) -> Self:
        settings = super().checked()
        self.check_questions()
        self.exclusive("output", "output_dir")
        self.check_output(FORMS)
        self.check_lengths(self.max_len)
        return settings


@dataclass(frozen=True)
class Answered:
    """What the recipe returns.

    Attributes:
        questions: in the order of the input.
        answers: one for each question.
        scores: metric to score, where the file has right answers.
        n_best: candidates to print for each question; None: the answer alone.
        printed: whether the answers are in no file.
        rank: of this process, of which rank 0 speaks for all.
    """

    questions: list[Question]
    answers: list[Answer]
    scores: dict[str, float]
    n_best: int | None
    printed: bool
    rank: int


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def read(settings: Settings) -> Squad:
    """The questions of ``--file``, or of ``--question`` and its context.

    Raises:
        DataError: the file cannot be used.
    """
    from plainbert import arguments
    from plainbert.tasks.squad import files as squad_files
    from plainbert.tasks.squad.data import Question, Squad
    from plainbert.text.inputs import typed_texts
    from plainbert.text_files import read_lines

    if settings.file is not None:
        return squad_files.read(settings.file).first(settings.max_eval_samples)
    context = settings.context
    if settings.context_file is not None:
        context = "\n".join(line for _, line in read_lines(settings.context_file))
    arguments.text("context", context)
    assert context is not None
    assert settings.question is not None
    questions = enumerate(typed_texts(settings.question, "question"))
    return Squad([Question(str(row), question, context) for row, question in questions])


def read_once(settings: Settings, group: Group) -> Squad:
    """What rank 0 reads, on every rank: standard input has one reader."""
    from plainbert.recipes.shared.ranks import from_first
    from plainbert.tasks.squad.data import GoldAnswer, Question, Squad

    fields = from_first(group, lambda: dataclasses.asdict(read(settings)))
    questions = [
        Question(**{**question, "answers": tuple(GoldAnswer(**one) for one in question["answers"])})
        for question in fields["questions"]
    ]
    return Squad(questions, fields["problems"], fields["name"])


def run(settings: Settings) -> Answered:
    """Answer every question, and write the answers where the flags say."""
    from plainbert.model import load
    from plainbert.recipes.shared.ranks import deal, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.squad import evaluate, predict, result_files
    from plainbert.tasks.squad.decode import Answer

    with join(settings) as group:
        ready = start(settings, new_run=False, group=group)
        squad = read_once(settings, group)
        squad.report()
        model = load(
            settings.model_dir,
            dtype=ready.precision,
            device=ready.device,
            lower=settings.do_lower_case,
            dataset_name=settings.bert_dataset,
        )
        # What was typed wins over what the folder says of its training.
        about = model.checkpoint.about
        limits = predict.limits_of(
            about,
            model.max_len,
            max_len=settings.max_len,
            doc_stride=settings.doc_stride,
            max_query_length=settings.max_query_length,
        )
        search = predict.search_of(
            about,
            n_best=settings.n_best_size,
            max_answer_length=settings.max_answer_length,
            null=settings.version_2 or None,
            null_threshold=settings.null_score_diff_threshold,
        )

        def answer(part: list[Question]) -> list[Any]:
            answers = predict.ask(
                model.model,
                model.tokenizer,
                part,
                limits,
                search,
                num_workers=settings.num_workers,
                bar=group.rank == 0,
            )
            return [dataclasses.asdict(answer) for answer in answers]

        answers = [Answer.of(fields) for fields in deal(group, squad.questions, answer)]

    scores: dict[str, float] = {}
    if group.rank == 0:
        scoring = evaluate.scoring_of(squad, settings.scoring)
        scores = evaluate.score(squad, answers, search, scoring)
        if settings.output is not None:
            result_files.write_file(settings.output, squad.questions, answers)
        elif ready.folder is not None:
            result_files.write_folder(ready.folder, answers)
    printed = settings.output is None and ready.folder is None
    return Answered(squad.questions, answers, scores, settings.n_best_size, printed, group.rank)


def report(results: Answered) -> None:
    """Print the answers that are in no file, and the scores."""
    if results.rank > 0:
        return
    if results.printed:
        from plainbert.tasks.squad.result_files import table

        print(table(results.questions, results.answers, results.n_best), end="")
    if results.scores:
        print(line_of(results.scores))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out(NAME, argv, parse_args, run, report)
    return {"answers": results.answers, "scores": results.scores}
