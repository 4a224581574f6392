"""What pre-training has of its own: its scores, its line in the log, its dummy data."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.batch import inference_batches
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.infer import finite
from plainbert.infer.evaluation import Evaluation, Scores
from plainbert.infer.logits import ComputesLogits
from plainbert.nn.headed import Headed
from plainbert.progress import Progress
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.train.monitor import LogFormatter, StepLog
from plainbert.train.objective import Objective
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.settings import Settings
from plainbert.train.training_set import TrainingSet

EVAL_TOKENS = 4096  # of one batch
PROFILED = 15  # steps of a run with a trace


class HeldOut(Evaluation):
    """Losses and accuracies on instances that are not trained on, each exactly once.

    Args:
        sets: instances by the name of their set.
        objective: what is minimised; it counts accuracies.
        ranks: share the work.
    """

    chooses, better = "mlm_loss", -1

    def __init__(
        self, sets: Mapping[str, Instances], objective: Objective, ranks: ParallelStrategy = ALONE
    ) -> None:
        self.sets, self.objective, self.ranks = sets, objective, ranks

    def __call__(self, model: ComputesLogits) -> Scores:
        assert isinstance(model, Headed), "exported models have no heads of pre-training"
        return {name: self._score(model, data) for name, data in self.sets.items()}

    def _score(self, model: Headed, data: Instances) -> dict[str, float]:
        device = next(model.parameters()).device
        names, accuracies = self.objective.names, self.objective.accuracies
        totals = torch.zeros(3, len(names), dtype=torch.float64)  # counts, losses, hits
        batches = inference_batches(data.lengths, EVAL_TOKENS)
        broken: list[int] = []
        mine = batches[self.ranks.rank :: self.ranks.size]
        progress = Progress("compute", "rows", sum(map(len, mine)), bar=self.ranks.rank == 0)
        with torch.inference_mode(), self.ranks.whole(model), progress:
            model.eval()
            for index in mine:
                batch = data.batch(index, 0, device)
                totals[0] += torch.tensor(self.objective.counts(batch), dtype=torch.float64)
                sums = self.objective.sums(model, batch)
                if not all(map(torch.isfinite, sums.losses)):
                    broken += index.tolist()
                for row, values in enumerate(sums, start=1):
                    if values:
                        totals[row] += torch.stack([total.double() for total in values]).cpu()
                progress.update(len(index))
        self.ranks.sum([totals])
        finite.refuse(sorted(broken))
        means = totals[1:] / totals[0].clamp(min=1.0)
        scores: dict[str, float] = {}
        for place, (name, accuracy) in enumerate(zip(names, accuracies, strict=True)):
            scores[name] = float(means[0, place])
            scores[accuracy] = float(means[1, place])
        return scores


class SameLength:
    """Instances of one length, all alike, to measure speed without data.

    Args:
        length: tokens of each.
        masked: tokens of each to predict.
        vocab_size: rows of the vocabulary.
    """

    def __init__(self, length: int, masked: int, vocab_size: int) -> None:
        self.lengths = np.full(1 << 16, length)
        self.masked, self.vocab_size = min(masked, length), vocab_size

    def rows(self, index: NDArray[np.int64], epoch: int = 0) -> InstanceRows:
        """As many as asked for."""
        count, length = len(index), int(self.lengths[0])
        return InstanceRows(
            ids=np.resize(np.arange(length, dtype=np.int32) % self.vocab_size, count * length),
            offsets=np.arange(count + 1) * length,
            types=np.zeros(count * length, np.uint8),
            masked_sequence=np.repeat(np.arange(count), self.masked),
            masked_positions=np.tile(np.arange(self.masked), count),
            masked_ids=np.tile(np.arange(self.masked) % self.vocab_size, count),
            next_sentence=np.arange(count) % 2,
        )


class _Traced:
    """Instances that tell a profiler when a step begins."""

    def __init__(self, data: Instances, accumulate: int, step: Callable[[], None]) -> None:
        self.data, self.lengths, self.identity = data, data.lengths, data.identity
        self._accumulate, self._step, self._batches = accumulate, step, 0

    def batch(self, index: NDArray[np.int64], epoch: int, device: torch.device) -> Any:
        if self._batches and self._batches % self._accumulate == 0:
            self._step()
        self._batches += 1
        return self.data.batch(index, epoch, device)


@contextlib.contextmanager
def profiled(
    path: str | None, data: Instances, settings: Settings
) -> Iterator[tuple[TrainingSet, Settings]]:
    """Data and settings of a run that is traced from step 10 to 14 and then ends.

    Args:
        path: where the trace goes; None: the run is not traced and has no end of its own.
        data: to train on.
        settings: of the run.

    Raises:
        UsageError: the trace could not be written there.
    """
    if path is None:
        yield data, settings
        return
    from torch.profiler import profile, schedule

    if Path(path).is_dir() or not Path(path).absolute().parent.is_dir():
        raise UsageError(f"--profile {path}: a file in a folder that exists is expected.")
    with profile(schedule=schedule(wait=9, warmup=1, active=5, repeat=1)) as profiler:
        yield (
            _Traced(data, settings.accumulate, profiler.step),
            replace(settings, training_steps=PROFILED, eval_steps=PROFILED + 1),
        )
        profiler.step()
    profiler.export_chrome_trace(path)


def flops_per_token(config: BertConfig, length: float, masked: float) -> float:
    """Floating-point operations of one token's forward and backward pass.

    Matrix products only: those of the layers, attention, and the head over masked tokens.

    Args:
        config: sizes.
        length: mean tokens of a sequence.
        masked: share of the tokens that are predicted.
    """
    width, wide = config.hidden_size, config.intermediate_size
    layer = 2 * (4 * width * width + 2 * width * wide) + 4 * width * length
    head = masked * 2 * (width * width + width * config.vocab_size)
    return 3 * (config.num_hidden_layers * layer + head)


def matrix_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """Operations per second of large matrix products here, the best of several."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device).to(dtype)
    b, best, end = a.clone(), 0.0, time.perf_counter() + seconds
    with torch.inference_mode():
        while time.perf_counter() < end:
            start = time.perf_counter()
            c = a @ b
            float(c[0, 0])  # waits for a GPU
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def step_formatter(
    config: BertConfig, masked: float, rate: float, ranks: int, device: torch.device
) -> LogFormatter:
    """The line of GluonNLP's pre-training, with memory and utilisation.

    Args:
        config: sizes.
        masked: share of the tokens that are predicted.
        rate: operations per second that one rank can do.
        ranks: how many there are.
        device: whose memory is told.
    """

    def line(now: StepLog) -> tuple[str, dict[str, float]]:
        speed = now.tokens / now.seconds
        length = now.tokens / max(1, now.examples)
        used = speed * flops_per_token(config, length, masked) / (rate * ranks)
        numbers = {
            "tokens_per_second": speed,
            "milliseconds_per_step": 1000 * now.seconds / now.steps,
            "memory_gb": memory_gb(device),
            "utilization": used,
        }
        named = sorted(now.losses.items(), key=lambda item: item[0].partition("_")[0])
        losses = "".join(f"\t{name}={value:7.5f}" for name, value in named)
        text = (
            f"[step {now.step}]{losses}\tthroughput={speed / 1000:.1f}K tks/s\tlr={now.lr:.7f} "
            f"time={now.seconds:.2f}, latency={numbers['milliseconds_per_step']:.1f} ms/batch, "
            f"peak memory={numbers['memory_gb']:.2f} GB, utilization={100 * used:.0f} %"
        )
        return text, numbers

    return line


def memory_gb(device: torch.device) -> float:
    """Most memory that this process has held, in 1e9 bytes: of the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
