"""Texts and pairs from the command line and from files, in order."""

from __future__ import annotations

import ast
import gzip
import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from plainbert.errors import DataError, UsageError
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


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl", "t.ndjson", "t.tsv.gz"])
@pytest.mark.parametrize("columns", [None, "text"])
def test_bars_in_a_column_are_text(tmp_path: Path, name: str, columns: str | None) -> None:
    texts_in_it = ["quiet ||| nobody", "plain", " ||| "]
    content = "text\tn\n" + "".join(f"{text}\t1\n" for text in texts_in_it)
    if "csv" in name:
        content = content.replace("\t", ",")
    if "json" in name:
        content = "".join(json.dumps({"text": text}) + "\n" for text in texts_in_it)
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    more = [] if columns is None else ["--text_columns", columns]
    assert parse("--file", str(tmp_path / name), *more) == tuple((text,) for text in texts_in_it)


def test_bars_in_a_numbered_column_are_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a ||| b\t1\n")
    assert parse("--file", str(tmp_path / "t.txt"), "--text_columns", "0") == (("a ||| b",),)


SUFFIXES = ("en", "log", "text", "md", "lst", "raw", "EN", "2024-01-05", "")


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_with_any_other_suffix_are_lines(tmp_path: Path, suffix: str, packed: str) -> None:
    path = tmp_path / f"texts{'.' if suffix else ''}{suffix}{packed}"
    data = b"A heron\tstood, quietly.\nthe cat ||| a\n"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[packed](data))
    assert parse("--file", str(path)) == (("A heron\tstood, quietly.",), ("the cat", "a"))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"PK\x03\x04\x14\0", "a zip archive"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Office file"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\x1f\x8b\x08\0", "packed by gzip"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, head: bytes, said: str) -> None:
    (tmp_path / "t.tsv").write_bytes(head + bytes(range(256)))
    with pytest.raises(DataError, match=rf"t\.tsv: is {said}.*text"):
        parse("--file", str(tmp_path / "t.tsv"))


@pytest.mark.parametrize("wrong", [{"a": "b"}, b"a", 3, ("a", None), ("a", ("b", "c"))])
def test_sentences_from_python(wrong: object) -> None:
    with pytest.raises(UsageError, match="sentences"):
        texts.read(Settings(sentences=wrong))  # type: ignore[arg-type]


def test_one_sentence_from_python_is_not_its_letters() -> None:
    assert texts.read(Settings(sentences="the cat")) == [("the cat",)]  # type: ignore[arg-type]


def test_one_place_knows_the_bars() -> None:
    """Whoever else split at them would do it in columns, too."""
    package = Path(texts.__file__).resolve().parents[2]
    places = set()
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
        places |= {
            str(path.relative_to(package))
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "|||" in node.value
            and node.value not in docs
        }
    # The next two name a pair in a message, and split nothing; programs of exports stand alone.
    assert {place for place in places if not place.startswith("export/program/")} == {
        "tasks/classification/rows.py", "infer/finite.py", "model/vectors.py",
    }  # fmt: skip
