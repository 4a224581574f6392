"""The contenders of ``speed/pretraining_step.py``: a process each, which takes turns."""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import ROOT
from plainbert.config import BertConfig
from plainbert.errors import DataError, DeviceError
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.text.tokenizer import Tokenizer

SAMPLE = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
VOCABULARY = "all-MiniLM-L6-v2"  # bert-base-uncased's, 30522 rows
LR, DECAY, EPSILON, NORM = 1e-4, 0.01, 1e-6, 1.0
FLOAT32, AUTOCAST = "transformers float32", "transformers bfloat16 autocast, fused AdamW"
COMPILED = f"{AUTOCAST}, torch.compile"
OURS, UNBUCKETED = "plainbert bfloat16", "plainbert bfloat16, random batches"
Ids = NDArray[np.int64]
Turn = Callable[[Ids], float]  # numbers of instances -> mean loss of the steps


@dataclass(frozen=True)
class Work:
    """What all contenders do alike.

    Attributes:
        text: the corpus.
        cache: folder for its tokens.
        device: "cpu" or "cuda".
        size: of the model, ``bert_LAYERS_UNITS_HEADS``.
        lengths: tokens of an instance at most; one corpus of instances for each.
        batch_tokens: instances of a step times that length.
        steps: of a turn.
        turns: how many, with those that warm up.
        threads: of torch.
        attention_dropout: hidden states have 0.1.
    """

    text: str
    cache: str
    device: str
    size: str
    lengths: list[int]
    batch_tokens: int
    steps: int
    turns: int
    threads: int
    attention_dropout: float

    @property
    def config(self) -> BertConfig:
        """Sizes and dropout."""
        config = BertConfig.from_name(self.size)
        return config.replace(attention_probs_dropout_prob=self.attention_dropout)

    def batch(self, length: int) -> int:
        """Instances of a step."""
        return max(1, self.batch_tokens // length)

    def instances(self, length: int) -> RawText:
        """The instances of the text; tokenised once for all processes."""
        return RawText.of([self.text], vocabulary(), masking(length), self.cache, bar=False)

    def rows(self, source: RawText, length: int) -> dict[str, Ids]:
        """Numbers of the instances of every turn, by kind of length; each (turns, N)."""
        shape = (self.turns, self.steps * self.batch(length))
        every = np.random.default_rng(0).permutation(len(source))
        full = every[source.lengths[every] == length]
        if not len(full):
            raise DataError(f"no instance has {length} tokens; give a longer text.", self.text)
        kinds = {"natural": every, "full": full}
        return {f"{kind}, {length}": np.resize(each, shape) for kind, each in kinds.items()}


def check_device(name: str) -> None:
    """Refuse a GPU that is not there."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no GPU here. Leave --device out to "
            "measure on the CPU."
        )


def vocabulary() -> Tokenizer:
    """The tokenizer of the benchmarks of pre-training."""
    from plainbert.model_zoo import resolve
    from plainbert.text.reader import read_tokenizer

    return read_tokenizer(resolve(VOCABULARY))


def masking(length: int, passes: int = 1) -> InstanceSettings:
    """How instances are made."""
    return InstanceSettings(length, max_predictions_per_seq=length * 80 // 512, dupe_factor=passes)


def plainbert_turn(work: Work, source: RawText, length: int, model: Any, bucket: bool) -> Turn:
    """Our training step, as the loop runs it."""
    import torch

    from plainbert.batching.sampler import Sampler
    from plainbert.tasks.pretraining.features import Instances
    from plainbert.tasks.pretraining.objective import PretrainingObjective
    from plainbert.train.module_state import ModuleState
    from plainbert.train.optim import Optimizer
    from plainbert.train.step import Scaler, Stepper

    optimizer = Optimizer("adamw", model.named_parameters(), DECAY, EPSILON)
    modules = ModuleState(model, torch.bfloat16)
    stepper = Stepper(modules, optimizer, Scaler(), NORM, objective=PretrainingObjective())
    data, device = Instances(source), torch.device(work.device)

    def turn(rows: Ids) -> float:
        sampler = Sampler(source.lengths[rows], work.batch(length), 0, bucket=bucket)
        total = 0.0
        for step in range(sampler.steps_per_epoch):
            batches = [data.batch(rows[part], 0, device) for part in sampler.batch(step)]
            total += stepper.step(step, batches, LR).loss
        return total / sampler.steps_per_epoch

    return turn


def transformers_turn(
    work: Work, source: RawText, length: int, model: Any, name: str, all_rows: Ids
) -> Turn:
    """The usual loop, over the same instances; ``all_rows`` are those of all turns."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from plainbert.train.optim import decays

    autocast = name != FLOAT32
    weights = list(model.parameters())
    groups = [
        {"params": [each for each in weights if decays(each)], "weight_decay": DECAY},
        {"params": [each for each in weights if not decays(each)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, eps=EPSILON, fused=autocast or None)
    forward = torch.compile(model) if name == COMPILED else model
    wanted = np.unique(all_rows)
    found = source.rows(wanted)
    labels = np.full(len(found.ids), -100)
    labels[found.masked_rows] = found.masked_ids
    cut = [
        [torch.from_numpy(part) for part in np.split(each.astype(np.int64), found.offsets[1:-1])]
        for each in (found.ids, found.types, labels, np.ones(len(found.ids)))
    ]
    follows = torch.from_numpy(found.next_sentence)

    def turn(rows: Ids) -> float:
        losses = []
        for batch in torch.from_numpy(np.searchsorted(wanted, rows)).split(work.batch(length)):
            ids, types, words, mask = (
                pad_sequence([each[row] for row in batch], True, pad).to(work.device)
                for each, pad in zip(cut, (0, 0, -100, 0), strict=True)
            )
            with torch.autocast(work.device, dtype=torch.bfloat16, enabled=autocast):
                loss = forward(
                    input_ids=ids,
                    token_type_ids=types,
                    attention_mask=mask,
                    labels=words,
                    next_sentence_label=follows[batch].to(work.device),
                ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, NORM)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())  # waits for a GPU

    return turn


def transformers_model(config: BertConfig, state: dict[str, Any]) -> Any:
    """Their model, from the same weights."""
    import transformers

    model = transformers.BertForPreTraining(transformers.BertConfig(**config.to_dict()))
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown
    assert all("cls.predictions.decoder" in name for name in missing)  # tied to the embedding
    return model


def main(name: str, work: Work) -> None:
    """Be one contender: a turn for every kind of length that arrives on standard input."""
    import torch

    from plainbert.nn.pretraining_heads import Pretraining
    from plainbert.tasks.pretraining.evaluate import memory_gb

    torch.set_num_threads(work.threads)
    torch.manual_seed(0)
    ours, device = name in (OURS, UNBUCKETED), torch.device(work.device)
    model: Any = Pretraining(work.config)
    if not ours:
        model = transformers_model(work.config, model.state_dict())
    model.to(device).train()
    runs: dict[str, tuple[Turn, Ids]] = {}
    for length in work.lengths:
        source = work.instances(length)
        kinds = work.rows(source, length)
        if ours:
            turn = plainbert_turn(work, source, length, model, name == OURS)
        else:
            rows = np.concatenate([*kinds.values()])
            turn = transformers_turn(work, source, length, model, name, rows)
        runs |= {kind: (turn, each) for kind, each in kinds.items()}
    done: dict[str, itertools.count[int]] = defaultdict(itertools.count)
    print("ready", flush=True)
    for line in sys.stdin:
        turn, each = runs[line.strip()]
        loss = turn(each[next(done[line])])
        print(json.dumps({"loss": loss, "peak_mib": memory_gb(device) * 1e9 / 2**20}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Work(**json.loads(sys.argv[2])))
