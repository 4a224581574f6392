"""Scores over a whole evaluation set, never averaged over batches.

Importing this module is cheap: numpy, scikit-learn and scipy are imported by the functions.

Where a score is not defined, it is 0.0 and a warning says why: F1, precision and recall of a class
that neither occurs nor is predicted, Matthews correlation when one side is constant, Pearson and
Spearman when one side is constant or there are fewer than two rows. So a comparison of checkpoints
never meets NaN. Predictions that are not finite numbers are an error: the training diverged.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plainbert import packages
from plainbert.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """One score.

    Args:
        compute: (predictions, labels) -> score; arrays of shape (rows,).
        regression: whether predictions are numbers rather than class ids.
        better: +1 if higher is better, -1 if lower is.
        help: what it is, for ``--help``.
    """

    compute: Callable[[NDArray[Any], NDArray[Any]], float]
    regression: bool
    better: int
    help: str


def require() -> None:
    """Fail now, rather than after a training, where scores cannot be computed.

    Raises:
        MissingDependencyError: scikit-learn or scipy is not installed.
    """
    packages.require(("sklearn", "scipy"), "scores", "scoring a classifier")


def compute(names: Iterable[str], predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Scores of a whole set.

    Args:
        names: of ``METRICS``, in the order of the result.
        predictions: class ids, or numbers for regression; shape (rows,).
        labels: the right class ids, or numbers for regression; shape (rows,).

    Returns:
        name to score.

    Raises:
        UnknownNameError: a metric that is not in ``METRICS``.
        DataError: lengths differ, there are no rows, a number is not finite, or ``f1`` is asked
            for more than two classes.
        MissingDependencyError: scikit-learn or scipy is not installed.

    Example:
        >>> compute(["accuracy", "f1"], [0, 1, 1, 0], [0, 1, 0, 0])
        {'accuracy': 0.75, 'f1': 0.6666666666666666}
    """
    names = list(names)
    for name in names:
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    require()
    scores = {}
    for name in names:
        metric = METRICS[name]
        scores[name] = metric.compute(*_arrays(predictions, labels, metric.regression))
    return scores


def check(names: Iterable[str], classes: int | None) -> None:
    """Refuse metrics that a task has no value of, before a model is trained for one.

    Args:
        names: of ``METRICS``.
        classes: of the task; None: it is a regression.

    Raises:
        UnknownNameError: a metric that is not in ``METRICS``.
        UsageError: a metric of classes for a regression, or ``f1`` for more than two classes.
    """
    for name in names:
        better(name)  # it exists
        if classes is None and not METRICS[name].regression:
            fitting = ", ".join(sorted(key for key, one in METRICS.items() if one.regression))
            raise UsageError(f"{name} is for classes, and the labels are numbers: {fitting}.")
        if name == "f1" and classes is not None and classes != 2:
            raise UsageError(f"f1 is for two classes, and there are {classes}; use macro_f1.")


def better(name: str) -> int:
    """+1 if a higher score is better, -1 if a lower one is.

    Raises:
        UnknownNameError: no such metric.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name].better


def report(
    predictions: ArrayLike, labels: ArrayLike, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of rows of every class.

    Args:
        predictions: class ids, shape (rows,).
        labels: class ids, shape (rows,).
        names: class names in id order.

    Returns:
        class name to {"precision", "recall", "f1", "support"}, in id order.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    require()
    from sklearn.metrics import precision_recall_fscore_support

    got, want = _arrays(predictions, labels, regression=False)
    ids = list(range(len(names)))
    columns = precision_recall_fscore_support(want, got, labels=ids, zero_division=0)
    return {
        name: {
            "precision": float(columns[0][row]),
            "recall": float(columns[1][row]),
            "f1": float(columns[2][row]),
            "support": int(columns[3][row]),
        }
        for row, name in enumerate(names)
    }


def _arrays(
    predictions: ArrayLike, labels: ArrayLike, regression: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both sides as vectors of float64 or int64, checked."""
    import numpy as np

    kind: type[np.generic] = np.float64 if regression else np.int64
    got, want = np.asarray(predictions), np.asarray(labels)
    if got.ndim != 1 or got.shape != want.shape:
        raise DataError(f"predictions of shape {got.shape} for labels of shape {want.shape}.")
    if not len(want):
        raise DataError("there are no rows to score.")
    for what, side in (("predictions", got), ("labels", want)):
        bad = int(np.count_nonzero(~np.isfinite(side)))
        if bad:
            raise DataError(
                f"{bad} of {len(side)} {what} are not finite numbers. If a model made them, its "
                "training diverged: lower the learning rate."
            )
    return got.astype(kind), want.astype(kind)


