r"""Every task in every format: how far each runtime is from the model, and its speed beside torch.

    python -m benchmarks.speed.export_formats --mxnet .mx/bin/python --tensorflow .tf/bin/python

Needs OpenVINO (``make test-openvino``), a C++ compiler, and the two environments (``make
test-mxnet test-tensorflow`` make them); ``--only`` leaves ways out. The heads are drawn new, so
this shows that runtimes agree, not what int8 costs a task: ``export_tasks.py`` does.

Each model is exported as ``scripts/export/export.py`` does it and checked by the same code, on
texts from all over --file. Speeds are the check's: padded batches of 8 texts, ours in torch with
the same padding. "difference" is the largest one, relative to 1 or, above it, to the output;
"error" the length of all differences relative to that of the outputs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks import measure
from benchmarks.measure import ROOT
from plainbert import model_zoo
from plainbert.export import bundle
from plainbert.export.check import check
from plainbert.export.format import Format
from plainbert.export.mxnet.format import MXNetFormat
from plainbert.export.names import TASKS
from plainbert.export.onnx import openvino
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.savedmodel.format import SavedModelFormat
from plainbert.export.source import Source, source_of
from plainbert.export.torch.format import TorchFormat
from plainbert.text.samples import spread

LABELS = {"classification": ("no", "yes"), "ner": ("O", "B-place", "I-place")}


WAYS: dict[str, Format] = {
    "MXNet": MXNetFormat(),
    "MXNet, fused": MXNetFormat(fused=True),
    "ONNX": ONNXFormat(),
    "ONNX, int8": ONNXFormat(int8=True),
    "TensorFlow": SavedModelFormat(),
    "torch.export": TorchFormat(),
    "AOTInductor": TorchFormat(compiled=True),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sample = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
    parser.add_argument("--model_dir", default="all-MiniLM-L6-v2", help="(all-MiniLM-L6-v2)")
    parser.add_argument("--file", type=Path, default=sample, help="text, a line each")
    parser.add_argument("--max_samples", type=int, default=200, help="lines that are used (200)")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--mxnet", help="Python that has MXNet (.mx)")
    parser.add_argument("--tensorflow", help="Python that has TensorFlow (.tf)")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (2)")
    return parser.parse_args(argv)


def export_one(
    source: Source, name: str, texts: Sequence[tuple[str, ...]], args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Export one model one way; what came of the check, in each runtime that opens it."""
    format = WAYS[name]
    if isinstance(format, MXNetFormat):
        format = replace(format, python=args.mxnet)
    elif isinstance(format, SavedModelFormat):
        format = replace(format, python=args.tensorflow)
    elif isinstance(format, ONNXFormat):
        format = replace(format, calibration=tuple(texts))
    with tempfile.TemporaryDirectory() as home:
        folder, start = Path(home) / "exported", perf_counter()
        written = bundle.export(source, folder, format, texts=texts, threads=args.threads)
        seconds = round(perf_counter() - start, 1)
        found = {name: {**written.check, "export_seconds": seconds}}
        if isinstance(format, ONNXFormat):
            with openvino.open_runner(folder, args.threads, int8=format.int8) as runner:
                other = check(source, runner, texts, format.int8)
            found[name.replace("ONNX", "ONNX in OpenVINO")] = vars(other)
    return {way: {key: short(value) for key, value in each.items()} for way, each in found.items()}


def short(value: float) -> float:
    """Three digits."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run."""
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    lines = [line for line in args.file.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = [(line,) for line in spread(lines, args.max_samples)]
    result: dict[str, dict[str, Any]] = {}
    for task, head in TASKS.items():
        result[task] = {}
        for way in args.only:
            torch.manual_seed(0)  # the same new head each time
            opened = model_zoo.open_folder(
                args.model_dir, head, LABELS.get(task), fresh_head=head != "embedding"
            )
            for name, found in export_one(source_of(opened, task), way, texts, args).items():
                result[task][name] = found
                print(f"{task:18} {name:24} {found}", flush=True)
    measure.save(
        "export_formats",
        {
            "versions": measure.versions("onnx", "onnxruntime", "openvino"),
            "model": args.model_dir,
            "file": args.file.name,
            "texts": len(texts),
            "threads": args.threads,
            "tasks": result,
        },
    )
    return result


if __name__ == "__main__":
    main()
