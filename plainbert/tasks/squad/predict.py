"""Questions asked of a model that was fine-tuned to answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from plainbert.errors import UnknownNameError, UsageError
from plainbert.infer import logits as scores
from plainbert.nn.bert import Bert
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Search, answers
from plainbert.tasks.squad.windows import Limits, build
from plainbert.text.tokenizer import Tokenizer

Texts = str | list[str]  # one, or several

# What a folder says about how its model was trained, by our names.
LIMITS = tuple(field.name for field in fields(Limits))
SEARCH = tuple(field.name for field in fields(Search))
WAYS = ("num_workers", "bar")
THRESHOLD = "null_score_diff_threshold"


def paired(question: Texts, context: Texts) -> list[Question]:
    """Questions with their contexts, numbered from 0.

    Args:
        question: one, or a list.
        context: the text of each question, or one for all.

    Raises:
        UsageError: there are not as many contexts as questions.
    """
    asked = [question] if isinstance(question, str) else question
    contexts = [context] * len(asked) if isinstance(context, str) else context
    if len(contexts) != len(asked):
        raise UsageError(
            f"{len(contexts)} contexts for {len(asked)} questions: one each is expected, or one "
            "for all."
        )
    pairs = enumerate(zip(asked, contexts, strict=True))
    return [Question(str(row), each, text) for row, (each, text) in pairs]


def ask_with(
    model: Bert | scores.ComputesLogits,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    about: Mapping[str, Any],
    most: int,
    device: torch.device | str = "cpu",
    **options: Any,
) -> list[Answer]:
    """Answer questions as the folder of a model says, where nothing else is asked for.

    Args:
        model: prepared, with a span head.
        tokenizer: the model's.
        questions: with their contexts, of any length.
        about: of the model's folder.
        most: tokens of a window, where nothing else is said.
        device: where the model is.
        options: "max_len", "doc_stride", "max_query_length" (tokens, see :class:`Limits`),
            "n_best", "max_answer_length", "null", "null_threshold" (see :class:`Search`), and
            "num_workers" and "bar" (see :func:`ask`); None is as good as not given.

    Raises:
        UsageError: the model has no span head, or there is no such option.
    """
    known = (*LIMITS, *SEARCH, *WAYS)
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)
    limits = limits_of(about, most, **_part(options, LIMITS))
    search = search_of(about, **_part(options, SEARCH))
    ways = {key: value for key, value in _part(options, WAYS).items() if value is not None}
    return ask(model, tokenizer, questions, limits, search, device=device, **ways)


def limits_of(about: Mapping[str, Any], most: int, **given: int | None) -> Limits:
    """How windows are cut: as given, else as in training, else as published.

    Args:
        about: of the model's folder.
        most: tokens of a window, where nothing else is given.
        given: fields of :class:`Limits`; None: not given.
    """
    usual = Limits()
    max_len = given.get("max_len") or about.get("max_length") or min(usual.max_len, most)
    # A small model's windows must hold more than the question.
    query = min(about.get("max_query_length", usual.max_query_length), max_len // 2)
    stride = about.get("doc_stride", usual.doc_stride)
    return Limits(
        max_len, given.get("doc_stride") or stride, given.get("max_query_length") or query
    )


def search_of(about: Mapping[str, Any], **given: int | float | None) -> Search:
    """How answers are looked for: as given, else as in training.

    Args:
        about: of the model's folder: whether questions may have no answer, and the threshold.
        given: fields of :class:`Search`; None: not given.
    """
    typed = {name: value for name, value in given.items() if value is not None}
    null = bool(about.get("version_2")) or "null_threshold" in typed
    trained = Search(null=null, null_threshold=float(about.get(THRESHOLD, 0.0)))
    return replace(trained, **typed)  # type: ignore[arg-type]


def ask(
    model: Bert | scores.ComputesLogits,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits,
    search: Search,
    *,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    bar: bool = False,
) -> list[Answer]:
    """Answer questions, in their order.

    Args:
        model: prepared, with a span head.
        tokenizer: the model's.
        questions: with their contexts, of any length.
        limits: how long contexts are cut.
        search: how answers are looked for.
        device: where the model is.
        num_workers: processes that tokenise.
        bar: show progress.

    Raises:
        UsageError: the model has another head, or fewer positions than the windows have tokens.
    """
    if isinstance(model, Bert) or model.head != "question_answering":
        has = "no head" if isinstance(model, Bert) else f"a {model.head} head"
        raise UsageError(
            f"the model has {has}; answering needs a span head. Fine-tune one with "
            "scripts/bert/finetune_squad.py."
        )
    check_positions(limits, model)
    if not questions:
        return []
    windows = build(tokenizer, questions, limits, num_workers=num_workers, bar=bar)
    windows.report("questions")
    logits = scores.run_tokens(model, windows.features, bar=bar)
    return answers(logits, windows, questions, search)


def check_positions(limits: Limits, model: scores.ComputesLogits) -> None:
    """Refuse windows that are longer than what the model has positions for.

    Raises:
        UsageError: they are.
    """
    most = model.config.max_position_embeddings
    if limits.max_len > most:
        raise UsageError(
            f"max_len={limits.max_len}: this model has {most} positions; give at most that."
        )


def _part(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}
