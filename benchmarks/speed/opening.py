r"""Opening BERT-base: plainbert against ``safetensors.torch.load_file`` of the same file.

    python -m benchmarks.speed.opening
    python -m benchmarks.speed.opening --model bert_24_1024_16 --repeats 5

load_file only maps the file; nothing of it is read. plainbert maps it too, builds the model, makes
the mapped tensors its parameters, and looks at every value, because weights with NaN in them are
refused. So it is timed beside three things: load_file, load_file with every page touched, and
load_file with every value read once; and with that look left out, which users cannot do.
transformers' ``AutoModel.from_pretrained`` of the same folder stands beside it. Weights are random,
the file lies in the page cache, contenders take turns, medians are reported.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import measure
from benchmarks.measure import RESULTS
from plainbert import files
from plainbert.cli.parser import Flag, Parser
from plainbert.cli.run import run
from plainbert.cli.values import positive_int
from plainbert.config import BertConfig

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAGE = 1024  # float32 numbers in a page of memory


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    for flag, default in (
        (Flag("model", str, "Size, as bert_LAYERS_UNITS_HEADS."), "bert_12_768_12"),
        (Flag("repeats", positive_int, "Timed rounds."), 11),
        (Flag("threads", positive_int, "CPU threads."), 2),
        (
            Flag("output", str, "Result file."),
            str(RESULTS / "speed" / "opening.json"),
        ),
    ):
        parser.add(flag, default)
    args: argparse.Namespace = parser.parse_args(argv)
    return args


def make(folder: Path, config: BertConfig) -> Path:
    """A folder with random weights and a vocabulary of as many words."""
    from plainbert import checkpoint
    from plainbert.nn.bert import Bert
    from plainbert.text.vocab import Vocab
    from plainbert.text.wordpiece import WordPiece

    words = [f"w{row:x}" for row in range(config.vocab_size - len(SPECIAL))]
    tokenizer = WordPiece(Vocab.from_tokens([*SPECIAL, *words]), lower=True)
    return checkpoint.write(folder, Bert(config), tokenizer)


def contenders(folder: Path) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    import torch
    import transformers
    from safetensors.torch import load_file

    from plainbert import checkpoint, model_zoo
    from plainbert.checkpoint import weights
    from plainbert.nn.bert import Bert

    transformers.utils.logging.disable_progress_bar()
    path = folder / "model.safetensors"

    def touched() -> Any:
        tensors = load_file(path)
        for tensor in tensors.values():
            tensor.flatten()[::PAGE].sum()
        return tensors

    def every_value() -> Any:
        tensors = load_file(path)
        for tensor in tensors.values():
            torch.linalg.vector_norm(tensor)
        return tensors

    def ours() -> Any:
        stored = checkpoint.read(folder)
        tensors = stored.tensors()
        with checkpoint.MetaInit():
            model = Bert(stored.config)
        checkpoint.load(model, tensors)
        return model

    def unchecked() -> Any:
        with mock.patch.object(weights, "_check_finite"):
            return ours()

    return {
        "load_file": lambda: load_file(path),
        "load_file, every page touched": touched,
        "load_file, every value read": every_value,
        "plainbert, weights": ours,
        "plainbert, weights, values not looked at": unchecked,
        "plainbert, weights and tokenizer": lambda: model_zoo.open_folder(folder),
        "transformers, weights": lambda: transformers.AutoModel.from_pretrained(folder),
    }


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    import torch

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = make(Path(place) / "model", BertConfig.from_name(args.model))
        size = (folder / "model.safetensors").stat().st_size
        times = measure.interleaved(contenders(folder), args.repeats, warmup=2)
    seconds = {name: measure.median(each) for name, each in times.items()}
    ours = seconds["plainbert, weights"]
    result: dict[str, Any] = {
        "machine": measure.machine(),
        "threads": args.threads,
        "versions": measure.versions("safetensors", "transformers"),
        "model": args.model,
        "file_mb": round(size / 1e6, 1),
        "repeats": args.repeats,
        "milliseconds": {name: round(1e3 * each, 2) for name, each in seconds.items()},
        "plainbert_by": {
            name: round(ours / each, 2)
            for name, each in seconds.items() if not name.startswith("plainbert")
        },
    }  # fmt: skip
    for name, each in seconds.items():
        print(f"{name:42} {1e3 * each:8.2f} ms   plainbert's weights take {ours / each:.2f} of it")
    files.write_json(args.output, result)
    return result


if __name__ == "__main__":
    run(main)
