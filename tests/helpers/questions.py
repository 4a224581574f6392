"""Questions that a tiny model can learn: the answer is the word "cat", where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def squad(count: int, seed: int, impossible: bool = False, most: int = 20) -> dict[str, Any]:
    """A file in SQuAD's form.

    Args:
        count: contexts; each has two questions.
        seed: of the words.
        impossible: every third context holds no answer.
        most: words of a context at most.
    """
    generator = np.random.default_rng(seed)
    paragraphs = []
    for row in range(count):
        words = list(generator.choice(["a", "b", "c"], generator.integers(3, most)))
        lacks = impossible and row % 3 == 0
        if not lacks:
            words.insert(int(generator.integers(0, len(words) + 1)), "cat")
        context = " ".join(words)
        answers = [] if lacks else [{"text": "cat", "answer_start": context.index("cat")}]
        qas = [
            {"id": f"{seed}-{row}-{number}", "question": question, "answers": answers}
            | ({"is_impossible": lacks} if impossible else {})
            for number, question in enumerate(("the", "the a"))
        ]
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "tiny", "data": [{"title": "cats", "paragraphs": paragraphs}]}


def write(path: Path, *args: Any, **options: Any) -> Path:
    """Write :func:`squad`."""
    path.write_text(json.dumps(squad(*args, **options)))
    return path
