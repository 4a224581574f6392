"""Questions about texts: what a set of them is, and what may be wrong with it.

What a file gets wrong is counted and reported, question by question: see :class:`Squad`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from plainbert.errors import DataError

log = logging.getLogger(__name__)

NOWHERE = -1  # where an answer starts that its context does not hold

# What may be wrong with a question that is kept all the same.
MOVED = "answers found elsewhere than stated"
LOST = "answers that are not in their context"
EMPTY_CONTEXT = "questions with an empty context"
EMPTY_QUESTION = "empty questions"
TWICE = "ids that occur again"
UNKNOWN = "questions whose answer is not told"


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """A right answer.

    Args:
        text: as the annotator marked it.
        start: its first character in the context; ``NOWHERE`` when the context does not hold it.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """The character after its last one."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the text to find its answer in.

    Args:
        id: names it in the files of predictions.
        question: its text.
        context: the text.
        answers: right ones, of several annotators perhaps; none where they are hidden.
        impossible: the context is known to hold no answer (SQuAD 2.0).
        title: of the article.
    """

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...] = ()
    impossible: bool = False
    title: str = ""

    @property
    def target(self) -> GoldAnswer | None:
        """The first answer that lies in the context: what training points at."""
        return next((answer for answer in self.answers if answer.start != NOWHERE), None)


@dataclass(frozen=True)
class Squad:
    """A file of questions.

    Attributes:
        questions: in the order of the file.
        problems: kind (``MOVED``, ``LOST`` ...) -> where they are, ``FILE: question ID: what``.
        name: the file, for messages.
    """

    questions: list[Question]
    problems: dict[str, list[str]] = field(default_factory=dict)
    name: str = "questions"

    def __len__(self) -> int:
        return len(self.questions)

    def first(self, count: int | None) -> Squad:
        """The first questions only; all of them for None."""
        return self if count is None else Squad(self.questions[:count], self.problems, self.name)

    def report(self) -> None:
        """Log one line that counts the questions and what is wrong with them, and examples."""
        impossible = sum(question.impossible for question in self.questions)
        notes = f", {impossible} of them without an answer" if impossible else ""
        notes += "".join(f"; {len(lines)} {kind}" for kind, lines in self.problems.items())
        contexts = len({question.context for question in self.questions})
        log.info(
            "%s: %d rows (questions) about %d contexts%s", self.name, len(self), contexts, notes
        )
        for kind, lines in self.problems.items():
            log.warning("%s, first: %s", kind, lines[0])

    def trainable(self, version_2: bool) -> list[Question]:
        """The questions that can be trained on; how many cannot, and why, is logged.

        Args:
            version_2: learn from questions without an answer, too.

        Raises:
            DataError: there is none.
        """
        kept, left = [], Counter[str]()
        for question in self.questions:
            if not question.context.strip():
                left["their context is empty"] += 1
            elif question.target is not None and not (version_2 and question.impossible):
                kept.append(question)
            elif not question.impossible:
                left["their answer is not in the context, or not told"] += 1
            elif version_2:
                kept.append(question)
            else:
                left["they have no answer (finetune_squad.py --version_2 learns from those)"] += 1
        for reason, count in left.items():
            log.warning("%s: %d rows are not trained on: %s", self.name, count, reason)
        if not kept:
            raise DataError("holds no question that can be trained on.", self.name)
        return kept


def gather(
    entries: Iterable[tuple[Question, list[tuple[str, str]]]], name: str, training: bool = False
) -> Squad:
    """Make a set of questions.

    Args:
        entries: questions, each with its problems as (kind, what).
        name: the file, for messages.
        training: an id may occur twice, because nothing is written by id.

    Raises:
        DataError: there is no question, or an id occurs twice and predictions are written by it.
    """
    questions: list[Question] = []
    problems: dict[str, list[str]] = {}
    seen: set[str] = set()
    for question, wrong in entries:
        if question.id in seen:
            if not training:
                raise DataError(
                    f"two questions have the id {question.id!r}; predictions are written by id, so "
                    "each question needs its own.",
                    name,
                )
            wrong.append((TWICE, "the id has occurred before"))
        seen.add(question.id)
        questions.append(question)
        for kind, what in wrong:
            problems.setdefault(kind, []).append(f"{name}: question {question.id}: {what}")
    if not questions:
        raise DataError("holds no question.", name)
    return Squad(questions, problems, name)


