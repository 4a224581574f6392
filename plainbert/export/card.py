"""``README.md`` of an exported model: what it is, how it is run, where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plainbert.export.example import Example
from plainbert.export.manifest import Manifest
from plainbert.export.names import FORMATS, INPUTS
from plainbert.export.program import predict

SHOWN = 30  # labels
WIDTH = 98  # characters of an output's line


def card(manifest: Manifest, folder: Path, example: Example) -> str:
    """The text of the card.

    Args:
        manifest: what the export takes and gives, and its check.
        folder: the export, whose files are listed.
        example: a command of its predict.py, and what it printed.
    """
    paragraphs = [*_use(manifest, example), *_origin(manifest), *_model(manifest, folder)]
    return "\n\n".join(paragraphs) + "\n"


def _use(manifest: Manifest, example: Example) -> Iterator[str]:
    format = FORMATS[manifest.format]
    yield f"# {manifest.task}: a BERT for {format.runtime}"
    what, _ = predict.TASKS[manifest.task]
    yield f"What it gives: {what}."
    yield "## How to run it"
    yield f"    {format.install}\n    {example.command}"
    yield "printed, when this folder was checked:"
    yield "\n".join(f"    {_shortened(line)}" for line in example.lines)
    yield (
        "`python predict.py --file rows.csv --text_columns text` does every row of a table (.csv, "
        ".tsv, .jsonl) or line of a text file, `python predict.py < texts.txt` standard input; "
        "`--help` says more. The folder needs nothing of plainbert."
    )


def _shortened(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[:WIDTH]} ..."


def _origin(manifest: Manifest) -> Iterator[str]:
    origin, numbers = manifest.origin, "int8 matrix products" if manifest.quantized else "float32"
    yield "## Where it comes from"
    data = ", ".join(f"{name} {value}" for name, value in origin.get("data", {}).items())
    scores = "; ".join(
        f"{split}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        for split, values in origin.get("scores", {}).items()
        if values
    )
    versions = ", ".join(f"{name} {value}" for name, value in manifest.versions.items())
    rows = {
        "exported from": f"`{manifest.source}`, {numbers}",
        "fine-tuned from": f"`{origin['base']}`" if origin.get("base") else "",
        "data": data or "not known: see the source",
        "scores": scores or "not known: see the source",
        "licence of the weights": origin.get("licence") or "not known: see the source",
        "date": manifest.date,
        "versions": f"plainbert {manifest.plainbert}, {versions}",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value]
    yield "\n".join(["| | |", "|---|---|", *lines])


def _model(manifest: Manifest, folder: Path) -> Iterator[str]:
    yield "## The model"
    casing = "lower-cased by it" if manifest.lower else "not lower-cased"
    yield (
        f"Inputs: {', '.join(INPUTS)}, each (B, L) for B texts of L tokens. B and L are free, L up "
        f"to {manifest.max_length}, [CLS] and [SEP] among them. `tokenizer.json` makes them of "
        f"text, which is {casing}."
    )
    note = FORMATS[manifest.format].note
    yield f"Output: {manifest.output}." + (f" {note}" if note else "")
    if manifest.labels:
        more = len(manifest.labels) - SHOWN
        rest = f" and {more} more, see `manifest.json`" if more > 0 else ""
        yield f"Labels: {', '.join(manifest.labels[:SHOWN])}{rest}."
    if manifest.pooling:
        pooling = ", ".join(f"{name} {value}" for name, value in manifest.pooling.items())
        yield f"Vectors are made of the tokens' so: {pooling}."
        if prompt := manifest.decoding.get("prompt"):
            yield f"Before every text predict.py puts {prompt!r}; other programs must, too."
        if kept := manifest.decoding.get("truncate_dim"):
            yield f"Of a vector predict.py keeps the first {kept} numbers, the model gives all."
    check = manifest.check
    yield (
        f"Checked when it was written: {check['texts']} texts through this file and through its "
        f"source; largest difference {check['difference']:.1e}, relative error "
        f"{check['error']:.1e}. On that machine {check['exported']:.1f} texts/s, the source in "
        f"torch {check['source']:.1f}."
    )
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    yield "\n".join(
        ["| file | bytes |", "|---|---|"]
        + [f"| `{path.relative_to(folder)}` | {path.stat().st_size:,} |" for path in files]
    )
