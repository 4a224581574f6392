"""Our ONNX files in ONNX Runtime and OpenVINO, against the usual export of the same weights.

    python -m benchmarks.speed.export_onnx
    python -m benchmarks.speed.export_onnx --model_dir runs/spam/best --file data/sms_spam/test.tsv

Peers: the model in transformers (float32, as it opens), and its module through
``torch.onnx.export(dynamo=True)`` with that function's defaults, in ONNX Runtime and in OpenVINO.
Our own runtime in torch stands beside them. All get the same token ids, in batches of --batch rows
of similar length, and one text at a time; tokenising is not timed. Each is a process of its own;
they take turns. --model_dir is an encoder (sentence vectors: normalised means) or a classifier.
OpenVINO takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.peers import export as export_peer

PEER = "transformers' export"
SINGLES = 100  # texts of a turn, one at a time


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    sample = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
    parser.add_argument("--model_dir", default="all-MiniLM-L6-v2", help="(all-MiniLM-L6-v2)")
    parser.add_argument("--file", type=Path, default=sample, help="text, or a TSV's column text")
    parser.add_argument("--max_samples", type=int, default=1024, help="texts (1024)")
    parser.add_argument("--max_len", type=int, default=256, help="tokens of a text at most (256)")
    parser.add_argument("--batch", type=int, default=32, help="texts of a batch (32)")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each (5)")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (2)")
    parser.add_argument(
        "--name", default="export_onnx", help="results/speed/NAME.json (export_onnx)"
    )
    return parser.parse_args(argv)


def export_peers_module(folder: str, path: Path) -> None:
    """What one gets without us."""
    import torch

    module = export_peer.transformers_module(folder)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    sample = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in range(3))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            sample,
            dynamo=True,
            dynamic_shapes=(sizes,) * 3,
            verbose=False,
            input_names=list(export_peer.NAMES),
            output_names=["scores"],
        )
    assert program is not None
    program.save(str(path), external_data=False)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run."""
    args = parse_args(argv)
    from plainbert import model_zoo
    from plainbert.batching.features import featurize
    from plainbert.export.onnx.format import ONNXFormat
    from plainbert.export.source import source_of
    from plainbert.nn.pooling import Pooling

    folder = str(model_zoo.resolve(args.model_dir))
    opened = model_zoo.open_folder(folder)
    pooling = Pooling(normalize=True) if opened.head == "embedding" else None
    source = source_of(opened, args.model_dir, pooling)
    texts = export_peer.sentences(args.file, args.max_samples)
    features = featurize(opened.tokenizer, texts, min(args.max_len, source.max_length))
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        ONNXFormat().write(source, home)
        export_peers_module(folder, home / "peer.onnx")
        batches, singles = home / "batches.npz", home / "singles.npz"
        count = len(export_peer.save(batches, features, args.batch))
        alone = len(export_peer.save(singles, features.take(np.arange(len(texts))[:SINGLES]), 1))
        words = {
            "transformers": ("transformers", folder),
            f"{PEER} in ONNX Runtime": ("onnxruntime", str(home / "peer.onnx")),
            "ours in ONNX Runtime": ("onnxruntime", str(home / "model.onnx")),
            "plainbert": ("plainbert", folder),
        }
        if importlib.util.find_spec("openvino"):
            words[f"{PEER} in OpenVINO"] = ("openvino", str(home / "peer.onnx"))
            words["ours in OpenVINO"] = ("openvino", str(home / "model.onnx"))
        result: dict[str, dict[str, Any]] = {name: {} for name in words}
        with export_peer.started(words, batches, args.threads) as contenders:
            wanted = export_peer.outputs(contenders["transformers"], home)
            for name, contender in contenders.items():
                pairs = zip(wanted, export_peer.outputs(contender, home), strict=True)
                apart = max(float(np.abs(one - two).max()) for one, two in pairs)
                result[name]["largest_difference"] = float(f"{apart:.1e}")
            for name, seconds in export_peer.median_seconds(
                contenders, count, args.repeats
            ).items():
                result[name]["rows_per_second"] = round(len(texts) / seconds, 1)
        with export_peer.started(words, singles, args.threads) as contenders:
            for name, seconds in export_peer.median_seconds(
                contenders, alone, args.repeats
            ).items():
                result[name]["one_row_ms"] = round(1e3 * seconds / alone, 2)
    for name, row in result.items():
        print(f"{name:40} {row}")
    packages = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name)]
    measure.save(
        args.name,
        {
            "versions": measure.versions("transformers", "onnx", "onnxscript", *packages),
            "model": args.model_dir,
            "file": args.file.name,
            "texts": len(texts),
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
