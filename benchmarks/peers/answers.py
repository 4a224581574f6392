"""The contenders of ``speed/answers.py``: a process each, which takes turns."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import squad as squad_peer
from plainbert.batching.features import Features
from plainbert.tasks.squad.data import Question, Squad
from plainbert.tasks.squad.files import read
from plainbert.tasks.squad.windows import Limits, prepare

BATCH, LR = 32, 2e-5
FLOAT32, AUTOCAST = "transformers float32", "transformers bfloat16 autocast, fused AdamW"
PADDED, LONGEST = ", padded to 384", ", padded to the longest"
OURS32, OURS16 = "plainbert float32", "plainbert bfloat16"
CONTENDERS = {
    "train": (
        OURS16, FLOAT32 + PADDED, FLOAT32 + LONGEST, AUTOCAST + PADDED, AUTOCAST + LONGEST,
    ),
    "predict": (OURS16, OURS32, FLOAT32 + PADDED, FLOAT32 + LONGEST),
}  # fmt: skip
Turn = Callable[[int], float | dict[str, str]]  # seed -> mean loss, or answers by id


def training_windows(args: argparse.Namespace) -> Features:
    """The windows of a pass, the same for all."""
    from plainbert.model_zoo import resolve
    from plainbert.text.reader import read_tokenizer

    questions = read(args.file, training=True).trainable(version_2=False)
    made = prepare(read_tokenizer(resolve(args.model_dir)), questions, labelled=True).features
    count = min(args.windows, len(made))
    return made.take(np.arange(count) * len(made) // count)


def plainbert_train(args: argparse.Namespace) -> Turn:
    """Our training step, as the loop runs it."""
    import torch

    from plainbert.batching.batch import Examples
    from plainbert.batching.sampler import Sampler
    from plainbert.model_zoo import open_folder
    from plainbert.train.module_state import ModuleState
    from plainbert.train.optim import Optimizer
    from plainbert.train.step import Scaler, Stepper

    features = training_windows(args)
    model = open_folder(args.model_dir, head="question_answering", fresh_head=True).headed.train()
    optimizer = Optimizer("adamw", model.named_parameters(), 0.0)
    modules = ModuleState(model, torch.bfloat16)
    stepper = Stepper(modules, optimizer, Scaler(), 1.0)
    examples, cpu = Examples(features), torch.device("cpu")

    def turn(seed: int) -> float:
        sampler = Sampler(features.lengths, BATCH, seed)
        losses = []
        for step in range(sampler.steps_per_epoch):
            batches = [examples.batch(rows, 0, cpu) for rows in sampler.batch(step)]
            losses.append(stepper.step(step, batches, LR).loss)
        return sum(losses) / len(losses)

    return turn


def transformers_train(args: argparse.Namespace) -> Turn:
    """The recipe's training step."""
    import torch

    features = training_windows(args)
    assert features.labels is not None
    rows = [
        {
            "input_ids": features.row(row),
            "labels": tuple(features.labels[row].tolist()),
            "token_type_ids": features.types[start:stop].tolist(),
        }
        for row, (start, stop) in enumerate(
            zip(features.offsets[:-1], features.offsets[1:], strict=True)
        )
    ]
    recipe = recipe_of(args.contender)
    trainer = squad_peer.Trainer(squad_peer.open_peer(args.model_dir)[0], recipe)

    def turn(seed: int) -> float:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        parts = order.split(BATCH)
        losses = [float(trainer.step([rows[row] for row in part.tolist()])) for part in parts]
        return sum(losses) / len(losses)

    return turn


def recipe_of(contender: str) -> Any:
    """What a contender's name says."""
    autocast, padded = contender.startswith(AUTOCAST), contender.endswith(PADDED)
    return squad_peer.Recipe(batch=BATCH, lr=LR, autocast=autocast, padded=padded)


def plainbert_predict(args: argparse.Namespace) -> Turn:
    """Our way from questions to answers."""
    import torch

    from plainbert.infer.precision import Precision
    from plainbert.infer.prepare import prepare
    from plainbert.model_zoo import open_folder
    from plainbert.tasks.squad.decode import Search
    from plainbert.tasks.squad.predict import ask

    opened = open_folder(args.model_dir, head="question_answering", fresh_head=True)
    dtype = torch.bfloat16 if args.contender == OURS16 else torch.float32
    model, asked = prepare(opened.headed, Precision(dtype)), questions(args)

    def turn(seed: int) -> dict[str, str]:
        found = ask(model, opened.tokenizer, warm(asked, seed), Limits(), Search())
        return {each.id: each.text for each in found}

    return turn


def transformers_predict(args: argparse.Namespace) -> Turn:
    """The recipe's way from questions to answers."""
    model, tokenizer = squad_peer.open_peer(args.model_dir)
    asked, recipe = questions(args), recipe_of(args.contender)

    def turn(seed: int) -> dict[str, str]:
        return squad_peer.predict(model, tokenizer, warm(asked, seed), recipe).text

    return turn


def questions(args: argparse.Namespace) -> list[Question]:
    """What is asked."""
    found: Squad = read(args.file).first(args.questions)
    return found.questions


def warm(asked: list[Question], seed: int) -> list[Question]:
    """A few for the turn that warms up, which has seed 0; else all."""
    return asked if seed else asked[:64]


def said(args: argparse.Namespace, found: float | dict[str, str]) -> dict[str, float]:
    """What a turn found, in a number: that all contenders do the same work."""
    from plainbert.tasks.squad.scores import squad_v1

    if not isinstance(found, dict):
        return {"loss": found}
    asked = [each for each in questions(args) if each.id in found]
    gold = {each.id: [answer.text for answer in each.answers] for each in asked}
    return {"f1": squad_v1(gold, found)["f1"]}


def contend(args: argparse.Namespace) -> None:
    """Be one contender: a turn for every seed that arrives on standard input."""
    import torch

    torch.set_num_threads(args.threads)
    make = {
        ("train", True): plainbert_train, ("train", False): transformers_train,
        ("predict", True): plainbert_predict, ("predict", False): transformers_predict,
    }[args.parts[0], args.contender in (OURS16, OURS32)]  # fmt: skip
    turn = make(args)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        found = turn(int(line))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        about = {"seconds": seconds, "peak_mib": round(peak), **said(args, found)}
        print(json.dumps(about), flush=True)
