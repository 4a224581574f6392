"""A comparison as a picture: differences by layer, on a logarithmic axis."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert import files
from plainbert.errors import MissingDependencyError

if TYPE_CHECKING:
    from plainbert.compare.models import Report

FORMS = (".png", ".svg", ".pdf")
# Told apart by colour, by mark and by line, so also in print and by the colour-blind.
SERIES = (
    ("max", "largest", "#0b6e99", "o", "-"),
    ("std", "standard deviation", "#d98200", "s", "--"),
    ("mean", "mean (absolute)", "#6b8f3a", "^", ":"),
)
BAD = "#b3261e"


def require(purpose: str = "--plot") -> None:
    """Fail now, rather than after the work, where matplotlib is missing.

    Args:
        purpose: what it is needed for.

    Raises:
        MissingDependencyError: it is.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingDependencyError("matplotlib", "plot", purpose) from None
    mpl.use("Agg")  # no screen needed


def draw(report: Report, path: str | Path) -> None:
    """Draw a comparison.

    Args:
        report: the comparison.
        path: of the picture; the suffix chooses the form.
    """
    require()
    from matplotlib import pyplot

    rows = report.rows
    floor, top = _limits(report)
    figure, axes = pyplot.subplots(
        figsize=(max(6.5, 2.8 + 0.5 * len(rows)), 4.6), layout="constrained"
    )
    axes.set_yscale("log")
    axes.set_ylim(floor, top)
    limit = max(report.tolerance, floor)  # a tolerance of 0 is below any logarithmic axis
    axes.axhspan(limit, top, color=BAD, alpha=0.06, linewidth=0)
    axes.axhline(limit, color=BAD, linewidth=1.2)
    axes.annotate(
        f"tolerance {report.tolerance:g}",
        (1, limit),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=BAD,
        fontsize=9,
    )
    body = sum(row.name == "embeddings" or row.name.startswith("layer ") for row in rows)
    for field, label, color, mark, line in SERIES:
        heights = [_height(getattr(row, field), floor, top) for row in rows]
        positions = range(len(rows))
        axes.plot(
            positions[:body],
            heights[:body],
            color=color,
            marker=mark,
            linestyle=line,
            markersize=5,
            linewidth=1.4,
            label=label,
            clip_on=False,
        )
        axes.plot(  # a head is no next layer: no line leads to it
            positions[body:],
            heights[body:],
            color=color,
            marker=mark,
            linestyle="",
            markersize=6,
            clip_on=False,
        )
    if 0 < body < len(rows):
        axes.axvline(body - 0.5, color="0.8", linewidth=1)
    _label(axes, report, floor)
    kind = Path(path).suffix.lstrip(".")
    with files.atomic_file(path) as file:
        figure.savefig(file, format=kind, dpi=130)
    pyplot.close(figure)


def _label(axes: Any, report: Report, floor: float) -> None:
    rows = report.rows
    names = [row.name.removeprefix("layer ") for row in rows]
    axes.set_xticks(range(len(rows)), names)
    for name, row, tick in zip(names, rows, axes.get_xticklabels(), strict=True):
        if not row.within(report.tolerance):
            tick.set(color=BAD, fontweight="bold")
        if len(name) > 2:
            tick.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("output of: embeddings, each layer, heads")
    axes.set_ylabel("difference")
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if any(getattr(row, field) == 0 for row in rows for field, *_ in SERIES):
        axes.annotate(
            "0 = exactly equal",
            (1, floor),
            (-4, 5),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            color="0.45",
            fontsize=8,
        )
        ticks = [tick for tick in axes.get_yticks() if floor * 5 < tick <= axes.get_ylim()[1]]
        axes.set_yticks(
            [floor, *ticks], ["0", *(f"$10^{{{round(math.log10(t))}}}$" for t in ticks)]
        )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False, fontsize=9)
    verdict = "equal" if report.equal else "not equal"
    axes.set_title(
        f"{_short(report.first)}  and  {_short(report.second)}: {verdict}", fontsize=11, pad=30
    )


def _limits(report: Report) -> tuple[float, float]:
    """Lowest and highest value of the axis: powers of ten around all values and the tolerance."""
    values = [getattr(row, field) for row in report.rows for field, *_ in SERIES]
    positive = [value for value in values if math.isfinite(value) and value > 0]
    positive.append(report.tolerance or 1e-12)
    lowest = 10.0 ** (math.floor(math.log10(min(positive))) - 1)
    return lowest, 10.0 ** (math.ceil(math.log10(max(positive))) + 1)


def _height(value: float, floor: float, top: float) -> float:
    """Where a value is drawn: 0 at the bottom, what is not finite at the top."""
    return min(max(value, floor), top) if math.isfinite(value) else top


def _short(name: str) -> str:
    """A model's name without the folders around it."""
    return Path(name.split(" (")[0]).name
