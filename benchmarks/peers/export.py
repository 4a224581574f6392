"""What speed/export_onnx.py and speed/export_int8.py share: one runtime with one exported model.

It is started by them, as a process of its own, with a file of padded batches. A turn is a line on
standard input: a number N makes it run the first N batches and print the seconds; a path makes it
write the outputs of all batches there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from plainbert import text_files

Batch = dict[str, NDArray[Any]]
Run = Callable[[Batch], NDArray[Any]]
NAMES = ("input_ids", "token_type_ids", "attention_mask")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("runtime", choices=tuple(RUNTIMES))
    parser.add_argument("model", help="ONNX file, or folder of a checkpoint")
    parser.add_argument("batches", help="from save()")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(argv)


def onnxruntime(path: str, threads: int) -> Run:
    """As its documentation opens a file."""
    import onnxruntime as runtime

    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    session = runtime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, batch)[0]


def openvino(path: str, threads: int, **more: str) -> Run:
    """In float32 throughout, where the file is."""
    import openvino as runtime

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **more}
    settings.setdefault("INFERENCE_PRECISION_HINT", "f32")
    request = runtime.Core().compile_model(path, "CPU", settings).create_infer_request()

    def run(batch: Batch) -> NDArray[Any]:
        request.infer(batch)
        return np.array(request.get_output_tensor(0).data)

    return run


def transformers(folder: str, threads: int) -> Run:
    """The model as transformers runs it."""
    import torch

    torch.set_num_threads(threads)
    model = transformers_module(folder)

    def run(batch: Batch) -> NDArray[Any]:
        with torch.inference_mode():
            scores: NDArray[Any] = model(*(torch.from_numpy(batch[n]) for n in NAMES)).numpy()
        return scores

    return run


def transformers_module(folder: str) -> Any:
    """The peer's model over padded tensors, with logits, or normalised means of the vectors."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    headed = "Classification" in str(AutoConfig.from_pretrained(folder).architectures)

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kind: Any = AutoModelForSequenceClassification if headed else AutoModel
            self.model = kind.from_pretrained(folder)

        def forward(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> Any:
            found = self.model(input_ids=ids, token_type_ids=types, attention_mask=mask)
            if headed:
                return found.logits
            share = mask[..., None].to(found.last_hidden_state.dtype)
            mean = (found.last_hidden_state * share).sum(1) / share.sum(1)
            return torch.nn.functional.normalize(mean, dim=-1)

    return Module().eval()


def plainbert(folder: str, threads: int) -> Run:
    """Our own runtime, on the same batches without their padding."""
    import torch

    from plainbert import model_zoo
    from plainbert.infer.prepare import prepare
    from plainbert.nn.layout import Packed
    from plainbert.nn.pooling import pool

    torch.set_num_threads(threads)
    opened = model_zoo.open_folder(folder)
    ready: Any = prepare(opened.model)

    def run(batch: Batch) -> NDArray[Any]:
        real = batch["attention_mask"] > 0
        ids, types = (torch.from_numpy(batch[name][real]) for name in NAMES[:2])  # (T,)
        layout = Packed(real.sum(1).tolist())
        with torch.inference_mode():
            if opened.head != "embedding":
                found = ready(ids, types, layout)
            else:
                hidden = ready(ids, types, layout=layout, pool=False).hidden
                found = torch.nn.functional.normalize(pool("mean", hidden, layout))
        scores: NDArray[Any] = found.numpy()
        return scores

    return run


RUNTIMES: dict[str, Callable[[str, int], Run]] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "openvino-bf16": lambda path, threads: openvino(path, threads, INFERENCE_PRECISION_HINT="bf16"),
    "transformers": transformers,
    "plainbert": plainbert,
}


def save(path: Path, features: Any, rows: int) -> list[NDArray[np.int64]]:
    """Write padded batches of rows of similar length; the rows of each."""
    order = np.argsort(features.lengths, kind="stable")
    groups = [order[first : first + rows] for first in range(0, len(order), rows)]
    groups = [groups[place] for place in np.random.default_rng(0).permutation(len(groups))]
    arrays: dict[str, NDArray[Any]] = {}
    for number, group in enumerate(groups):
        part = features.take(group)
        real = np.arange(part.lengths.max()) < part.lengths[:, None]
        for name, values in zip(NAMES, (part.ids, part.types, np.ones(real.sum())), strict=True):
            padded = np.zeros(real.shape, np.int64)
            padded[real] = values
            arrays[f"{number}.{name}"] = padded
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return groups


def load(path: str) -> list[Batch]:
    """Read what :func:`save` wrote."""
    with np.load(path) as arrays:
        count = len(arrays.files) // len(NAMES)
        return [{name: arrays[f"{place}.{name}"] for name in NAMES} for place in range(count)]


def sentences(path: Path, most: int) -> list[tuple[str, ...]]:
    """Sentences of a text, or the column "text" of a TSV, at even distances."""
    lines = [line for _, line in text_files.read_lines(path)]
    if path.suffix == ".tsv":
        column = lines[0].split("\t").index("text")
        found = [line.split("\t")[column] for line in lines[1:]]
    else:
        parts = (part for line in lines for part in re.split(r"(?<=[.!?])\s+", line))
        found = [part.strip() for part in parts if len(part.split()) > 2]
    places = np.linspace(0, len(found) - 1, min(most, len(found))).astype(int)
    return [(found[place],) for place in places]


@contextmanager
def started(
    words: dict[str, tuple[str, str]], batches: Path, threads: int
) -> Iterator[dict[str, measure.Contender]]:
    """A process for every runtime and model, by name."""
    found: dict[str, measure.Contender] = {}
    try:
        for name, (runtime, model) in words.items():
            given = [
                "benchmarks.peers.export",
                runtime,
                model,
                str(batches),
                "--threads",
                str(threads),
            ]
            found[name] = measure.Contender(name, given, OMP_NUM_THREADS=str(threads))
        yield found
    finally:
        for each in found.values():
            each.close()


def median_seconds(
    contenders: dict[str, measure.Contender], number: int, repeats: int
) -> dict[str, float]:
    """Median seconds of every contender on its first batches; the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(1 + repeats):
        for name, contender in contenders.items():
            value = contender.run(number)["seconds"]
            if turn:
                seconds[name].append(value)
    return {name: measure.median(values) for name, values in seconds.items()}


def outputs(contender: measure.Contender, folder: Path) -> list[NDArray[Any]]:
    """Of every batch."""
    path = folder / "outputs.npz"
    contender.run(path)
    with np.load(path) as arrays:
        return [arrays[f"arr_{place}"] for place in range(len(arrays.files))]


def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    args = parse_args(argv)
    batches = load(args.batches)
    run = RUNTIMES[args.runtime](args.model, args.threads)
    run(batches[0])
    print("ready", flush=True)
    for line in sys.stdin:
        turn = line.strip()
        if turn.isdecimal():
            chosen = batches[: int(turn)]
            start = time.perf_counter()
            for batch in chosen:
                run(batch)
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
        else:
            np.savez(turn, *(run(batch) for batch in batches))
            print(json.dumps({"written": turn}), flush=True)


if __name__ == "__main__":
    main()
