"""Scores of tags, counted slowly, and those of seqeval and scikit-learn themselves."""

from __future__ import annotations

import random

import pytest
import seqeval.metrics
import sklearn.metrics
from seqeval.scheme import IOB2, IOBES

from plainbert.errors import DataError
from plainbert.tasks.ner import scores
from plainbert.tasks.ner.tags import encode, spans
from plainbert.tasks.reports import format_report

KINDS = ("PER", "LOC", "creative-work")


def random_text(generator: random.Random, broken: bool = False) -> list[str]:
    length = generator.randint(1, 9)
    letters = "BIES" if broken else "BI"
    choices = ["O", "O", "O", *(f"{letter}-{kind}" for letter in letters for kind in KINDS)]
    tags = [generator.choice(choices) for _ in range(length)]
    return tags if broken else encode(spans(tags), length, "iob2")


def changed(tags: list[str], generator: random.Random) -> list[str]:
    """Tags with some other ones among them: a tagger that is mostly right."""
    other = random_text(generator, broken=True)
    return [
        other[i % len(other)] if generator.random() < 0.2 else tag for i, tag in enumerate(tags)
    ]  # noqa: E501


@pytest.fixture
def sides(seed: int) -> tuple[list[list[str]], list[list[str]]]:
    generator = random.Random(seed)
    gold = [random_text(generator) for _ in range(200)]
    return [changed(each, generator) for each in gold], gold


def slow(predicted: list[list[str]], gold: list[list[str]], kind: str | None = None) -> list[float]:
    """Precision, recall and F1 from sets of entities."""
    got, want = (
        {
            (row, *span)
            for row, tags in enumerate(side)
            for span in spans(tags)
            if kind in (None, span.type)
        }
        for side in (predicted, gold)
    )
    right = len(got & want)
    return [right / len(got), right / len(want), 2 * right / (len(got) + len(want))]


def test_entities(sides: tuple[list[list[str]], list[list[str]]]) -> None:
    predicted, gold = sides

    found = scores.score(predicted, gold)

    assert tuple(found) == scores.ENTITY_METRICS
    assert [found["precision"], found["recall"], found["f1"]] == pytest.approx(
        slow(predicted, gold)
    )
    assert found["f1"] == seqeval.metrics.f1_score(gold, predicted)
    assert found["accuracy"] == seqeval.metrics.accuracy_score(gold, predicted)
    assert 0.3 < found["f1"] < 0.9


def test_the_old_flow_from_iob1_to_bioes_scores_the_same() -> None:
    """Gold tags in IOB1 and predictions in BIOES, without a fault: as seqeval's strict mode."""
    generator = random.Random(1)
    gold = [random_text(generator) for _ in range(100)]
    other = [random_text(generator) for _ in range(100)]
    mixed = [b if generator.random() < 0.5 else a for a, b in zip(gold, other, strict=True)]
    mixed = [(each * 9)[: len(a)] for each, a in zip(mixed, gold, strict=True)]
    as_iob1 = [encode(spans(each), len(each), "iob1") for each in gold]
    as_bioes = [
        [encode(spans(each), len(each), "bioes") for each in side] for side in (mixed, gold)
    ]  # noqa: E501

    found = scores.score(as_bioes[0], as_iob1)["f1"]

    strict = seqeval.metrics.f1_score(as_bioes[1], as_bioes[0], mode="strict", scheme=IOBES)
    assert found == pytest.approx(strict)
    as_iob2 = [encode(spans(each), len(each), "iob2") for each in mixed]
    assert found == pytest.approx(
        seqeval.metrics.f1_score(gold, as_iob2, mode="strict", scheme=IOB2)
    )


def test_a_row_for_every_type(sides: tuple[list[list[str]], list[list[str]]]) -> None:
    predicted, gold = sides

    found = scores.report(predicted, gold)

    assert list(found) == [*sorted(KINDS), "all"]
    for kind in (*KINDS, "all"):
        row = found[kind]
        right = slow(predicted, gold, None if kind == "all" else kind)
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(right)
    assert found["all"]["support"] == sum(len(spans(tags)) for tags in gold)
    text = format_report(found)
    assert [line.split()[0] for line in text.splitlines()] == ["label", *found]


def test_no_entity_at_all() -> None:
    nothing = [["O", "O"]]

    assert scores.score(nothing, nothing) == {
        "f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "accuracy": 1.0,
    }
    assert scores.report(nothing, nothing) == {}
    assert scores.report([["B-A", "O"]], nothing)["A"]["precision"] == 0.0


def test_plain_labels(seed: int) -> None:
    generator = random.Random(seed)
    gold = [generator.choices("OOOOCPQ", k=generator.randint(1, 9)) for _ in range(100)]
    predicted = [
        [generator.choice("OCPE") if generator.random() < 0.3 else tag for tag in each]
        for each in gold
    ]
    flat = [tag for each in gold for tag in each], [tag for each in predicted for tag in each]

    found = scores.score_labels(predicted, gold)

    table = sklearn.metrics.classification_report(*flat, output_dict=True, zero_division=0)
    of_labels = [table[label]["f1-score"] for label in "CEPQ"]
    assert found["macro_f1"] == pytest.approx(sum(of_labels) / 4)
    right = sum(a == b != "O" for a, b in zip(*flat, strict=True))
    sizes = sum(tag != "O" for side in flat for tag in side)
    assert found["micro_f1"] == pytest.approx(2 * right / sizes)
    assert found["accuracy"] == pytest.approx(table["accuracy"])
    by_label = scores.report_labels(predicted, gold)
    assert list(by_label) == ["C", "E", "O", "P", "Q"]
    for label, row in by_label.items():
        assert row["f1"] == pytest.approx(table[label]["f1-score"])
        assert row["support"] == table[label]["support"]
    assert scores.score_labels([["O"]], [["O"]]) == {
        "macro_f1": 0.0,
        "micro_f1": 0.0,
        "accuracy": 1.0,
    }


@pytest.mark.parametrize("count", [scores.score, scores.score_labels, scores.report])
def test_sides_that_do_not_fit(count: object) -> None:
    with pytest.raises(DataError, match="1 predicted tags in 1 sentences for 2 words in 1"):
        count([["O"]], [["O", "O"]])  # type: ignore[operator]
    with pytest.raises(DataError, match="no words"):
        count([], [])  # type: ignore[operator]
