"""Which questions ``squad.py`` trains on and scores; its docstring says how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.files import read

QUESTIONS, HELD_OUT = 10_000, 2_000


@dataclass(frozen=True)
class Job:
    """What one part trains on and is scored on.

    Attributes:
        train: questions.
        test: questions.
        epochs: passes over the former.
        version_2: whether "no answer" is an answer.
    """

    train: list[Question]
    test: list[Question]
    epochs: int = 1
    version_2: bool = False

    def first(self, count: int | None) -> Job:
        """Fewer questions of both; all of them for None."""
        if count is None:
            return self
        train, test = (
            [part[row] for row in spread(part, count)] for part in (self.train, self.test)
        )
        return replace(self, train=train, test=test)

    def size(self) -> dict[str, int]:
        """How large it is, for the results."""
        return {
            "epochs": self.epochs,
            "train_questions": len(self.train),
            "questions": len(self.test),
        }


def spread(questions: Sequence[Question], count: int) -> list[int]:
    """Rows at even distances."""
    count = min(count, len(questions))
    return [row * len(questions) // count for row in range(count)]


def squad1(data: Path) -> Job:
    """10,000 questions of SQuAD 1.1."""
    every = read(data / "squad" / "train-v1.1.json.xz", training=True).questions
    train = [every[row] for row in spread(every, QUESTIONS)]
    return Job(train, read(data / "squad" / "dev-v1.1.json").questions)


def rates(data: Path) -> Job:
    """The same to train on; to score, others of the training set."""
    every = read(data / "squad" / "train-v1.1.json.xz", training=True).questions
    taken = set(spread(every, QUESTIONS))
    others = [each for row, each in enumerate(every) if row not in taken]
    test = {each.id: each for each in (others[row] for row in spread(others, HELD_OUT))}
    return Job([every[row] for row in sorted(taken)], list(test.values()))


def squad2(data: Path) -> Job:
    """SQuAD 2.0's dev set, cut by article."""
    every = read(data / "squad" / "dev-v2.0.json").questions
    titles = list(dict.fromkeys(each.title for each in every))
    held = {title for row, title in enumerate(titles) if row % 7 in (2, 5)}
    train = [each for each in every if each.title not in held]
    return Job(train, [each for each in every if each.title in held], 2, version_2=True)


def chinese(data: Path) -> Job:
    """DRCD."""
    train, test = (read(data / "drcd" / f"DRCD_{name}.json").questions for name in ("dev", "test"))
    return Job(train, test, 2)


def full(data: Path) -> Job:
    """All of SQuAD 1.1."""
    train = read(data / "squad" / "train-v1.1.json.xz", training=True).questions
    return Job(train, read(data / "squad" / "dev-v1.1.json").questions)


def write(path: Path, questions: Sequence[Question]) -> None:
    """Questions as a file in SQuAD's form."""
    articles: dict[str, dict[str, list[Any]]] = {}
    for each in questions:
        entry = {
            "id": each.id, "question": each.question, "is_impossible": each.impossible,
            "answers": [{"text": one.text, "answer_start": one.start} for one in each.answers],
        }  # fmt: skip
        articles.setdefault(each.title, {}).setdefault(each.context, []).append(entry)
    data = [
        {"title": title, "paragraphs": [{"context": key, "qas": qas} for key, qas in each.items()]}
        for title, each in articles.items()
    ]
    files.write_json(path, {"version": "2.0", "data": data})


JOBS: dict[str, Callable[[Path], Job]] = {
    "squad1": squad1, "squad2": squad2, "chinese": chinese, "full": full, "rates": rates
}  # fmt: skip
