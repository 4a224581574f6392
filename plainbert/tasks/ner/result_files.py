"""What users get back from a tagger: scores; columns, rows, or entities as JSON Lines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert.containers import tables
from plainbert.errors import DataError
from plainbert.tasks.ner import conll, escaped, scores
from plainbert.tasks.ner.conll import Sentence
from plainbert.tasks.ner.decode import Tagging
from plainbert.tasks.ner.tags import TagSet, convert


def comparable(names: Sequence[str], tags: TagSet) -> list[str]:
    """Tags in the one scheme in which they are compared and written: IOB2, or plain labels."""
    return convert(names, "iob2") if tags.entities else list(names)


def score(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], tags: TagSet
) -> dict[str, float]:
    """Scores of predictions, see :mod:`plainbert.tasks.ner.scores`.

    Args:
        predicted: tags of each sentence, in any scheme.
        gold: the right ones, in any scheme.
        tags: the tags that the model learned.
    """
    count = scores.score if tags.entities else scores.score_labels
    return count(*([comparable(names, tags) for names in side] for side in (predicted, gold)))


def report(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], tags: TagSet
) -> scores.Report:
    """Scores by type of entity, or by label.

    Args:
        predicted: tags of each sentence, in any scheme.
        gold: the right ones, in any scheme.
        tags: the tags that the model learned.
    """
    count = scores.report if tags.entities else scores.report_labels
    return count(*([comparable(names, tags) for names in side] for side in (predicted, gold)))


def table(
    sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]], suffix: str, tags: TagSet
) -> str:
    """Words and predicted tags as a file's content; reading it gives the same words and tags.

    Words that hold blanks make columns between tabs of either form; where even those would be read
    as something else, :mod:`plainbert.tasks.ner.escaped` says how they are written.

    Args:
        sentences: with their own tags, or without.
        predicted: the tags of each.
        suffix: ".tsv": words, a tab, predicted tags; else columns: word, the sentence's own tag
            where it has one, predicted tag, as conlleval takes them.
        tags: the tags that the model learned.
    """
    rows = [
        (sentence, comparable(names, tags))
        for sentence, names in zip(sentences, predicted, strict=True)
    ]
    columns: list[list[Sequence[str]]] = []
    for sentence, names in rows:
        own = [] if sentence.tags is None else [comparable(sentence.tags, tags)]
        columns.append([sentence.words, *own, names])
    contents = [_columns(columns, " "), _columns(columns, "\t")]
    if suffix == ".tsv":
        lines = (f"{' '.join(sentence.words)}\t{' '.join(names)}\n" for sentence, names in rows)
        contents[0] = "".join(lines)
    right = [(tuple(sentence.words), tuple(names)) for sentence, names in rows if sentence.words]
    for content in contents:
        if right == _read_again(content, suffix):
            return content
    return escaped.table(part for part in columns if part[0])


def _columns(columns: Sequence[Sequence[Sequence[str]]], joint: str) -> str:
    """A word a line, an empty line after each sentence."""
    parts = []
    for part in columns:
        parts += [joint.join(row) + "\n" for row in zip(*part, strict=True)]
        parts.append("\n")
    return "".join(parts)


def _read_again(content: str, suffix: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Words and tags that a file of this content would be taken to hold; [] for none."""
    lines = re.split(r"\r\n|\r|\n", content)
    try:
        data = conll.of_lines(list(enumerate(lines, start=1)), Path(f"again{suffix}"))
    except DataError:
        return []
    return [(sentence.words, sentence.tags or ()) for sentence in data.sentences]


def record(tagging: Tagging, tags: TagSet) -> dict[str, Any]:
    """One line of JSON Lines: the text and its entities, or its words where tags are plain."""
    if tags.entities:
        return {
            "text": tagging.text,
            "entities": [dataclasses.asdict(entity) for entity in tagging.entities],
        }
    words = [
        {
            "text": word.text,
            "start": word.start,
            "end": word.end,
            "label": word.tag,
            "score": word.score,
        }
        for word in tagging.words
    ]
    return {"text": tagging.text, "words": words}


def records(taggings: Sequence[Tagging], tags: TagSet, suffix: str) -> str:
    """A file's content: a line for each text in ".jsonl", for each entity or word in ".csv"."""
    if suffix == ".csv":
        return tables.table(part_rows(taggings, tags), suffix)
    return tables.table([record(tagging, tags) for tagging in taggings], suffix)


def part_rows(taggings: Sequence[Tagging], tags: TagSet, first: int = 0) -> list[dict[str, Any]]:
    """A row for each entity, or for each word where tags are plain; one without for other texts.

    Args:
        taggings: one for each text.
        tags: the tags that the model learned.
        first: number of the first text, counted from 0.
    """
    name, kind = ("entity", "type") if tags.entities else ("word", "label")
    rows = []
    for number, tagging in enumerate(taggings, start=first):
        parts: list[tuple[Any, ...]] = (
            [(part.text, part.type, part.start, part.end, part.score) for part in tagging.entities]
            if tags.entities
            else [(word.text, word.tag, word.start, word.end, word.score) for word in tagging.words]
        )
        for part in parts or [("", "", None, None, None)]:
            values = zip((name, kind, "start", "end", "score"), part, strict=True)
            rows.append({"row": number, "text": tagging.text, **dict(values)})
    return rows


def screen_table(taggings: Sequence[Tagging], tags: TagSet) -> str:
    """Entities, or words and their labels, for eyes: what, which type, where, how sure."""
    rows = [row for row in part_rows(taggings, tags) if row["start"] is not None]
    name, kind = list(rows[0] if rows else {"row": 0, "text": "", "entity": 0, "type": 0})[2:4]
    header = [name, kind, "where", "confidence"]
    cells = [
        [
            re.sub(r"\s", " ", str(row[name])),
            str(row[kind]),
            f"{row['start']}-{row['end']}",
            f"{row['score']:.3f}",
        ]
        for row in rows
    ]
    if len(taggings) > 1:
        header = ["row", *header]
        cells = [[str(row["row"]), *part] for row, part in zip(rows, cells, strict=True)]
    if not cells:
        return "no entities\n"
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(part, widths, strict=True)).rstrip()
        for part in [header, *cells]
    ]
    return "\n".join(lines) + "\n"
