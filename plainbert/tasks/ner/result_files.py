"""What users get back from a tagger: scores; columns, rows, or entities as JSON Lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from plainbert.tasks.ner import scores
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
    """Words and predicted tags as a file's content; both forms can be read again.

    Args:
        sentences: with their own tags, or without.
        predicted: the tags of each.
        suffix: ".tsv": words, a tab, predicted tags; else columns: word, the sentence's own tag
            where it has one, predicted tag, as conlleval takes them.
        tags: the tags that the model learned.
    """
    parts = []
    for sentence, names in zip(sentences, predicted, strict=True):
        labels = comparable(names, tags)
        if suffix == ".tsv":
            parts.append(f"{' '.join(sentence.words)}\t{' '.join(labels)}\n")
            continue
        columns: list[Sequence[str]] = [sentence.words, labels]
        if sentence.tags is not None:
            columns.insert(1, comparable(sentence.tags, tags))
        parts += [" ".join(row) + "\n" for row in zip(*columns, strict=True)]
        parts.append("\n")
    return "".join(parts)


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
