"""Texts and pairs from the command line and from files, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from plainbert.recipes.shared import flags, texts
from plainbert.recipes.shared.settings import OutputFlags, TextsFlags


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("one", ("one",)),
        ("a ||| b", ("a", "b")),
        ("a ||| b ||| c", ("a ||| b", "c")),
        ("a|||b", ("a|||b",)),
        (" ||| ", ("", "")),
    ],
)
def test_split_and_join(line: str, row: tuple[str, ...]) -> None:
    assert texts.split(line) == row
    assert texts.join(row) == line


@dataclass(frozen=True, kw_only=True)
class Settings(OutputFlags, TextsFlags):
    """Of a recipe that reads texts."""

    def checked(self) -> Self:
        self.check_texts()
        self.check_output((".tsv",))
        return self


def parse(*words: str) -> tuple[tuple[str, ...], ...]:
    return tuple(texts.read(flags.parse(Settings, None, words)))


def test_sentences_lines_and_columns(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one\n\na ||| b\n")
    (tmp_path / "x.tsv").write_text("n\tfirst\tsecond\n1\ta\tb\n2\tc\td\n")

    assert parse("--sentences", "one", "a ||| b") == (("one",), ("a", "b"))
    assert parse("--file", str(tmp_path / "x.txt")) == (("one",), ("",), ("a", "b"))
    columns = parse("--file", str(tmp_path / "x.tsv"), "--text_columns", "second,first")
    assert columns == (("b", "a"), ("d", "c"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no texts"),
        (["--sentences", "a", "--text_columns", "0"], "needs --file"),
        (["--sentences", "a", "--output", "x.csv"], ".tsv"),
        (["--sentences", "a", "--output", "HERE"], "exists"),
    ],
)
def test_mistakes(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "x.tsv"
    here.touch()
    with pytest.raises(SystemExit):
        parse(*(str(here) if word == "HERE" else word for word in words))
    assert said in capsys.readouterr().err
