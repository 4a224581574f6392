"""The recipe of ``transformers``' ``run_qa.py`` example: windows, training loop, answers.

Written after the example's algorithm: questions and contexts go through the fast tokenizer with
overflowing windows (384 tokens, neighbours share 128); a window without the whole answer points at
[CLS]; AdamW, linear schedule with warm-up, gradients clipped at 1; the best 20 starts and ends of
each window are paired. Left out are ``datasets``, ``Trainer`` and lists of the n best answers,
which only cost time.

Source:
    huggingface/transformers, examples/pytorch/question-answering: run_qa.py, utils_qa.py
    (Apache-2.0).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import opened
from plainbert import model_zoo
from plainbert.tasks.squad.data import Question

LENGTH, STRIDE = 384, 128
MAPPED = 1000  # questions that go through the tokenizer together, as in ``datasets.map``
N_BEST, MAX_ANSWER = 20, 30
Rows = list[dict[str, Any]]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How the peer trains and predicts.

    Attributes:
        batch: windows of a step.
        lr: peak learning rate.
        epochs: passes over the windows.
        warmup: share of the steps.
        autocast: bfloat16 and fused AdamW, in place of float32 and torch's default AdamW.
        padded: every window to 384 tokens, as the example does; else to the longest of a batch.
        parts: of similar length, into which a batch is cut; their gradients are added up. The sums
            are the same (dropout draws others), with less padding.
        seed: of head, order and dropout.
    """

    batch: int = 32
    lr: float = 2e-4
    epochs: int = 1
    warmup: float = 0.1
    autocast: bool = True
    padded: bool = True
    parts: int = 1
    seed: int = 1


@dataclass(frozen=True)
class Said:
    """What was answered.

    Attributes:
        text: the best answer to each question, by id.
        null_odds: score of "no answer" minus that of the best answer, by id.
    """

    text: dict[str, str]
    null_odds: dict[str, float]


