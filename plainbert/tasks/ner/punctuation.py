"""Text to rows for learning punctuation: lower-case words, and the mark that follows each.

The words of a document come in rows of a fixed number, wherever sentences begin and end, as a
recogniser of speech gives them: a row that ended with a sentence would give its last mark away.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from plainbert import files, folders
from plainbert.corpus import documents
from plainbert.errors import UsageError
from plainbert.tasks.ner.sentence_marks import COMMA, LABELS, WITHIN_WORDS
from plainbert.text.marks import JOINERS, MARKS

NONE = "O"
SPLITS = ("train", "dev", "test")
NAMES = tuple(f"{split}.tsv" for split in SPLITS)
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LATIN = "\\x00-\u02ff"  # passed over first: the class of all marks is slow to look at
_EXTENSION = rf"(?:\u00ad|(?![{_LATIN}])[{MARKS}{JOINERS}{WITHIN_WORDS}])"  # and the soft hyphen
_LETTER = rf"[^\W\d_]{_EXTENSION}*"
_LETTERS = rf"(?:(?![{_LATIN}])[{MARKS}]+)?[^\W_{_IDEOGRAPH}]+(?:{_EXTENSION}+[^\W_{_IDEOGRAPH}]*)*"
_TOKEN = re.compile(
    rf"(?=\S)(?:(?P<word>\d+(?:[.,:\u066b\u066c]\d+)+|(?:{_LETTER}\.)+{_LETTER}(?!\w)"
    rf"|[{_IDEOGRAPH}]{_EXTENSION}*"
    rf"|{_LETTERS}(?:['’\-\u00b7\u05be\u05f3\u05f4\u2010\u2011]{_LETTERS})*)"
    rf"|(?P<mark>--+|[\u00b7{re.escape(''.join(LABELS))}]))"
)
_WITHIN = re.compile(f"[{WITHIN_WORDS}]")
# Unicode makes a semicolon and a middle dot of the signs that Greek has for these.
_OF_GREEK = {";": LABELS["?"], "\u00b7": COMMA}
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
# Words whose full stop does not end a sentence, where more words follow on their line.
_SHORT = frozenset(
    {
        "mr", "mrs", "ms", "messrs", "mme", "mlle", "dr", "st", "rev", "hon", "esq", "prof",
        "capt", "col", "gen", "lieut", "lt", "sgt", "jr", "sr", "inc", "ltd", "vol", "vols",
        "chap", "pp", "viz", "vs", "jan", "feb", "aug", "sept", "oct", "nov",
    }
)  # fmt: skip


@dataclass(frozen=True)
class PunctuationSummary:
    """What was written.

    Attributes:
        documents: of the text.
        rows: of each split.
        labels: how many words of each split have which label.
    """

    documents: int
    rows: dict[str, int]
    labels: dict[str, dict[str, int]]


def labelled(line: str) -> list[tuple[str, str]]:
    """The words of a line, lower-cased, each with the label of the first mark behind it.

    Quotation marks and brackets do not count. The full stop of an abbreviation or an initial, or
    one before a small letter, ends no sentence.

    Example:
        >>> labelled('"Well," said Mr. Lee, "is it 3.5?" -- "No!"')[:4]
        [('well', 'C'), ('said', 'O'), ('mr', 'O'), ('lee', 'C')]
    """
    words: list[tuple[str, str]] = []
    tokens = list(_TOKEN.finditer(line))
    for place, token in enumerate(tokens):
        if token["word"]:
            within = _WITHIN.search(token["word"])
            word = _WITHIN.sub("", token["word"]).lower().replace("’", "'")
            words.append((word, LABELS[within[0]] if within else NONE))
            continue
        if not words or words[-1][1] != NONE:
            continue
        word = words[-1][0]
        label = LABELS.get(token["mark"], COMMA)
        if token["mark"] in _OF_GREEK:
            label = (
                _OF_GREEK[token["mark"]] if _GREEK.search(word) else LABELS.get(token["mark"], NONE)
            )
        after = next((other["word"] for other in tokens[place:] if other["word"]), None)
        if token["mark"] == "." and after is not None:
            short = word in _SHORT or "." in word or (len(word) == 1 and word.isascii())
            label = NONE if short or after[0].islower() else label
        words[-1] = (word, label)
    return words


def rows_of(lines: Iterable[str], size: int) -> Iterator[list[tuple[str, str]]]:
    """The words of a document, ``size`` to a row; the last row has the rest."""
    row: list[tuple[str, str]] = []
    for line in lines:
        row += labelled(line)
        while len(row) >= size:
            yield row[:size]
            del row[:size]
    if row:
        yield row


def split_of(lines: Sequence[str], dev_share: float, test_share: float) -> str:
    """The split of a document, decided by its text alone: the same text is in one split only."""
    digest = hashlib.sha256("\n".join(lines).casefold().encode("utf-8", "surrogatepass"))
    place = int.from_bytes(digest.digest()[:4], "big") / 2**32
    if place < test_share:
        return "test"
    return "dev" if place < test_share + dev_share else "train"


def check_folder(folder: str | Path, overwrite: bool) -> None:
    """Finish what was killed, and refuse a folder with files that may not be replaced.

    Raises:
        UsageError: there are such files, and ``overwrite`` is false.
    """
    folders.finish(folder)
    there = [name for name in NAMES if (Path(folder) / name).exists()]
    if there and not overwrite:
        raise UsageError(
            f"--output_dir {folder} holds {there[0]}. Add --overwrite, or choose another folder."
        )


def write(
    paths: Sequence[Path],
    folder: str | Path,
    size: int = 100,
    dev_share: float = 0.05,
    test_share: float = 0.05,
    seed: int = 0,
) -> PunctuationSummary:
    """Write ``train.tsv``, ``dev.tsv`` and ``test.tsv``: words, a tab, labels.

    They appear together; older ones go, also one that a share of 0 leaves out.

    Args:
        paths: a sentence or a paragraph a line, a blank line between documents.
        folder: created if need be.
        size: words of a row.
        dev_share: share of the documents that are for choosing a model, in [0, 1).
        test_share: share of the documents that are for testing it, in [0, 1).
        seed: of the order of the rows, so that the first ones are a sample of all.

    Raises:
        UsageError: the shares leave nothing to train on, or a split got no document.
        DataError: a file cannot be read.
    """
    if dev_share + test_share >= 1:
        raise UsageError(
            f"dev_share {dev_share} and test_share {test_share} leave nothing to train on."
        )
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    count = 0
    lines = (line for piece in documents.pieces(paths) for line in documents.lines_of(piece))
    for full, group in groupby(lines, key=bool):
        if not full:
            continue
        count += 1
        document = list(group)
        split = split_of(document, dev_share, test_share)
        for row in rows_of(document, size):
            words, tags = zip(*row, strict=True)
            rows[split].append(f"{' '.join(words)}\t{' '.join(tags)}\n")
            labels[split].update(tags)
    shares = {"train": 1.0, "dev": dev_share, "test": test_share}
    if empty := [split for split in SPLITS if shares[split] and not rows[split]]:
        raise UsageError(
            f"{' and '.join(empty)} got none of the {count} document(s). A blank line ends a "
            "document; give more text, or a share of 0."
        )
    with folders.published(folder, NAMES) as work:
        for split in SPLITS:
            random.Random(f"{seed} {split}").shuffle(rows[split])
            if rows[split]:
                files.write_text(work / f"{split}.tsv", "".join(rows[split]))
    return PunctuationSummary(
        count,
        {split: len(rows[split]) for split in SPLITS},
        {split: dict(labels[split].most_common()) for split in SPLITS},
    )
