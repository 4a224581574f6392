r"""int8 ONNX files: what they cost in score, and gain in speed and size, against their peers.

    python -m benchmarks.speed.export_int8
    python -m benchmarks.speed.export_int8 --model_dir runs/spam/best --name export_int8_spam \
        --train_file data/sms_spam/train.tsv --dev_file data/sms_spam/test.tsv \
        --text_columns text --label_column label

By default: sentence vectors of all-MiniLM-L6-v2 on STS-B; the score is the rank correlation of
their cosines with people's judgement. With a fine-tuned classifier (or regression) and labelled
rows, it is the task's own first metric. --calibration rows of --train_file show which values
occur, none of those that are scored. "cosine" compares a row's outputs (vectors or logits) with
those of float32.

Peers, from the same float32 file and rows: ONNX Runtime's quantize_dynamic (per channel), which its
documentation recommends for transformers, and its quantize_static (QDQ, per channel, least and
largest values). "channels as they are" is ours without bringing channels together. All get the same
padded batches of rows of similar length, on --threads threads, each in a process of its own; they
take turns. OpenVINO takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.peers import export as export_peer

FLOAT, OURS = "float32", "int8"
STSB = ROOT / "data" / "glue_data" / "STS-B"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model_dir", default="all-MiniLM-L6-v2", help="(all-MiniLM-L6-v2)")
    parser.add_argument("--train_file", type=Path, default=STSB / "train.tsv")
    parser.add_argument("--dev_file", type=Path, default=STSB / "dev.tsv", help="to be scored")
    parser.add_argument("--text_columns", default="sentence1,sentence2")
    parser.add_argument("--label_column", default="score")
    parser.add_argument("--calibration", type=int, default=200, help="rows (200)")
    parser.add_argument("--max_samples", type=int, help="rows that are scored (default: all)")
    parser.add_argument("--batch", type=int, default=32, help="rows of a batch (32)")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each (5)")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (2)")
    parser.add_argument(
        "--name", default="export_int8", help="results/speed/NAME.json (export_int8)"
    )
    return parser.parse_args(argv)


def write(source: Any, home: Path, rows: Sequence[tuple[str, ...]]) -> dict[str, tuple[str, str]]:
    """Every file to compare: name to runtime and path."""
    from plainbert.batching.features import featurize
    from plainbert.export.onnx import format, ranges
    from plainbert.export.onnx.format import ONNXFormat

    share, writer = ranges.SHARE, ONNXFormat(int8=True, calibration=tuple(rows))
    for place, value in (("plain", 0.0), ("ours", share)):
        (home / place).mkdir()
        ranges.SHARE = value
        writer.write(source, home / place)
    logging.getLogger().setLevel(logging.ERROR)  # quantize_* warn about their own defaults
    whole, small = home / "ours" / format.MODEL, home / "ours" / format.INT8
    dynamic, static = home / "dynamic.onnx", home / "static.onnx"
    quantize_as_peer(whole, dynamic, static, featurize(source.tokenizer, rows, source.max_length))
    words = {
        FLOAT: ("onnxruntime", whole),
        OURS: ("onnxruntime", small),
        "int8, channels as they are": ("onnxruntime", home / "plain" / format.INT8),
        "quantize_dynamic": ("onnxruntime", dynamic),
        "quantize_static": ("onnxruntime", static),
    }
    if importlib.util.find_spec("openvino"):
        words["float32 in OpenVINO"] = ("openvino", whole)
        words["bfloat16 in OpenVINO"] = ("openvino-bf16", whole)
        words["int8 in OpenVINO"] = ("openvino", small)
    return {name: (runtime, str(path)) for name, (runtime, path) in words.items()}


def quantize_as_peer(model: Path, dynamic: Path, static: Path, features: Any) -> None:
    """With the tools of ONNX Runtime."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            path = model.with_name("calibration.npz")
            export_peer.save(path, features, 1)
            self.rows = iter(export_peer.load(str(path)))

        def get_next(self) -> export_peer.Batch | None:
            return next(self.rows, None)

    quantize_dynamic(model, dynamic, per_channel=True, weight_type=QuantType.QInt8)
    quantize_static(
        model,
        static,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=["Gemm", "MatMul"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def score(task: Any, labels: NDArray[Any], found: NDArray[Any], vectors: bool) -> float:
    """In points: out of 100."""
    from plainbert.tasks.classification import scores as rows

    if vectors:
        one, two = np.split(found, 2)
        return 100 * rows.compute(["spearman"], (one * two).sum(1), labels)["spearman"]
    chosen = found.argmax(1) if task.labels else found[:, 0]
    return 100 * rows.compute(task.metrics[:1], chosen, labels)[task.metrics[0]]


def cosine(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
    """Of rows."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return np.asarray((one * two).sum(1) / lengths)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run."""
    args = parse_args(argv)
    from plainbert import model_zoo
    from plainbert.batching.features import featurize
    from plainbert.export.source import source_of
    from plainbert.nn.pooling import Pooling
    from plainbert.tasks.classification.table import REGRESSION, TableTask

    opened = model_zoo.open_folder(args.model_dir)
    vectors = opened.head == "embedding"
    source = source_of(opened, args.model_dir, Pooling(normalize=True) if vectors else None)
    labels = opened.model.config.id2label if opened.head == "classification" else None
    task = TableTask(
        args.train_file,
        args.dev_file,
        None,
        args.text_columns,
        args.label_column,
        labels=labels or REGRESSION,
    )
    train, dev = (task.read(split).examples for split in ("train", "dev"))
    dev = dev[: args.max_samples]
    places = np.linspace(0, len(train) - 1, min(args.calibration, len(train))).astype(int)
    rows = [train[place].texts for place in places]
    texts = [row.texts for row in dev]
    if vectors:
        rows = [(text,) for row in rows for text in row]
        texts = [(row[place],) for place in (0, 1) for row in texts]
    gold = np.array([task.label_id(str(row.label)) if labels else float(row.label) for row in dev])  # type: ignore[arg-type]
    features = featurize(opened.tokenizer, texts, source.max_length)
    result: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        words = write(source, home, rows)
        groups = export_peer.save(home / "batches.npz", features, args.batch)
        order = np.concatenate(groups).argsort()
        with export_peer.started(words, home / "batches.npz", args.threads) as contenders:
            found = {
                name: np.concatenate(export_peer.outputs(each, home))[order]
                for name, each in contenders.items()
            }
            seconds = export_peer.median_seconds(contenders, len(groups), args.repeats)
        sizes = {name: Path(path).stat().st_size for name, (_, path) in words.items()}
    base = score(task, gold, found[FLOAT], vectors)
    for name, output in found.items():
        alike, points = cosine(output, found[FLOAT]), score(task, gold, output, vectors)
        result[name] = {
            "score": round(points, 2), "points_lost": round(base - points, 2),
            "cosine_mean": round(float(alike.mean()), 5),
            "cosine_min": round(float(alike.min()), 5),
            "rows_per_second": round(len(texts) / seconds[name], 1),
            "times_float32": round(seconds[FLOAT] / seconds[name], 2),
            "megabytes": round(sizes[name] / 1e6, 1),
        }  # fmt: skip
        print(f"{name:28} {result[name]}")
    packages = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name)]
    measure.save(
        args.name,
        {
            "versions": measure.versions("onnx", "onnxscript", *packages),
            "model": args.model_dir,
            "metric": "spearman" if vectors else task.metrics[0],
            "file": args.dev_file.name,
            "rows": len(dev),
            "calibration": len(rows),
            "mean_tokens": round(float(features.lengths.mean()), 1),
            "batch": args.batch,
            "threads": args.threads,
            "repeats": args.repeats,
            "variants": result,
        },
    )
    return result


if __name__ == "__main__":
    main()
