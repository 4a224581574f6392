"""What the SQuAD scripts do with their flags: which questions, and a model from scratch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from plainbert import checkpoint, files, model_zoo
from plainbert.distributed.group import Group
from plainbert.nn.headed import Headed
from plainbert.recipes.shared.finetuning import Session
from plainbert.recipes.shared.models import OVERRIDES
from plainbert.recipes.shared.ranks import shared
from plainbert.tasks.squad.data import GoldAnswer, Question, Squad
from plainbert.tasks.squad.files import read
from plainbert.tasks.squad.find import find
from plainbert.tasks.squad.windows import Limits
from plainbert.text.sentencepiece import SentencePiece
from plainbert.train.run_folder import UNTRAINED


def training_set(args: argparse.Namespace) -> Squad:
    """The questions to train on; with ``--debug`` and without a file, those of the dev set."""
    if args.train_file is not None:
        found = read(args.train_file, training=True)
    else:
        found = find("dev" if args.debug else "train", args.version_2, args.data_dir)
    return found.first(args.max_train_samples)


def sets_to_answer(args: argparse.Namespace) -> dict[str, Squad]:
    """The questions to answer, by split: "dev" chooses the model, the last one's answers are kept.

    They are those of ``--dev_file`` and ``--predict_file``, of which one alone is "dev"; SQuAD's
    dev set when nothing is given. With ``--train_file`` alone there are none.
    """
    given = [path for path in (args.dev_file, args.predict_file) if path is not None]
    if given:
        found = [read(path) for path in given]
    elif args.train_file is not None and not args.only_inference:
        found = []
    else:
        found = [find("dev", args.version_2, args.data_dir)]
    names = ("dev", "predict")
    return dict(zip(names, (each.first(args.max_eval_samples) for each in found), strict=False))


def limits_of(args: argparse.Namespace, max_len: int) -> Limits:
    """How windows are cut; a question takes at most half of one, where nothing else is typed."""
    query = args.max_query_length
    if "max_query_length" not in args.given:
        query = min(query, max_len // 2)
    return Limits(max_len, args.doc_stride, query)


def asked(args: argparse.Namespace) -> Squad:
    """The questions of ``--file``, or of ``--question`` and its context.

    Raises:
        DataError: the file cannot be used.
    """
    if args.file is not None:
        return read(args.file).first(args.max_eval_samples)
    if args.context_file is None:
        context = args.context
    else:
        context = "\n".join(line for _, line in files.read_lines(args.context_file))
    return Squad([Question(str(row), each, context) for row, each in enumerate(args.question)])


def told(group: Group, make: Callable[[], Squad]) -> Squad:
    """What rank 0 reads, on every rank: standard input has one reader."""
    values = shared(group, lambda: asdict(make()))
    questions = [
        Question(**{**each, "answers": tuple(GoldAnswer(**answer) for answer in each["answers"])})
        for each in values["questions"]
    ]
    return Squad(questions, values["problems"], values["name"])


def start_untrained(args: argparse.Namespace, run: Session) -> None:
    """Draw the model that ``--sentencepiece`` asks for, and let ``--model_dir`` name it."""
    folder = run.folder / UNTRAINED
    if run.first and not (args.resume and folder.exists()):
        tokenizer = SentencePiece(args.sentencepiece, lower=args.do_lower_case is not False)
        model: Headed = model_zoo.new_model(
            args.bert_model, tokenizer, "question_answering", **_changes(args)
        )
        checkpoint.write(folder, model, tokenizer)
    run.group.barrier()
    args.model_dir, args.do_lower_case = str(folder), None


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    flags = {flag: field for flag, field in OVERRIDES.items() if getattr(args, flag) is not None}
    return {field: getattr(args, flag) for flag, field in flags.items()}
