r"""What int8 costs a fine-tuned model: score and speed of every runtime, on the task itself.

    python -m benchmarks.speed.export_tasks spam --model_dir runs/spam/best \
        --file data/sms_spam/train.tsv --text_columns text \
        --dev_file data/sms_spam/test.tsv
    python -m benchmarks.speed.export_tasks wnut17 --model_dir runs/ner/best --file TEXTS \
        --dev_file ner_wnut17/emerging.test.annotated
    python -m benchmarks.speed.export_tasks squad --model_dir runs/squad/best --file PAIRS \
        --text_columns question,context --dev_file squad/dev-v1.1.json --max_eval_samples 1000

TEXTS are the sentences of ``wnut17train.conll``, a line each, words joined by a space; PAIRS is a
TSV of questions and contexts of ``train-v1.1.json``, 400 at even distances.

The first word names the entry in ``results/speed/export_tasks.json``. The model is exported by the
code of ``scripts/export/export.py --format onnx --int8`` with 200 rows of --file, then scored as
``--evaluate`` scores it: in ONNX Runtime and in OpenVINO, float32 and int8. "ours" is the model
before the export, in our own runtime. All get the same batches, and take turns --repeats times; a
turn is a whole evaluation of rows that were tokenised before, with the search for answers or
entities.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure
from plainbert import files, model_zoo
from plainbert.export.exported import Exported
from plainbert.export.manifest import Manifest
from plainbert.export.onnx import openvino
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.runner import Runner
from plainbert.infer.prepare import prepare
from plainbert.recipes import export
from plainbert.recipes.shared import evaluate_export

NAME, FLOAT = "speed/export_tasks", "float32 in ONNX Runtime"
RUNTIMES: dict[str, Callable[[Path, int], Runner]] = {
    FLOAT: ONNXFormat().open_runner,
    "int8 in ONNX Runtime": ONNXFormat(int8=True).open_runner,
    "float32 in OpenVINO": openvino.open_runner,
    "int8 in OpenVINO": partial(openvino.open_runner, int8=True),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("task", help="what to call it in the results")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--file", required=True, help="texts for calibration")
    parser.add_argument("--text_columns", help="of --file and --dev_file")
    parser.add_argument("--label_column", default="label", help="of --dev_file (label)")
    parser.add_argument("--dev_file", required=True, help="to be scored")
    parser.add_argument("--max_eval_samples", help="rows that are scored (all)")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns of each (3)")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (2)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run."""
    args = parse_args(argv)
    columns = ["--text_columns", args.text_columns] if args.text_columns else []
    torch.set_num_threads(args.threads)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "exported"
        export.main(
            [
                "--model_dir",
                args.model_dir,
                "--format",
                "onnx",
                "--int8",
                "--file",
                args.file,
                "--output_dir",
                str(folder),
                "--threads",
                str(args.threads),
                *columns,
            ]
        )
        limit = ["--max_eval_samples", args.max_eval_samples] if args.max_eval_samples else []
        words = export.parse_args(
            ["--evaluate", str(folder), "--dev_file", args.dev_file, "--label_column",
             args.label_column, *columns, *limit]
        )  # fmt: skip
        manifest, opened = Manifest.read(folder), model_zoo.open_folder(args.model_dir)
        models: dict[str, Any] = {"ours": prepare(opened.headed)}
        for name, open_runner in RUNTIMES.items():
            runner = stack.enter_context(open_runner(folder, args.threads))
            models[name] = Exported(runner, opened.model.config, opened.head, manifest.max_length)
        evaluation, rows = evaluate_export.evaluation_of(
            words, manifest, models[FLOAT], opened.tokenizer
        )
        scores = {name: evaluation(model)["dev"] for name, model in models.items()}
        turns: dict[str, Callable[[], Any]] = {
            name: partial(evaluation, model) for name, model in models.items()
        }
        seconds = measure.interleaved(turns, args.repeats, warmup=0)
    percent = 1 if opened.head == "question_answering" else 100  # SQuAD's scores are percent
    found = {
        name: {
            **{key: round(percent * value, 2) for key, value in scores[name].items()},
            "rows_per_second": round(rows / measure.median(seconds[name]), 1),
            "times_float32": round(
                measure.median(seconds[FLOAT]) / measure.median(seconds[name]), 2
            ),
        }
        for name in models
    }
    for name, each in found.items():
        print(f"{name:24} {each}")
    path = measure.RESULTS / f"{NAME}.json"
    before = files.read_json(path)["tasks"] if path.exists() else {}
    entry = {
        "rows": rows, "threads": args.threads, "repeats": args.repeats, "runtimes": found
    }  # fmt: skip
    measure.save(
        NAME,
        {
            "versions": measure.versions("onnxruntime", "openvino"),
            "tasks": {**before, args.task: entry},
        },
    )
    return found


if __name__ == "__main__":
    main()
