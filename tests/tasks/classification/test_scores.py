from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import DataError, UnknownNameError
from plainbert.tasks.classification.scores import METRICS, better, compute, report
from plainbert.tasks.reports import format_report


def counted_f1(got, want, positive):
    """F1 from its definition, by counting."""
    both = sum(g == positive and w == positive for g, w in zip(got, want, strict=True))
    said, true = list(got).count(positive), list(want).count(positive)
    return 2 * both / (said + true) if said + true else 0.0


def counted_mcc(got, want):
    """Matthews correlation as Pearson's of two 0/1 vectors (only two classes)."""
    pairs = list(zip(got, want, strict=True))
    tp, tn = pairs.count((1, 1)), pairs.count((0, 0))
    fp, fn = pairs.count((1, 0)), pairs.count((0, 1))
    under = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / under if under else 0.0


def slow_pearson(x, y):
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    under = sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    return over / math.sqrt(under) if under else 0.0


def ranks(values):
    """Ranks from 1, ties share their mean."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)
scores = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30)


@settings(max_examples=80, deadline=None)
@given(binary)
def test_two_classes_by_counting(pairs):
    got, want = zip(*pairs, strict=True)
    found = compute(["accuracy", "f1", "macro_f1", "mcc", "micro_f1"], got, want)
    accuracy = sum(g == w for g, w in pairs) / len(pairs)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["micro_f1"] == pytest.approx(accuracy)
    assert found["f1"] == pytest.approx(counted_f1(got, want, 1))
    present = set(got) | set(want)
    macro = sum(counted_f1(got, want, name) for name in present) / len(present)
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["mcc"] == pytest.approx(counted_mcc(got, want), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(scores)
def test_correlations_by_the_formula(pairs):
    got, want = zip(*pairs, strict=True)
    found = compute(["pearson", "spearman", "mse", "mae"], got, want)
    assert found["pearson"] == pytest.approx(slow_pearson(got, want), abs=1e-9)
    assert found["spearman"] == pytest.approx(slow_pearson(ranks(got), ranks(want)), abs=1e-9)
    assert found["mse"] == pytest.approx(sum((g - w) ** 2 for g, w in pairs) / len(pairs))
    assert found["mae"] == pytest.approx(sum(abs(g - w) for g, w in pairs) / len(pairs))


def test_against_scikit_learn_and_scipy():
    import scipy.stats
    import sklearn.metrics as oracle

    random = np.random.default_rng(5)
    got, want = random.integers(0, 4, 500), random.integers(0, 4, 500)
    found = compute(
        ["mcc", "macro_f1", "weighted_f1", "precision", "recall", "accuracy"], got, want
    )
    assert found == {
        "mcc": pytest.approx(oracle.matthews_corrcoef(want, got)),
        "macro_f1": pytest.approx(oracle.f1_score(want, got, average="macro")),
        "weighted_f1": pytest.approx(oracle.f1_score(want, got, average="weighted")),
        "precision": pytest.approx(oracle.precision_score(want, got, average="macro")),
        "recall": pytest.approx(oracle.recall_score(want, got, average="macro")),
        "accuracy": pytest.approx(oracle.accuracy_score(want, got)),
    }
    x = random.normal(size=300)
    y = x + random.normal(size=300)
    found = compute(["spearman", "pearson"], x.astype(np.float32), y)
    assert list(found) == ["spearman", "pearson"]
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-6)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(x, y)[0], abs=1e-6)


def test_whole_set_is_not_the_mean_of_batches():
    """The reason for this module: GluonNLP's F1 was averaged per batch."""
    got, want = [1, 1, 0, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 0, 0]
    batches = [compute(["f1"], got[at : at + 4], want[at : at + 4])["f1"] for at in (0, 4)]
    assert compute(["f1"], got, want)["f1"] == pytest.approx(0.8)
    assert sum(batches) / 2 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "got", "want"),
    [
        ("f1", [0, 0], [0, 0]),
        ("mcc", [1, 1, 1], [0, 1, 1]),
        ("mcc", [0, 1, 1], [1, 1, 1]),
        ("pearson", [2.0, 2.0], [1.0, 2.0]),
        ("spearman", [1.0, 2.0], [3.0, 3.0]),
        ("pearson", [1.0], [1.0]),
    ],
)
def test_undefined_scores_are_zero_and_say_so(name, got, want, caplog):
    with caplog.at_level(logging.WARNING):
        assert compute([name], got, want) == {name: 0.0}
    assert f"{name} is not defined" in caplog.text


def test_mistakes():
    with pytest.raises(UnknownNameError, match="no metric is named 'acc'.*accuracy"):
        compute(["acc"], [1], [1])
    with pytest.raises(UnknownNameError, match="no metric is named 'acc'"):
        better("acc")
    with pytest.raises(DataError, match=r"shape \(2,\) for labels of shape \(1,\)"):
        compute(["accuracy"], [1, 0], [1])
    with pytest.raises(DataError, match="no rows"):
        compute(["accuracy"], [], [])
    with pytest.raises(DataError, match="1 of 2 predictions are not finite"):
        compute(["pearson"], [1.0, math.nan], [1.0, 2.0])
    with pytest.raises(DataError, match="two classes"):
        compute(["f1"], [0, 2], [0, 1])


def test_better():
    assert {name: better(name) for name in METRICS if better(name) < 0} == {"mse": -1, "mae": -1}
    assert all(metric.help for metric in METRICS.values())


def test_report_per_class():
    found = report([0, 1, 1, 0], [0, 1, 0, 0], ["ham", "spam", "never"])
    assert list(found) == ["ham", "spam", "never"]
    assert found["ham"] == pytest.approx({"precision": 1, "recall": 2 / 3, "f1": 0.8, "support": 3})
    assert found["spam"]["f1"] == pytest.approx(2 / 3)
    assert found["never"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    lines = format_report(found).splitlines()
    assert lines[0].split() == ["label", "precision", "recall", "f1", "rows"]
    assert lines[1].split() == ["ham", "1.0000", "0.6667", "0.8000", "3"]
