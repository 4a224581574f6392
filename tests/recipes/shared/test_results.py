"""``plainbert.recipes.shared.results``: what a run says at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from plainbert.recipes.shared.results import Trained, report_trained, table_of


def test_scores_as_a_table() -> None:
    scores = {"dev": {"accuracy": 0.91, "macro_f1": 12.5}, "test": {"accuracy": 0.9}, "x": {}}
    assert table_of(scores).splitlines() == [
        "              dev    test",
        "accuracy   0.9100  0.9000",
        "macro_f1  12.5000",
    ]
    assert table_of({}) == table_of({"test": {}}) == ""


def test_the_end_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "runs" / "my spam" / "best"
    report_trained(Trained({"dev": {"f1": 0.5}}, model, None, 0), "predict_ner", "--sentences ...")
    *table, place, following = capsys.readouterr().out.splitlines()
    assert table == ["       dev", "f1  0.5000"]
    # As short as one would type it.
    assert place == "model: runs/my spam/best"
    assert following.endswith("predict_ner --model_dir 'runs/my spam/best' --sentences ...")
