"""Questions asked of a model that was fine-tuned to answer them: prepare, run, decode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from plainbert import arguments
from plainbert.batching.batch import TOKENS_PER_BATCH
from plainbert.batching.features import check_positions
from plainbert.cli.program import command
from plainbert.errors import UnknownNameError, UsageError
from plainbert.infer.logits import ComputesLogits, run_tokens
from plainbert.nn.bert import Bert
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Search, decode
from plainbert.tasks.squad.windows import Limits, prepare
from plainbert.text.inputs import Texts, texts_of
from plainbert.text.tokenizer import Tokenizer

# What a folder says about how its model was trained, by our names.
LIMITS = tuple(field.name for field in fields(Limits))
SEARCH = tuple(field.name for field in fields(Search))
RUN = ("num_workers", "tokens_per_batch", "bar")
THRESHOLD = "null_score_diff_threshold"


def paired(question: Texts, context: Texts) -> list[Question]:
    """Questions with their contexts, numbered from 0.

    Args:
        question: one, or several.
        context: the text of each question, or one for all.

    Raises:
        UsageError: there are not as many contexts as questions.
    """
    queries, contexts = texts_of(question, "question"), texts_of(context, "context")
    for name, rows in (("question", queries), ("context", contexts)):
        for row in rows:
            arguments.text(name, row)
    if isinstance(context, str):
        contexts *= len(queries)
    if len(contexts) != len(queries):
        raise UsageError(
            f"{len(contexts)} contexts for {len(queries)} questions: one each is expected, or one "
            "for all."
        )
    pairs = enumerate(zip(queries, contexts, strict=True))
    return [Question(str(row), query, text) for row, (query, text) in pairs]


def ask_with(
    model: Bert | ComputesLogits,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    about: Mapping[str, Any],
    most: int,
    **options: Any,
) -> list[Answer]:
    """Answer questions as the folder of a model says, where the options do not say otherwise.

    Args:
        model: prepared, with a span head.
        tokenizer: that of the model's folder.
        questions: with their contexts, of any length.
        about: what the model's folder says about its training.
        most: tokens of a window at most, where neither the options nor the folder say.
        options: "max_len", "doc_stride", "max_query_length" (tokens, see :class:`Limits`),
            "n_best", "max_answer_length", "null", "null_threshold" (see :class:`Search`), and
            "num_workers", "tokens_per_batch" and "bar" (see :func:`ask`); None is as good as not
            given.

    Raises:
        UsageError: the model has no span head, or there is no such option.
    """
    known = (*LIMITS, *SEARCH, *RUN)
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)
    limits = limits_of(about, most, **_part(options, LIMITS))
    search = search_of(about, **_part(options, SEARCH))
    settings = {key: value for key, value in _part(options, RUN).items() if value is not None}
    return ask(model, tokenizer, questions, limits, search, **settings)


def limits_of(about: Mapping[str, Any], most: int, **options: int | None) -> Limits:
    """How windows are cut: as the options say, else as in training, else as published.

    Args:
        about: what the model's folder says about its training.
        most: tokens of a window at most, where neither the options nor the folder say.
        options: fields of :class:`Limits`; None is as good as not given.
    """
    usual = Limits()
    typed = {name: value for name, value in options.items() if value is not None}
    max_len = typed.get("max_len", about.get("max_length") or min(usual.max_len, most))
    # A small model's windows must hold more than the question.
    room = arguments.whole("max_len", max_len) // 2
    query = min(about.get("max_query_length") or usual.max_query_length, room)
    stride = about.get("doc_stride") or usual.doc_stride
    return Limits(max_len, typed.get("doc_stride", stride), typed.get("max_query_length", query))


def search_of(about: Mapping[str, Any], **options: int | float | None) -> Search:
    """How answers are looked for: as the options say, else as in training.

    Args:
        about: what the model's folder says: whether questions may have no answer, the threshold.
        options: fields of :class:`Search`; None is as good as not given.
    """
    typed = {name: value for name, value in options.items() if value is not None}
    null = bool(about.get("version_2")) or "null_threshold" in typed
    trained = Search(null=null, null_threshold=float(about.get(THRESHOLD) or 0.0))
    return replace(trained, **typed)  # type: ignore[arg-type]


def ask(
    model: Bert | ComputesLogits,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits,
    search: Search,
    *,
    num_workers: int = 0,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> list[Answer]:
    """Answer questions, in their order.

    Args:
        model: prepared, with a span head.
        tokenizer: that of the model's folder.
        questions: with their contexts, of any length.
        limits: how contexts are cut into windows.
        search: how answers are looked for.
        num_workers: processes that tokenise; 0 does it in this one.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Raises:
        UsageError: the model has another head, or fewer positions than the windows have tokens.
    """
    if isinstance(model, Bert) or model.head != "question_answering":
        has = "no head" if isinstance(model, Bert) else f"a {model.head} head"
        raise UsageError(
            f"the model has {has}; answering needs a span head. Fine-tune one with "
            f"{command('finetune_squad')}."
        )
    check_positions(limits.max_len, model.config.max_position_embeddings)
    if not questions:
        return []
    windows = prepare(tokenizer, questions, limits, num_workers=num_workers, bar=bar)
    windows.report("questions")
    logits = run_tokens(model, windows.features, tokens_per_batch=tokens_per_batch, bar=bar)
    return decode(logits, windows, questions, search)


def _part(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}
