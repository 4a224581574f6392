"""A comparison as text and as JSON."""

from __future__ import annotations

import math
from typing import Any

from plainbert.compare.difference import Row
from plainbert.compare.models import Report

COLUMNS = ("output", "values", "mean |d|", "max |d|", "std of d", "largest")


def table(report: Report) -> str:
    """What a reader wants to see: one line per output, then the verdict.

    ``d`` is the difference; ``largest`` the largest absolute value of the first model's output.
    """
    cells = [COLUMNS, *(_cells(row) for row in report.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    marks = ["", *("" if row.within(report.tolerance) else "  <-- above" for row in report.rows)]
    lines = [
        line[0].ljust(widths[0])
        + "".join(
            f"  {cell.rjust(width)}" for cell, width in zip(line[1:], widths[1:], strict=True)
        )
        + mark
        for line, mark in zip(cells, marks, strict=True)
    ]
    return "\n".join(
        [
            f"first   {report.first}",
            f"second  {report.second}",
            f"on      {report.texts} rows of {report.tokens} tokens, computed in {report.dtype}",
            "",
            *lines,
            "",
            *(f"note: {note}" for note in report.notes),
            verdict(report),
            "",
        ]
    )


def verdict(report: Report) -> str:
    """One sentence: equal or not, and where they part."""
    if report.equal:
        worst = max(report.rows, key=lambda row: row.max)
        return (
            f"equal within {report.tolerance:g}: the largest difference is {worst.max:.1e} "
            f"({worst.name})"
        )
    first = report.above[0]
    return (
        f"NOT equal: {len(report.above)} of {len(report.rows)} outputs differ by more than "
        f"{report.tolerance:g}, the first is {first.name}"
    )


def as_json(report: Report) -> dict[str, Any]:
    """The object that ``--output`` writes; numbers that are not finite become null."""
    return {
        "first": report.first,
        "second": report.second,
        "texts": report.texts,
        "tokens": report.tokens,
        "dtype": report.dtype,
        "tolerance": report.tolerance,
        "equal": report.equal,
        "notes": list(report.notes),
        "outputs": [
            {
                "name": row.name,
                "values": row.values,
                "mean": _finite(row.mean),
                "max": _finite(row.max),
                "std": _finite(row.std),
                "largest": _finite(row.largest),
                "equal": row.within(report.tolerance),
            }
            for row in report.rows
        ],
    }


def _cells(row: Row) -> tuple[str, ...]:
    numbers = ("0" if value == 0 else f"{value:.1e}" for value in (row.mean, row.max, row.std))
    return (row.name, str(row.values), *numbers, f"{row.largest:.3g}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
