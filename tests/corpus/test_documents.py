"""``plainbert.corpus.documents``: files, pieces of files, sentences."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.corpus import documents
from plainbert.corpus.documents import find_files, lines_of, pieces, sentences, splitter
from plainbert.errors import DataError, UsageError


def read(*paths: Path) -> list[str]:
    return [line for piece in pieces(list(paths)) for line in lines_of(piece)]


def test_globs_in_order_and_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b.txt", "a.txt", "c.md", "[1].txt", "deep/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    found = find_files(["~/?.txt", str(tmp_path / "[1].txt"), f"{tmp_path}/**/d.*", "~/a.txt"])
    assert [path.name for path in found] == ["a.txt", "b.txt", "[1].txt", "d.txt"]
    assert "a.txt was named before" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("*.nothing", "matches no file"), ("absent", "does not exist"), ("", "is a folder")],
)
def test_nothing_to_read(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        find_files([str(tmp_path / pattern)])


LINES = st.lists(st.text(st.sampled_from("ab é中\t\u2028\r"), max_size=6), max_size=30)


@given(
    lines=LINES,
    size=st.integers(1, 20),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    end=st.booleans(),
)
def test_pieces_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], size: int, ending: str, end: bool
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.txt"
    text = ending.join(lines) + (ending if end else "")
    path.write_bytes(text.encode())
    text = io.StringIO(text, newline=None).read()  # Python's own reading of line ends
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "PIECE", size)
        for whole in (False, True):
            found = list(pieces([path, path], whole))
            assert [piece.number for piece in found] == list(range(len(found)))
            assert b"".join(piece.data for piece in found).decode() == text * 2
            for piece in found:
                assert piece.last or piece.data.endswith(b"\n")
            first = found[: [piece.last for piece in found].index(True) + 1]
            seen = 1
            for piece in first:
                assert piece.line == seen
                seen += piece.data.count(b"\n")
        parts = text.split("\n")
        wanted = [part.strip() for part in parts[: -1 if parts[-1] == "" else None]]
        assert read(path) == [*wanted, ""]


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_packed_files(tmp_path: Path, suffix: str, opener: object) -> None:
    path = tmp_path / f"t{suffix}"
    with opener(path, "wb") as file:  # type: ignore[operator]
        file.write("\ufeffeins\nzwei\n\ndrei".encode())
    assert read(path) == ["eins", "zwei", "", "drei", ""]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"{path.name}: cannot be unpacked"):
        read(path)
    path.write_bytes(b"not packed at all")
    with pytest.raises(DataError, match="cannot be unpacked"):
        read(path)


def test_bytes_that_are_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 16)
    path = tmp_path / "latin.txt"
    path.write_bytes(b"fine\n" * 10 + b"caf\xe9\n" + b"fine\n" * 10)
    with pytest.raises(DataError, match=r"latin\.txt:11: is not UTF-8 .*iconv"):
        read(path)


def test_long_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.txt"
    path.write_text("short\n" + "word " * 2_000_000 + "\nend\n", "utf-8")  # 10 MB
    assert [len(line) for line in read(path)] == [5, 9_999_999, 3, 0]
    monkeypatch.setattr(documents, "LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match=r"long\.txt:2: this line has more than 1 MiB"):
        read(path)


def test_prose_is_split_across_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prose.txt"
    block = "Mr. Smith came\nlate. He\nsat down.\n\nIt rained!\n\n"
    path.write_text(block * 20, "utf-8")
    wanted = ["Mr. Smith came late.", "He sat down.", "It rained!"] * 20
    monkeypatch.setattr(documents, "PIECE", 32)  # cut between blocks whatever the size
    assert list(sentences([path], "en")) == wanted
    split = splitter("en")
    lines = [line for piece in pieces([path], True) for line in lines_of(piece, split)]
    assert lines[:5] == ["Mr. Smith came late.", "He sat down.", "", "It rained!", ""]
    path.write_text("吾輩は猫である。名前はまだ無い。\n", "utf-8")
    assert list(sentences([path], "ja")) == ["吾輩は猫である。", "名前はまだ無い。"]
    assert list(sentences([path])) == ["吾輩は猫である。名前はまだ無い。"]


def test_prose_without_blank_lines_is_cut_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "PIECE", 64)
    monkeypatch.setattr(documents, "LONGEST_BLOCK", 512)
    path = tmp_path / "prose.txt"
    path.write_text("One line here.\n" * 1000, "utf-8")
    found = list(pieces([path], whole_blocks=True))
    assert max(len(piece.data) for piece in found) < 1024
    assert list(sentences([path], "en")) == ["One line here."] * 1000


def test_a_language_that_is_none() -> None:
    with pytest.raises(UsageError, match="'text.txt': the code of a language is expected"):
        splitter("text.txt")
