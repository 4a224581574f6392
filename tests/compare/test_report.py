"""Table, JSON and picture of a comparison."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from plainbert.compare import picture, report
from plainbert.compare.difference import Row
from plainbert.compare.models import Report

ROWS = (
    Row("embeddings", 64, 0.0, 0.0, 0.0, 3.25),
    Row("layer 1", 64, 2e-7, 9e-7, 3e-7, 2.5),
    Row("layer 2", 64, 2e-3, 4e-3, 3e-3, 12.125),
    Row("NSP logits", 8, 1e-4, 2e-4, 1e-4, 0.5),
)
FOUND = Report("runs/a", "runs/b", ROWS, 1e-5, 4, 30, "float64", ("a remark",))


def test_table() -> None:
    assert report.table(FOUND) == (
        "first   runs/a\n"
        "second  runs/b\n"
        "on      4 rows of 30 tokens, computed in float64\n"
        "\n"
        "output      values  mean |d|  max |d|  std of d  largest\n"
        "embeddings      64         0        0         0     3.25\n"
        "layer 1         64   2.0e-07  9.0e-07   3.0e-07      2.5\n"
        "layer 2         64   2.0e-03  4.0e-03   3.0e-03     12.1  <-- above\n"
        "NSP logits       8   1.0e-04  2.0e-04   1.0e-04      0.5  <-- above\n"
        "\n"
        "note: a remark\n"
        "NOT equal: 2 of 4 outputs differ by more than 1e-05, the first is layer 2\n"
    )


def test_verdict_of_equals() -> None:
    same = dataclasses.replace(FOUND, tolerance=0.01)
    assert report.verdict(same) == "equal within 0.01: the largest difference is 4.0e-03 (layer 2)"


def test_json_is_json() -> None:
    bad = Row("layer 3", 64, math.nan, math.inf, math.nan, math.inf)
    found = dataclasses.replace(FOUND, rows=(*ROWS, bad))

    read = json.loads(json.dumps(report.as_json(found), allow_nan=False))

    assert read["equal"] is False
    assert read["tolerance"] == 1e-5
    assert read["outputs"][1] == {
        "name": "layer 1",
        "values": 64,
        "mean": 2e-7,
        "max": 9e-7,
        "std": 3e-7,
        "largest": 2.5,
        "equal": True,
    }
    assert read["outputs"][-1]["max"] is None
    assert read["outputs"][-1]["equal"] is False


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
@pytest.mark.parametrize("kind", ["as is", "all equal", "not finite", "no tolerance"])
def test_picture(tmp_path: Path, suffix: str, magic: bytes, kind: str) -> None:
    changes = {
        "as is": {},
        "all equal": {"rows": tuple(Row(row.name, 64, 0.0, 0.0, 0.0, 1.0) for row in ROWS)},
        "not finite": {"rows": (*ROWS, Row("layer 3", 64, math.nan, math.inf, math.nan, 1.0))},
        "no tolerance": {"tolerance": 0.0},
    }[kind]
    path = tmp_path / f"x{suffix}"

    picture.draw(dataclasses.replace(FOUND, **changes), path)

    assert path.read_bytes().startswith(magic)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_what_the_picture_shows(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    picture.draw(FOUND, path)
    text = path.read_text("utf-8")
    for words in ("embeddings", "NSP logits", "tolerance 1e-05", "largest", "not equal"):
        assert words in text  # each text of an SVG is there as a comment
