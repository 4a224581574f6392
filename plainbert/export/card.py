"""``README.md`` of an exported model: what it is, what it takes and gives, how it was checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plainbert.export.manifest import Manifest
from plainbert.export.names import FORMATS, INPUTS

SHOWN = 30  # labels


def card(manifest: Manifest, folder: Path) -> str:
    """The text of the card.

    Args:
        manifest: what the export takes and gives, and its check.
        folder: the export, whose files are listed.
    """
    return "\n\n".join(_paragraphs(manifest, folder)) + "\n"


def _paragraphs(manifest: Manifest, folder: Path) -> Iterator[str]:
    numbers = "int8 matrix products" if manifest.quantized else "float32"
    yield f"# {manifest.task}: a BERT for {FORMATS[manifest.format].runtime}"
    yield f"Exported from `{manifest.source}` by plainbert {manifest.plainbert}, {numbers}."
    yield '    python predict.py "a text"'
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
