"""``plainbert.progress``: lines in a log where there is no terminal."""

from __future__ import annotations

import logging

import pytest

from plainbert import progress
from plainbert.progress import Progress


@pytest.mark.parametrize("shown", [True, False])
def test_lines_in_a_log(
    shown: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with Progress("tokenise", "B", 3000, bar=shown) as bar:
        bar.update(1000)
        bar.update(500)
    starts = ["tokenise: 1,000 of 3,000 B, ", "tokenise: 1,500 of 3,000 B, "]
    said = [message[: len(starts[0])] for message in caplog.messages]
    assert said == (starts if shown else [])


def test_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    with Progress("read", "row", None) as bar:
        bar.update(1)
    assert not caplog.messages