def question_of(
    name: str, values: dict[str, Any], context: str, title: str = ""
) -> tuple[Question, list[tuple[str, str]]]:
    """One entry of ``qas`` as a question, and what is wrong with it.

    Args:
        name: where it stands, for errors.
        values: "id", "question", perhaps "answers" (a list of objects, or an object of lists as
            the ``datasets`` library has it) and "is_impossible". Without the latter a question is
            impossible whose list of answers is there and empty.
        context: the text.
        title: of the article.

    Raises:
        DataError: something is missing or of another type.
    """
    identity = text_of(name, values, "id")
    place = f"{name}, question {identity}"
    text = text_of(place, values, "question")
    wrong = []
    if not context.strip():
        wrong.append((EMPTY_CONTEXT, "the context is empty"))
    if not text.strip():
        wrong.append((EMPTY_QUESTION, f"the question is {text!r}"))
    answers = []
    stated = _answers(place, values.get("answers"))
    for answer, start in stated:
        where = locate(context, answer, start)
        if where == NOWHERE:
            wrong.append((LOST, f"the answer {answer[:60]!r} is not in the context"))
        elif where != start:
            wrong.append((MOVED, f"the answer {answer[:60]!r} is at {where}, not at {start}"))
        answers.append(GoldAnswer(answer, where))
    impossible = values.get("is_impossible")
    if impossible is None:
        impossible = isinstance(values.get("answers"), list | dict) and not stated
    if not isinstance(impossible, bool):
        stated_as = repr(impossible)[:100]
        raise DataError(f"{place}: is_impossible is {stated_as}; true or false is expected.")
    if not stated and not impossible:
        wrong.append((UNKNOWN, "its answer is not told"))
    return Question(identity, text, context, tuple(answers), impossible, title), wrong


def locate(context: str, answer: str, start: int) -> int:
    """The place of an answer: the stated one, or of its occurrence nearest to that.

    ``NOWHERE`` when it is not in the context, when it is blank, and when it occurs several times
    and no place in the context is stated.
    """
    if not answer.strip():
        return NOWHERE
    if start >= 0 and context.startswith(answer, start):
        return start
    if not 0 <= start < len(context):
        first = context.find(answer)
        return first if first == context.rfind(answer) else NOWHERE
    before = context.rfind(answer, 0, start + len(answer))
    after = context.find(answer, start)
    if before == NOWHERE or after == NOWHERE:
        return max(before, after)
    return before if start - before <= after - start else after


def _answers(place: str, value: Any) -> list[tuple[str, int]]:
    """Texts and stated places of the answers."""
    if value is None:
        return []
    if isinstance(value, dict):
        texts, starts = (list_of(place, value, key) for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise DataError(f"{place}: {len(texts)} texts of answers, {len(starts)} places.")
        value = [
            {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
        ]
    if not isinstance(value, list):
        raise DataError(f"{place}: 'answers' is a {type(value).__name__}; a list is expected.")
    answers = []
    for answer in value:
        text = text_of(f"{place}, answers", answer, "text")
        start = answer.get("answer_start", NOWHERE)
        if not isinstance(start, int) or isinstance(start, bool):
            raise DataError(f"{place}: 'answer_start' is {start!r}; a whole number is expected.")
        answers.append((text, start))
    return answers


def text_of(place: str, values: Any, key: str) -> str:
    """A text in a JSON object; an id may be a whole number.

    Raises:
        DataError: it is missing or of another type.
    """
    value = _value(place, values, key)
    if key == "id" and isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{place}: {key!r} is {value!r:.60}; a text is expected.")
    return value


def list_of(place: str, values: Any, key: str) -> Sequence[Any]:
    """A list in a JSON object.

    Raises:
        DataError: it is missing or of another type.
    """
    value = _value(place, values, key)
    if not isinstance(value, list):
        raise DataError(f"{place}: {key!r} is a {type(value).__name__}; a list is expected.")
    return value


def _value(place: str, values: Any, key: str) -> Any:
    if not isinstance(values, dict):
        raise DataError(
            f"{place} is a {type(values).__name__}; an object with {key!r} is expected."
        )
    if key not in values:
        raise DataError(f"{place} has no {key!r}; it has: {', '.join(map(str, values)) or 'none'}.")
    return values[key]
