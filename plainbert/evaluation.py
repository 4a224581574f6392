"""Scores of a trained model on labelled rows, sentences or questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from plainbert.batching.notes import TextNotes
from plainbert.checkpoint import Checkpoint
from plainbert.errors import DataError, UsageError
from plainbert.infer.logits import ComputesLogits
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.tasks.classification import predict as classification
from plainbert.tasks.classification.labelled import Gold, LabelScoring
from plainbert.tasks.classification.several import has_several
from plainbert.tasks.ner import predict as tagging
from plainbert.tasks.ner import result_files as tag_scores
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.reports import SetScores
from plainbert.tasks.squad import evaluate as answers
from plainbert.tasks.squad import predict as answering
from plainbert.tasks.squad.data import Question, Squad
from plainbert.text.tokenizer import Tokenizer

ROWS = 1 << 14  # predicted together; what is kept of them is a few bytes each


class Scorable(Protocol):
    """What is scored: :class:`plainbert.model.Model` is one."""

    @property
    def model(self) -> Bert | Headed: ...
    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def checkpoint(self) -> Checkpoint: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def tags(self) -> TagSet: ...
    @property
    def max_len(self) -> int: ...


def evaluate(
    model: Scorable,
    rows: Iterable[Any],
    gold: Iterable[Any] | None = None,
    *,
    max_len: int | None = None,
    bar: bool = False,
) -> SetScores:
    """Score a model on labelled rows of its task.

    Args:
        model: with a head: a classifier, regressor, tagger, or one that answers.
        rows: texts or pairs; tuples of words; or questions with their answers.
        gold: of each row the label, the number, the labels, or the tags of its words; not needed
            for questions.
        max_len: tokens seen at a time; the folder's limit when not given.
        bar: show progress.

    Raises:
        DataError: the model does not know a label, there are no rows, or not as many labels.
        UsageError: the model has no head that could be scored.
    """
    head = "" if isinstance(model.model, Bert) else model.model.head
    if head == "question_answering":
        return evaluate_questions(model, list(rows), max_len=max_len, bar=bar)
    if gold is None:
        raise UsageError("labels are missing: give the right label of every row.")
    if head == "token_classification":
        return evaluate_sentences(model, list(rows), list(gold), max_len=max_len, bar=bar)
    return evaluate_rows(model, list(rows), list(gold), max_len=max_len, bar=bar)


def scoring_of(model: ComputesLogits, labels: Sequence[str]) -> LabelScoring:
    """How a classifier's or regressor's predictions are scored.

    Args:
        model: says which kind it is.
        labels: names of its classes by id.
    """
    names = () if model.head == "regression" else tuple(labels)
    return LabelScoring(names, has_several(model))


def evaluate_rows(
    model: Scorable,
    texts: Sequence[str | tuple[str, ...]],
    gold: Sequence[Gold],
    *,
    max_len: int | None = None,
    bar: bool = False,
) -> SetScores:
    """Score a classifier or a regressor; arguments as for :func:`evaluate`."""
    classifier = classification.checked(model.model, str(model.checkpoint.folder))
    scoring = scoring_of(classifier, model.labels)
    limit = model.max_len if max_len is None else max_len
    if len(texts) != len(gold):
        raise DataError(f"{len(gold)} labels for {len(texts)} rows; one each is expected.")
    scoring.check(gold)
    parts, notes = [], TextNotes()
    for start in range(0, len(texts), ROWS):
        rows, labels = texts[start : start + ROWS], gold[start : start + ROWS]
        predictions = classification.predict(
            classifier, model.tokenizer, rows, model.labels, limit, bar=bar, notes=notes
        )
        parts.append(scoring.pairs(predictions, labels))
    if not parts:
        raise DataError("there are no rows to score.")
    notes.report(limit)
    notes.report_kind(model.checkpoint.about.get("texts"), str(model.checkpoint.folder))
    return scoring.score(np.concatenate(parts))


def evaluate_sentences(
    model: Scorable,
    sentences: Sequence[tuple[str, ...]],
    gold: Sequence[Sequence[str]],
    *,
    max_len: int | None = None,
    bar: bool = False,
) -> SetScores:
    """Score a tagger on words and their tags; arguments as for :func:`evaluate`."""
    tags = model.tags
    if len(sentences) != len(gold):
        raise DataError(f"{len(gold)} rows of tags for {len(sentences)} sentences.")
    check_tags(gold, tags)
    limit = model.max_len if max_len is None else max_len
    taggings = tagging.tag(model.model, model.tokenizer, sentences, tags, limit, bar)
    predicted = [result.tags for result in taggings]
    scores = tag_scores.score(predicted, gold, tags)
    return SetScores(len(sentences), scores, tag_scores.report(predicted, gold, tags))


def check_tags(gold: Iterable[Sequence[str]], tags: TagSet, path: str | None = None) -> None:
    """Refuse tags that a tagger was not trained for.

    Args:
        gold: the right tags of every sentence.
        tags: those of the tagger.
        path: the file that they come from.

    Raises:
        DataError: there are some; names and counts them.
    """
    unknown = tags.unknown_in(gold)
    if unknown:
        listed = ", ".join(f"{tag} ({count} words)" for tag, count in sorted(unknown.items()))
        raise DataError(
            f"holds tags that the model does not know: {listed}. It knows: "
            f"{', '.join(tags.labels)}. predict_ner counts such words as mistakes.",
            path,
        )


def evaluate_questions(
    model: Scorable,
    questions: Sequence[Question],
    *,
    name: str = "questions",
    scoring: str = "auto",
    max_len: int | None = None,
    num_workers: int = 0,
    bar: bool = False,
    search: Mapping[str, Any] | None = None,
) -> SetScores:
    """Score answers, officially: exact match and F1 in percent.

    Args:
        model: answers questions.
        questions: with right answers.
        name: what the log calls them.
        scoring: "words" (SQuAD), "characters" (CMRC 2018) or "auto".
        max_len: tokens of a window; as in training when not given.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress.
        search: fields of :class:`plainbert.tasks.squad.decode.Search` against the folder's.

    Raises:
        DataError: no question has a right answer.
    """
    about = model.checkpoint.about
    how = answering.search_of(about, **(search or {}))
    squad = Squad(list(questions), name=name)
    right = answers.gold_of(squad, how.null)
    if not right:
        raise DataError("no question has a right answer to be scored by.", name)
    limits = answering.limits_of(about, model.max_len, max_len=max_len)
    results = answering.ask(
        model.model, model.tokenizer, squad.questions, limits, how, num_workers=num_workers, bar=bar
    )
    scores = answers.score(squad, results, how, answers.scoring_of(squad, scoring))
    return SetScores(len(right), scores)
