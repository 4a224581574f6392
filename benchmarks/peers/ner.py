"""The recipe of ``transformers``' ``run_ner.py`` example: alignment, training loop, tags.

Written after the example's algorithm: the words go through the fast tokenizer, the first sub-word
of each has its tag, the others -100; batches are padded to their longest sentence; AdamW, linear
schedule with warm-up, gradients clipped at 1, bfloat16 autocast, fused. A word beyond the length
limit, which the example leaves out of its score, is scored as O; how many there are is counted.

Source:
    huggingface/transformers, examples/pytorch/token-classification/run_ner.py (Apache-2.0).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from benchmarks.measure import opened
from plainbert import model_zoo

IGNORED, NO_WORD, OUTSIDE = -100, -1, "O"
Words = Sequence[Sequence[str]]  # words, or tags, of every sentence
Rows = list[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How the peer trains and predicts.

    Attributes:
        batch: sentences of a step.
        lr: peak learning rate.
        epochs: passes over the sentences.
        warmup: share of the steps.
        length: tokens of a sentence at most.
        seed: of head, order and dropout.
    """

    batch: int
    lr: float
    epochs: int
    warmup: float = 0.1
    length: int = 180
    seed: int = 1


def open_peer(name: str, labels: Sequence[str], seed: int) -> tuple[Any, Any]:
    """Model with a new head for tags, and fast tokenizer."""
    import transformers

    folder = str(model_zoo.resolve(name))
    transformers.set_seed(seed)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=len(labels)
    )
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def features(tokenizer: Any, words: Words, length: int) -> Rows:
    """Sentences as token ids, with the word that each token begins; NO_WORD for other tokens.

    Args:
        tokenizer: a fast one.
        words: of the sentences.
        length: tokens of a sentence at most.
    """
    coded = tokenizer(
        [list(each) for each in words],
        is_split_into_words=True,
        truncation=True,
        max_length=length,
        padding=False,
    )
    found: Rows = []
    for row in range(len(words)):
        begins, before = [], None
        for word in coded.word_ids(row):
            begins.append(NO_WORD if word is None or word == before else word)
            before = word
        ids = torch.tensor(coded["input_ids"][row])
        found.append({"ids": ids, "begins": torch.tensor(begins)})
    return found


def label(rows: Rows, tags: Words, ids: dict[str, int]) -> None:
    """Give every token its label: the id of the tag of the word that it begins."""
    for row, own in zip(rows, tags, strict=True):
        labels = [IGNORED if word == NO_WORD else ids[own[word]] for word in row["begins"].tolist()]
        row["labels"] = torch.tensor(labels)


def collate(rows: Rows) -> dict[str, torch.Tensor]:
    """Sentences padded to the longest."""
    ids = [row["ids"] for row in rows]
    batch = {
        "input_ids": pad_sequence(ids, True, 0),
        "attention_mask": pad_sequence([torch.ones_like(each) for each in ids], True, 0),
    }
    if "labels" in rows[0]:
        batch["labels"] = pad_sequence([row["labels"] for row in rows], True, IGNORED)
    return batch


def train(model: Any, rows: Rows, recipe: Recipe, log: Path) -> None:
    """Train a model in place; the log gets a line every 50 steps."""
    import transformers

    model.train()
    steps = -(-len(rows) // recipe.batch) * recipe.epochs
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=0.0, fused=True)
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, int(steps * recipe.warmup), steps
    )
    order = torch.Generator().manual_seed(recipe.seed)
    start, done, total = time.perf_counter(), 0, 0.0
    with opened(log) as file:
        print(f"{recipe}, {len(rows)} sentences, {steps} steps", file=file)
        for epoch in range(recipe.epochs):
            for part in torch.randperm(len(rows), generator=order).split(recipe.batch):
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = model(**collate([rows[row] for row in part.tolist()])).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                total, done = total + loss.item(), done + 1
                if done % 50 == 0 or done == steps:
                    seconds = time.perf_counter() - start
                    mean = total / ((done - 1) % 50 + 1)
                    print(f"epoch {epoch} step {done} loss {mean:.4f} {seconds:.1f} s", file=file)
                    file.flush()
                    total = 0.0


def predict(
    model: Any, tokenizer: Any, words: Words, recipe: Recipe, labels: Sequence[str]
) -> tuple[list[list[str]], int]:
    """The tag of every word, and how many words got none from the model (O)."""
    model.eval()
    found = [[OUTSIDE] * len(each) for each in words]
    missing = sum(map(len, words))
    rows = features(tokenizer, words, recipe.length)
    for first in range(0, len(rows), recipe.batch):
        part = rows[first : first + recipe.batch]
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            best = model(**collate(part)).logits.argmax(-1)
        for place, row in enumerate(part):
            for word, tag in zip(row["begins"].tolist(), best[place].tolist(), strict=False):
                if word != NO_WORD:
                    found[first + place][word] = labels[tag]
                    missing -= 1
    return found, missing