def _undefined(metric: str, reason: str) -> float:
    log.warning("%s is not defined (%s); reported as 0.", metric, reason)
    return 0.0


def _accuracy(got: NDArray[Any], want: NDArray[Any]) -> float:
    return float((got == want).mean())


def _f1(got: NDArray[Any], want: NDArray[Any]) -> float:
    from sklearn.metrics import f1_score

    if max(got.max(), want.max()) > 1:
        raise DataError("f1 is for two classes, with id 1 as the positive one; use macro_f1.")
    if not want.any() and not got.any():
        return _undefined("f1", "the class 1 neither occurs nor is predicted")
    return float(f1_score(want, got, zero_division=0))


def _averaged(score: str, average: str) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """A score of scikit-learn over the classes that occur on either side."""

    def averaged(got: NDArray[Any], want: NDArray[Any]) -> float:
        import sklearn.metrics

        return float(getattr(sklearn.metrics, score)(want, got, average=average, zero_division=0))

    return averaged


def _mcc(got: NDArray[Any], want: NDArray[Any]) -> float:
    from sklearn.metrics import matthews_corrcoef

    if (got == got[0]).all() or (want == want[0]).all():
        return _undefined("mcc", "predictions or labels are all of one class")
    return float(matthews_corrcoef(want, got))


def _correlation(name: str) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """Pearson's or Spearman's correlation by scipy."""

    def correlation(got: NDArray[Any], want: NDArray[Any]) -> float:
        import scipy.stats

        if len(want) < 2:
            return _undefined(name, "fewer than two rows")
        if (got == got[0]).all() or (want == want[0]).all():
            return _undefined(name, "predictions or labels are constant")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nearly constant input: scipy warns, the value stands
            value = float(getattr(scipy.stats, name + "r")(got, want)[0])
        return value if value == value else _undefined(name, "the spread is too small to measure")

    return correlation


def _mse(got: NDArray[Any], want: NDArray[Any]) -> float:
    return float(((got - want) ** 2).mean())


def _mae(got: NDArray[Any], want: NDArray[Any]) -> float:
    return float(abs(got - want).mean())


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy, False, 1, "share of rows that are right"),
    "f1": Metric(_f1, False, 1, "F1 of class 1 of two"),
    "macro_f1": Metric(_averaged("f1_score", "macro"), False, 1, "mean of the classes' F1"),
    "micro_f1": Metric(_averaged("f1_score", "micro"), False, 1, "F1 over all decisions"),
    "weighted_f1": Metric(
        _averaged("f1_score", "weighted"), False, 1, "the classes' F1, weighted by their rows"
    ),
    "precision": Metric(
        _averaged("precision_score", "macro"), False, 1, "mean of the classes' precision"
    ),
    "recall": Metric(_averaged("recall_score", "macro"), False, 1, "mean of the classes' recall"),
    "mcc": Metric(_mcc, False, 1, "Matthews correlation"),
    "pearson": Metric(_correlation("pearson"), True, 1, "linear correlation"),
    "spearman": Metric(_correlation("spearman"), True, 1, "rank correlation"),
    "mse": Metric(_mse, True, -1, "mean squared error"),
    "mae": Metric(_mae, True, -1, "mean absolute error"),
}
