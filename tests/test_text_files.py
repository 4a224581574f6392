"""``plainbert.text_files``: one reader, against Python's own and iconv."""

from __future__ import annotations

import ast
import gzip
import io
import lzma
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert import text_files
from plainbert.errors import DataError
from plainbert.text_files import blocks_of_lines, read_lines, read_text

HERE = Path(__file__).resolve().parent.parent

TEXTS = st.text(st.sampled_from("ab é中😀\t\u2028\x85\x0b\x0c\x1c\r\n"), max_size=40)


def python_lines(text: str) -> list[str]:
    """Lines as Python's text files have them."""
    lines = io.StringIO(text, newline=None).read().split("\n")
    return lines[:-1] if lines[-1] == "" else lines


@given(
    text=TEXTS,
    block=st.integers(1, 9),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    pack=st.sampled_from([("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]),
)
def test_lines_are_pythons(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int, encoding: str, pack: tuple
) -> None:
    path = tmp_path_factory.mktemp("t") / f"t.txt{pack[0]}"
    path.write_bytes(pack[1](text.encode(encoding)))
    marks = max(block, 4)  # the mark of UTF-32 has four bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files.blocks, "__defaults__", (marks,))
        assert [line for _, line in read_lines(path)] == python_lines(text)
        assert [number for number, _ in read_lines(path)] == [
            *range(1, len(python_lines(text)) + 1)
        ]
        assert read_text(path) == text
        plain = b"".join(blocks_of_lines(path, marks)).decode()
        assert plain == io.StringIO(text, newline=None).read()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_or_its_advice_is_right(tmp_path: Path, encoding: str, mark: str) -> None:
    path = tmp_path / "t.txt"
    text = "text\tlabel\r\nschön\tja\r\n日本語\tnein\r\n"
    path.write_bytes((mark + text).encode(encoding))
    if not mark:
        with pytest.raises(DataError) as error:
            list(read_lines(path))
        path.write_bytes(follow(str(error.value), path))
    assert [line for _, line in read_lines(path)] == python_lines(text)


def follow(message: str, path: Path) -> bytes:
    """What the command that a message proposes makes of a file."""
    command = re.search(r"iconv -f (\S+) -t UTF-8", message)
    assert command is not None, message
    return subprocess.run([*command[0].split(), str(path)], check=True, capture_output=True).stdout


@pytest.mark.parametrize("name", ["t.txt", "-"])
def test_bytes_of_another_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / "t.txt"
    text = "fine\r\n\u201cit\u2019s \u20ac 5, caf\u00e9\u201d\r\nfine\r\n"
    path.write_bytes(text.encode("cp1252"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    place = "standard input" if name == "-" else str(path)
    with pytest.raises(DataError, match=f"^{re.escape(place)}:2: is not UTF-8 .*\n.*it.s") as error:
        list(read_lines(name if name == "-" else path))
    with pytest.raises(DataError, match=r"t\.txt:2: is not UTF-8"):
        read_text(path)
    path.write_bytes(follow(str(error.value), path))
    assert [line for _, line in read_lines(path)] == python_lines(text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb\0c\n", r"t\.txt:2: holds a NUL byte: the file is damaged"),
        ("\ufeffab".encode("utf-16-le")[:-1], "begins as UTF-16-LE text but does not go on so"),
        ("\ufeffab".encode("utf-32-le")[:-1], "begins as UTF-32-LE text but does not go on so"),
    ],
)
def test_damaged(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(read_lines(path))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.txt.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"x" * (3 << 20)))
    assert [len(line) for _, line in read_lines(path)] == [1, 3 << 20]
    monkeypatch.setattr(text_files, "LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match=r"t\.txt\.gz:2: this line has more than 1 MiB"):
        list(read_lines(path))


def test_carriage_returns_among_line_feeds_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"a\r\nb\rc\nd\r")
    assert [line for _, line in read_lines(path)] == ["a", "b", "c", "d"]
    assert "2 line(s) end with a carriage return alone, the first is line 2" in caplog.text
    caplog.clear()
    for content in (b"a\rb\r", b"a\r\nb\n"):
        path.write_bytes(content)
        assert [line for _, line in read_lines(path)] == ["a", "b"]
    assert caplog.text == ""


# Who may open text by hand, and why: what it reads was written by this library, by the system or
# by a program that fixes the encoding. What a user or another program writes is not among them.
BY_HAND = {
    "text_files.py": "the reader itself",
    "files.py": "its own files that stand for links",
    "corpus/vocabulary.py": "its own temporary files",
    "train/monitor.py": "its own metrics",
    "folders.py": "its own journal",
    "recipes/shared/lock.py": "its own lock",
    "distributed/supervise.py": "/proc",
    "distributed/failure.py": "writes the launcher's error file",
    "compare/run_mxnet.py": "runs without the library; its own request",
    "compare/run_tensorflow.py": "runs without the library; its own request",
    "export/savedmodel/build.py": "runs without the library; its own request",
    "export/program/predict.py": "runs without the library; its own manifest, and bytes",
}
# Not files of text: errors of other libraries, and what a child process answers.
SPLIT_BY_HAND = {"(str(error)", "str(error)", "error.message", "output.strip()"}


def by_hand(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where text is opened, or split into lines, without the reader."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        words = ast.unparse(node)
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
        modes = [
            value.value
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        ]
        binary = any(re.fullmatch(r"[rwax]\+?b\+?", mode) for mode in modes)
        opens = name == "open" and not binary and ast.unparse(function) in OPENERS
        opens |= name == "open" and any(re.fullmatch(r"[rwax]\+?t?", mode) for mode in modes)
        opens |= name == "open" and any(keyword.arg == "encoding" for keyword in node.keywords)
        splits = name in ("splitlines", "readlines") and not any(
            words.startswith(origin) for origin in SPLIT_BY_HAND
        )
        opens &= not words.startswith("archive.open(")  # a member of a zip, always bytes
        codes = "utf-8-sig" in modes and name == "decode"
        if (
            opens
            or splits
            or codes
            or name in ("read_text", "TextIOWrapper")
            and "text_files" not in words
        ):
            yield node.lineno, words


OPENERS = {"open", "io.open", "codecs.open", "gzip.open", "lzma.open"}


def test_nobody_else_opens_text() -> None:
    package = HERE / "plainbert"
    places = {
        f"{path.relative_to(package)}:{line}: {words}"
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(package)) not in BY_HAND
        for line, words in by_hand(ast.parse(path.read_bytes()))
    }
    assert places == set()
    assert all((package / name).is_file() for name in BY_HAND)


@pytest.mark.parametrize(
    "code",
    [
        "open(p)",
        "open(p, encoding='utf-8')",
        "p.open(encoding='utf-8')",
        "p.open('r')",
        "gzip.open(p, 'rt')",
        "p.read_text('utf-8')",
        "text.splitlines()",
        "file.readlines()",
        "io.TextIOWrapper(raw)",
        "data.decode('utf-8-sig')",
    ],
)
def test_the_check_sees(code: str) -> None:
    assert list(by_hand(ast.parse(code)))
    assert not list(by_hand(ast.parse("open(p, 'rb'); p.open('wb'); os.open(p); Shards.open(p)")))
