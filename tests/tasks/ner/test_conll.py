"""Files of words and tags: the real ones, cut small, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import lzma
import re
from pathlib import Path

import pytest

from plainbert.errors import DataError, UnknownNameError
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.conll import Sentence

NER = Path(__file__).parents[2] / "fixtures" / "ner"


def by_hand(path: Path) -> list[list[tuple[str, str]]]:
    """A file without faults, read the short way: blocks, lines, first and last word of a line."""
    blocks = re.split(r"\n[ \t]*\n", path.read_text("utf-8"))
    found = [
        [(line.split()[0], line.split()[-1]) for line in block.split("\n") if line.strip()]
        for block in blocks
    ]
    return [block for block in found if block and block[0][0] != "-DOCSTART-"]


@pytest.mark.parametrize("name", ["wnut17.conll", "wikigold.conll", "ncbi.txt"])
def test_real_files(name: str) -> None:
    data = conll.read(NER / name)

    assert data.form == "columns"
    assert data.problems == {}
    assert data.tagged
    assert len(data) > 25
    got = [list(zip(each.words, each.tags or (), strict=True)) for each in data.sentences]
    assert got == by_hand(NER / name)
    lines = (NER / name).read_text("utf-8").split("\n")
    for sentence in data.sentences:
        for word, line in zip(sentence.words, sentence.lines, strict=True):
            assert lines[line - 1].split()[0] == word


def test_the_faults_of_the_broad_twitter_corpus() -> None:
    """Ten lines: six without a word, four whose word holds a blank."""
    path = NER / "btc.conll"
    lines = path.read_text("utf-8").split("\n")
    sizes = {number: len(line.split("\t")[0].split()) for number, line in enumerate(lines, 1)
             if line.strip()}  # fmt: skip
    assert list(sizes.values()).count(1) == len(sizes) - 10

    data = conll.read(path)

    found = {reason: [int(each.split(":")[1]) for each in lines_]
             for reason, lines_ in data.problems.items()}  # fmt: skip
    assert found == {
        conll.NO_WORD: [number for number, size in sizes.items() if size == 0],
        conll.BLANK_INSIDE: [number for number, size in sizes.items() if size > 1],
    }
    for each in sum(data.problems.values(), []):
        assert each.startswith(f"{path}:")
        assert repr(lines[int(each.split(":")[1]) - 1]) in each
    words = [word for sentence in data.sentences for word in sentence.words]
    assert {"ke s", "re y", "u R", "AD t"} <= set(words)
    assert len(words) == sum(bool(line.split("\t")[0].strip()) for line in lines if line.strip())
    assert "" not in words


@pytest.mark.parametrize(
    ("name", "pack"), [("a.conll", bytes), ("a.conll.gz", gzip.compress), ("a.xz", lzma.compress)]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_dress_of_the_text(tmp_path: Path, name: str, pack: object, end: str) -> None:
    text = "\ufeff" + end.join(
        ["Zoë B-PER", "weint O", "\t", ". O", "", "", "", "東京\u3000 B-LOC"]
    )
    (tmp_path / name).write_bytes(pack(text.encode()))  # type: ignore[operator]

    data = conll.read(tmp_path / name)

    assert data.sentences == [
        Sentence(("Zoë", "weint"), ("B-PER", "O"), (1, 2)),
        Sentence((".",), ("O",), (4,)),
        Sentence(("東京\u3000",), ("B-LOC",), (8,)),
    ]


def test_four_columns_and_documents(tmp_path: Path) -> None:
    path = tmp_path / "eng.train"
    path.write_text(
        "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n-DOCSTART- -X- -X- O\n"
        "New York NNP I-NP I-LOC\n"
    )

    data = conll.read(path)

    assert [each.words for each in data.sentences] == [("EU", "rejects"), ("New York",)]
    assert [each.tags for each in data.sentences] == [("I-ORG", "O"), ("I-LOC",)]
    assert list(data.problems) == [conll.BLANK_INSIDE]
    assert f"{path}:7:" in data.problems[conll.BLANK_INSIDE][0]


def test_words_without_tags(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("Anna\nsings\n\nwell\n")

    data = conll.read(path, tagged=False)

    assert data.sentences == [
        Sentence(("Anna", "sings"), None, (1, 2)),
        Sentence(("well",), None, (4,)),
    ]  # noqa: E501
    assert not data.tagged
    with pytest.raises(DataError, match=r"words\.txt:1: a word without a tag"):
        conll.read(path)


def test_a_sentence_a_line(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("how are you\tO O Q\n\nfine  thanks \tC P \nyes\tP\n")

    data = conll.read(path)

    assert data.form == "rows"
    assert [each.words for each in data.sentences] == [
        ("how", "are", "you"),
        ("fine", "thanks"),
        ("yes",),
    ]  # noqa: E501
    assert [each.tags for each in data.sentences] == [("O", "O", "Q"), ("C", "P"), ("P",)]
    assert [each.lines[0] for each in data.sentences] == [1, 3, 4]


def test_a_sentence_a_line_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("how are you\nyes\n")
    assert [each.words for each in conll.read(path, tagged=False).sentences] == [
        ("how", "are", "you"),
        ("yes",),
    ]
    plain = path.rename(tmp_path / "test.txt")
    assert len(conll.read(plain, form="rows", tagged=False)) == 2
    with pytest.raises(DataError, match="column"):
        conll.read(plain, tagged=False)
    (tmp_path / "c.conll").write_text("a\tO\n\nb\tO\n")
    assert conll.read(tmp_path / "c.conll", form="rows").form == "columns"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sentence"),
        ("\n\t\n\n", "holds no sentence"),
        ("-DOCSTART- O\n", "holds no sentence"),
        ("a O\nb O\nc\n", r"x\.conll:3: 1 column\(s\); 2 are expected"),
        ("a\tO\nb\tN\tO\nc\tO\n", r"x\.conll:2: 3 column\(s\); 2 are expected"),
        ("a b c\tO O O\nd e f\tO O\n", r"x\.conll:2: 3 words and 2 labels"),
        ("a b c\tO O O\nd e f\tO O O\tO\n", r"x\.conll:2: 3 words and 4 labels in 3 column"),
        ("a b\tO O\nc d\n", r"x\.conll:2: a word without a tag"),
        ("a\0 O\n", r"x\.conll:1: holds a NUL byte"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.conll").write_text(text)
    with pytest.raises(DataError, match=message):
        conll.read(tmp_path / "x.conll")


def test_bytes_that_are_no_text_and_forms_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_bytes(b"a O\n\xff O\n")
    with pytest.raises(DataError, match=r"x\.conll:2: is not UTF-8"):
        conll.read(tmp_path / "x.conll")
    with pytest.raises(UnknownNameError, match="columns, rows"):
        conll.read(tmp_path / "x.conll", form="column")