def open_peer(name: str, seed: int = 1) -> tuple[Any, Any]:
    """Model with a head for answers, new where the folder has none, and fast tokenizer."""
    import transformers

    folder = str(model_zoo.resolve(name))
    transformers.set_seed(seed)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def windows(tokenizer: Any, questions: Sequence[Question], labelled: bool) -> Rows:
    """Questions as windows, not padded yet.

    Args:
        tokenizer: a fast one.
        questions: with their contexts.
        labelled: point at the answers, for training; else keep characters, for prediction.
    """
    found: Rows = []
    for first in range(0, len(questions), MAPPED):
        part = questions[first : first + MAPPED]
        coded = tokenizer(
            [each.question.lstrip() for each in part],
            [each.context for each in part],
            truncation="only_second",
            max_length=LENGTH,
            stride=STRIDE,
            padding=False,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for row, sample in enumerate(coded["overflow_to_sample_mapping"]):
            segments, places = coded.sequence_ids(row), coded["offset_mapping"][row]
            window = {
                "input_ids": coded["input_ids"][row],
                "token_type_ids": coded["token_type_ids"][row],
                "question": first + sample,
            }
            if labelled:
                window["labels"] = _target(part[sample], segments, places)
            else:
                pairs = zip(places, segments, strict=True)
                window["places"] = [place if segment == 1 else None for place, segment in pairs]
            found.append(window)
    return found


def _target(
    question: Question, segments: list[int | None], places: list[tuple[int, int]]
) -> tuple[int, int]:
    """First and last token of the answer; (0, 0), [CLS], if it is not wholly in the window."""
    answer = None if question.impossible else question.target
    if answer is None:
        return 0, 0
    first = segments.index(1)
    last = len(segments) - 1 - segments[::-1].index(1)
    if places[first][0] > answer.start or places[last][1] < answer.end:
        return 0, 0
    while first < len(places) and places[first][0] <= answer.start:
        first += 1
    while places[last][1] >= answer.end:
        last -= 1
    return first - 1, last + 1


def collate(rows: Rows, padded: bool) -> dict[str, torch.Tensor]:
    """Windows as what the model takes."""
    width = LENGTH if padded else max(len(row["input_ids"]) for row in rows)
    batch = {
        name: torch.zeros((len(rows), width), dtype=torch.long)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    for place, row in enumerate(rows):
        size = len(row["input_ids"])
        batch["input_ids"][place, :size] = torch.tensor(row["input_ids"])
        batch["token_type_ids"][place, :size] = torch.tensor(row["token_type_ids"])
        batch["attention_mask"][place, :size] = 1
    if "labels" in rows[0]:
        labels = torch.tensor([row["labels"] for row in rows])
        batch |= {"start_positions": labels[:, 0], "end_positions": labels[:, 1]}
    return batch


class Trainer:
    """The training step.

    Args:
        model: with the head.
        recipe: how to train.
        steps: of the whole run; 0: the rate stays at its peak.
    """

    def __init__(self, model: Any, recipe: Recipe, steps: int = 0) -> None:
        import transformers

        self.model, self.recipe = model.train(), recipe
        weights = model.parameters()
        self.optimizer = torch.optim.AdamW(
            weights, lr=recipe.lr, weight_decay=0.0, fused=recipe.autocast or None
        )
        self.schedule: Any = None
        if steps:
            self.schedule = transformers.get_linear_schedule_with_warmup(
                self.optimizer, int(steps * recipe.warmup), steps
            )

    def step(self, rows: Rows) -> torch.Tensor:
        """One update; the loss."""
        alike = sorted(rows, key=lambda row: len(row["input_ids"]))
        size = -(-len(rows) // self.recipe.parts)
        loss = torch.zeros(())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.autocast):
            for first in range(0, len(rows), size):
                part = alike[first : first + size]
                found = self.model(**collate(part, self.recipe.padded)).loss
                loss = loss + found * (len(part) / len(rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.optimizer.zero_grad()
        return loss.detach()


def train(model: Any, rows: Rows, recipe: Recipe, log: Path) -> None:
    """Train a model in place; the log gets a line every 50 steps."""
    per_epoch = -(-len(rows) // recipe.batch)
    trainer = Trainer(model, recipe, per_epoch * recipe.epochs)
    order = torch.Generator().manual_seed(recipe.seed)
    start, done, total = time.perf_counter(), 0, torch.zeros(())
    with opened(log) as file:
        print(f"{recipe}, {len(rows)} windows, {per_epoch * recipe.epochs} steps", file=file)
        for epoch in range(recipe.epochs):
            for part in torch.randperm(len(rows), generator=order).split(recipe.batch):
                total += trainer.step([rows[row] for row in part.tolist()])
                done += 1
                if done % 50 == 0 or done == per_epoch * recipe.epochs:
                    seconds = time.perf_counter() - start
                    mean = total.item() / ((done - 1) % 50 + 1)
                    print(f"epoch {epoch} step {done} loss {mean:.4f} {seconds:.1f} s", file=file)
                    file.flush()
                    total.zero_()


def logits(model: Any, rows: Rows, recipe: Recipe) -> tuple[Floats, Floats]:
    """Logits of starts and ends, windows in their order; (N, 384) each."""
    model.eval()
    starts, ends = (np.zeros((len(rows), LENGTH), np.float32) for _ in range(2))
    order = np.arange(len(rows))
    if not recipe.padded and recipe.parts > 1:
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    for first in range(0, len(rows), recipe.batch):
        part = order[first : first + recipe.batch]
        batch = collate([rows[row] for row in part.tolist()], recipe.padded)
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.autocast),
        ):
            found = model(**batch)
        for kept, each in ((starts, found.start_logits), (ends, found.end_logits)):
            kept[part, : each.shape[1]] = each.float().numpy()
    return starts, ends


def answers(questions: Sequence[Question], rows: Rows, starts: Floats, ends: Floats) -> Said:
    """The best answer to every question, and how much better "no answer" would score."""
    own: list[list[int]] = [[] for _ in questions]
    for number, row in enumerate(rows):
        own[row["question"]].append(number)
    text, odds = {}, {}
    for question, numbers in zip(questions, own, strict=True):
        best: tuple[float, int, int] | None = None
        null = float("inf")
        for number in numbers:
            start, end, places = starts[number], ends[number], rows[number]["places"]
            null = min(null, float(start[0] + end[0]))
            firsts = np.argsort(start)[-1 : -N_BEST - 1 : -1].tolist()
            lasts = np.argsort(end)[-1 : -N_BEST - 1 : -1].tolist()
            for first in firsts:
                for last in lasts:
                    if first >= len(places) or last >= len(places):
                        continue
                    if places[first] is None or places[last] is None:
                        continue
                    if last < first or last - first + 1 > MAX_ANSWER:
                        continue
                    score = float(start[first] + end[last])
                    if best is None or score > best[0]:
                        best = (score, places[first][0], places[last][1])
        text[question.id] = "" if best is None else question.context[best[1] : best[2]]
        odds[question.id] = null - (best[0] if best else -1e4)
    return Said(text, odds)


def predict(model: Any, tokenizer: Any, questions: Sequence[Question], recipe: Recipe) -> Said:
    """Questions to answers."""
    rows = windows(tokenizer, questions, labelled=False)
    return answers(questions, rows, *logits(model, rows, recipe))
