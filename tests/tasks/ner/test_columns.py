"""Files of columns as other tools write them, by the published descriptions of their formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from plainbert.errors import DataError
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.columns import ColumnChoice

Pairs = list[list[tuple[str, str]]]


def read(tmp_path: Path, text: str, word: str | None = None, tag: str | None = None) -> Pairs:
    """Words and tags of each sentence."""
    path = tmp_path / "x.conll"
    path.write_text(text)
    data = conll.read(path, choice=ColumnChoice(word, tag))
    for sentence in data.sentences:  # the line of each word is known, whatever was left out
        lines = text.split("\n")
        assert all(word in lines[line - 1] for word, line in zip(sentence.words, sentence.lines,
                                                                 strict=True))  # fmt: skip
    return [list(zip(each.words, each.tags or (), strict=True)) for each in data.sentences]


GERMEVAL = (
    "#\thttp://example.org/a [2011-01-02]\n1\tIm\tO\tO\n2\tKieler\tB-LOCderiv\tO\n"
    "3\tHafen\tO\tO\n4\t#\tO\tB-OTH\n\n"
    "#\thttp://example.org/b [2011-01-03]\n1\tBerta\tB-PER\tO\n2\tsang\tO\tO\n"
)
# Sentences of the CoNLL-U description (universaldependencies.org/format.html), cut.
CONLLU = (
    "# newdoc\n# sent_id = 1\n# text = vámonos al mar\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_\n"
    "3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_\n"
    "4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_\n5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No\n\n"
    "# text = Sue likes coffee\n"
    "1\tSue\tSue\tPROPN\t_\t_\t2\tnsubj\t_\t_\n2\tlikes\tlike\tVERB\t_\t_\t0\troot\t_\t_\n"
    "3\tcoffee\tcoffee\tNOUN\t_\t_\t2\tobj\t_\t_\n3.1\tlikes\tlike\tVERB\t_\t_\t_\t_\t_\t_\n"
)


def test_germeval(tmp_path: Path) -> None:
    inner = [
        [("Im", "O"), ("Kieler", "O"), ("Hafen", "O"), ("#", "B-OTH")],
        [("Berta", "O"), ("sang", "O")],
    ]
    assert read(tmp_path, GERMEVAL) == inner
    outer = [
        [("Im", "O"), ("Kieler", "B-LOCderiv"), ("Hafen", "O"), ("#", "O")],
        [("Berta", "B-PER"), ("sang", "O")],
    ]
    assert read(tmp_path, GERMEVAL, tag="2") == read(tmp_path, GERMEVAL, tag="-2") == outer
    data = conll.read(tmp_path / "x.conll")
    assert data.form == "columns"  # although the last part of the first line holds a blank
    assert data.notes[0] == (
        f"2 remarks left out. First: {tmp_path / 'x.conll'}:1: "
        "'#\\thttp://example.org/a [2011-01-02]'"
    )
    assert "the first column counts the words and is left out" in data.notes
    assert (
        "column 2 marks entities, too: finetune_ner.py --tag_column 2 would take it" in data.notes
    )


def test_conll_u(tmp_path: Path) -> None:
    right = [
        [("vamos", "VERB"), ("nos", "PRON"), ("a", "ADP"), ("el", "DET"), ("mar", "NOUN")],
        [("Sue", "PROPN"), ("likes", "VERB"), ("coffee", "NOUN")],
    ]
    assert read(tmp_path, CONLLU, tag="3") == right
    notes = conll.read(tmp_path / "x.conll", choice=ColumnChoice(tag="3")).notes
    assert notes[0].startswith("4 remarks left out")
    assert notes[1].startswith("3 ranges and empty nodes left out")
    plus = "# global.columns = ID FORM LEMMA UPOS X1 X2 X3 X4 X5 MISC\n" + CONLLU
    assert read(tmp_path, plus, tag="UPOS") == right
    assert [pair[0] for pair in read(tmp_path, plus, "LEMMA", "UPOS")[0]][:2] == ["ir", "nosotros"]
    # The last column holds no tags: it is not learned in silence, and no gold of a test set.
    with pytest.raises(DataError, match=r"of its 10 columns .*--tag_column"):
        read(tmp_path, CONLLU)
    bare = conll.read(tmp_path / "x.conll", tagged=False)
    assert [each.tags for each in bare.sentences] == [None, None]
    assert bare.sentences[1].words == ("Sue", "likes", "coffee")


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_multiconer(tmp_path: Path, gap: str) -> None:
    """The remark has as many parts as the lines of words."""
    text = (
        f"# id 5239d808-f300{gap}domain=en\nits _ _ O\nDallas _ _ B-LOC\n# _ _ B-CORP\n\n\n"
        f"# id 8c8c-17{gap}domain=en\n# _ _ O\nwow _ _ O\n"
    )
    assert read(tmp_path, text) == [
        [("its", "O"), ("Dallas", "B-LOC"), ("#", "B-CORP")],
        [("#", "O"), ("wow", "O")],
    ]
    hidden = text.replace(" O\n", " _\n").replace("B-LOC", "_").replace("B-CORP", "_")
    (tmp_path / "test.conll").write_text(hidden)
    data = conll.read(tmp_path / "test.conll", tagged=False)
    assert [each.words for each in data.sentences] == [("its", "Dallas", "#"), ("#", "wow")]
    assert not data.tagged


def test_documents_of_ontonotes(tmp_path: Path) -> None:
    text = (
        "#begin document (bc/cctv); part 000\nbc 0 0 In IN O\nbc 0 1 Kiel NNP B-GPE\n\n"
        "bc 0 0 Anna NNP B-PER\n#end document\n#begin document (nw/x); part 001\n"
        "nw 1 0 # NN O\n\n#end document\n"
    )
    right = [[("In", "O"), ("Kiel", "B-GPE")], [("Anna", "B-PER")], [("#", "O")]]
    assert read(tmp_path, text, word="3") == read(tmp_path, text, word="-3", tag="-1") == right
    two = text.replace("bc 0 0 ", "").replace("bc 0 1 ", "").replace("nw 1 0 ", "")
    assert read(tmp_path, two.replace(" IN", "").replace(" NNP", "").replace(" NN", "")) == right


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_words_that_begin_like_remarks(tmp_path: Path, gap: str) -> None:
    """Hashtags of tweets, and the pound sign of the Penn Treebank, whose tag is #."""
    text = "\n".join(
        gap.join(row)
        for row in (
            ("#", "B-CAMPAIGN"), ("metoo", "I-CAMPAIGN"), ("#x", "O"), ("#", "O"), ("b", "O")
        )
    )  # fmt: skip
    assert read(tmp_path, f"{text}\n\n#tag{gap}O\n") == [
        [("#", "B-CAMPAIGN"), ("metoo", "I-CAMPAIGN"), ("#x", "O"), ("#", "O"), ("b", "O")],
        [("#tag", "O")],
    ]
    pounds = f"#{gap}#\n20{gap}CD\n\nplus{gap}CC\n#{gap}#\n5{gap}CD\n"
    assert read(tmp_path, pounds) == [
        [("#", "#"), ("20", "CD")],
        [("plus", "CC"), ("#", "#"), ("5", "CD")],
    ]
    bare = tmp_path / "bare.conll"
    bare.write_text("# id 7\n#\nmetoo\n\n#tag\n")
    words = [each.words for each in conll.read(bare, tagged=False).sentences]
    assert words == [("#", "metoo"), ("#tag",)]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        # From 0, from 1, through the whole file; two sentences that nothing parts.
        ("0 A X O\n1 b X O\n\n0 c X B-Q\n", [["A", "b"], ["c"]]),
        ("1 A O\n2 b O\n\n1 c B-Q\n2 d O\n", [["A", "b"], ["c", "d"]]),
        ("1 A O\n2 b O\n\n3 c B-Q\n4 d O\n", [["A", "b"], ["c", "d"]]),
        # Numbers that are words: what follows them are tags.
        ("1 O\n2 O\n3 B-N\n\n1 O\n2 O\n", [["1", "2", "3"], ["1", "2"]]),
        ("1 O O\n2 B-N B-N\n\n1 O O\n", [["1", "2"], ["1"]]),
        # They do not count.
        ("7 CD O\n8 CD O\n\n3 CD B-Q\nx NN O\n", [["7", "8"], ["3", "x"]]),
        ("010 CD O\n011 CD B-Q\n", [["010", "011"]]),
        ("1 CD O\n1 CD O\n\n1 CD B-N\n5 CD O\n", [["1", "1"], ["1", "5"]]),
    ],
)
def test_numbers_that_count_and_numbers_that_are_words(
    tmp_path: Path, text: str, right: list[list[str]]
) -> None:
    for gap in (" ", "\t"):
        pairs = read(tmp_path, text.replace(" ", gap))
        assert [[word for word, _ in sentence] for sentence in pairs] == right
    first = read(tmp_path, text, word="0")
    assert first[0][0][0] == text.split()[0]


def test_counted_words_without_tags(tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_text("1\tWir\n2\tgehen\n\n1\tJa\n")
    data = conll.read(tmp_path / "x.conll", tagged=False)
    assert [(each.words, each.tags) for each in data.sentences] == [
        (("Wir", "gehen"), None),
        (("Ja",), None),
    ]


def test_columns_by_name(tmp_path: Path) -> None:
    text = "id\tWord\tPOS\tEntity\n7\tAnna\tNNP\tB-PER\n8\tsings\tVB\tO\n\n9\t.\t.\tO\n"
    right = [[("Anna", "B-PER"), ("sings", "O")], [(".", "O")]]
    assert read(tmp_path, text, "Word", "Entity") == right
    pos = [[("Anna", "NNP"), ("sings", "VB")], [(".", ".")]]
    assert read(tmp_path, text, "Word", "POS") == read(tmp_path, text, "Word", "2") == pos
    # A header that calls its columns by the usual names needs no flags.
    usual = "token label\nAnna B-PER\nsings O\n"
    assert read(tmp_path, usual) == [[("Anna", "B-PER"), ("sings", "O")]]


@pytest.mark.parametrize(
    ("word", "tag", "message"),
    [
        ("4", None, r"--word_column 4: most lines have 3 column\(s\), numbered from 0 to 2"),
        (None, "-4", r"--tag_column -4"),
        (None, "ner", r"--tag_column ner"),
        ("1", "-2", r"column 1 cannot hold both"),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, word: str | None, tag: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, "a X O\nb X O\n", word, tag)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a\tO\nb c\tO B\n\nd\tO\n\ne\tO\n", "columns"),  # one line decides nothing
        ("how are you\tO O Q\n\nfine  thanks \tC P \nyes\tP\n", "rows"),
        ("yes\tP\nno\tP\nhow are you\tO O Q\nwell\tP\n", "rows"),
        ("aspirin\tB-Medical Drug\nhelps\tO\n", "columns"),
    ],
)
def test_the_form_is_what_most_lines_say(tmp_path: Path, text: str, form: str) -> None:
    (tmp_path / "x.tsv").write_text(text)
    assert conll.read(tmp_path / "x.tsv").form == form


def test_one_line_between_blanks_in_a_file_of_tabs(tmp_path: Path) -> None:
    text = "New York\tB-LOC\nis\tO\nbig O\n\nok\tO\n"
    assert read(tmp_path, text) == [
        [("New York", "B-LOC"), ("is", "O"), ("big", "O")],
        [("ok", "O")],
    ]
    with pytest.raises(DataError, match=r"x\.conll:3: 1 column\(s\); 2 are expected"):
        read(tmp_path, text.replace("big O", "New York"))


# Columns as the CoNLL-2012 description orders them: named entities before the coreference.
ONTONOTES = (
    "#begin document (bc/a); part 000\n"
    "bc/a 0 0 Anna NNP (TOP(S(NP* - - - A (PERSON* (12\n"
    "bc/a 0 1 Lee NNP *) - - - A *) 12)\n"
    "bc/a 0 2 saw VBD (VP* see 01 1 A * -\n"
    "bc/a 0 3 New NNP (NP* - - - A (GPE* -\n"
    "bc/a 0 4 York NNP * - - - A * -\n"
    "bc/a 0 5 City NNP *)) - - - A *) -\n"
    "bc/a 0 6 today NN *)) - - - A (DATE) -\n\n"
    "#end document\n"
)


def test_brackets_of_ontonotes(tmp_path: Path) -> None:
    assert read(tmp_path, ONTONOTES, word="3", tag="10") == [
        [("Anna", "B-PERSON"), ("Lee", "I-PERSON"), ("saw", "O"), ("New", "B-GPE"),
         ("York", "I-GPE"), ("City", "I-GPE"), ("today", "B-DATE")]
    ]  # fmt: skip
    notes = conll.read(tmp_path / "x.conll", choice=ColumnChoice("3", "10")).notes
    assert notes[-1].startswith("brackets mark the entities")
    # The last column is the coreference: what it holds stays, and the other one is named.
    data = conll.read(tmp_path / "x.conll", choice=ColumnChoice("3"))
    assert data.sentences[0].tags == ("(12", "12)", "-", "-", "-", "-", "-")
    assert any(note.startswith("column 10 marks entities, too") for note in data.notes)


def test_brackets_that_are_not_closed(tmp_path: Path) -> None:
    text = "a (PER*\nb *\n\nc *)\nd (LOC*\ne (ORG)\n\nf *\n"
    assert read(tmp_path, text) == [
        [("a", "B-PER"), ("b", "I-PER")],
        [("c", "O"), ("d", "B-LOC"), ("e", "B-ORG")],
        [("f", "O")],
    ]


def test_tags_before_the_words_are_not_learned_as_words(tmp_path: Path) -> None:
    text = "B-PER Anna\nI-PER Lee\nO saw\nB-LOC Kiel\n\nB-LOC Ulm\nO sleeps\n"
    with pytest.raises(DataError, match="holds tags of entities.*--word_column 1 --tag_column 0"):
        read(tmp_path, text)
    assert read(tmp_path, text, word="1", tag="0")[1] == [("Ulm", "B-LOC"), ("sleeps", "O")]
    # One word that looks like a tag is a word.
    assert read(tmp_path, "I-95 B-LOC\nis O\nclosed O\n")[0][0] == ("I-95", "B-LOC")


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json", "x.JSONL.gz"])
def test_tables_of_other_kinds_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"words": ["Ulm", "sleeps"], "labels": ["B-LOC", "O"]}\n')
    with pytest.raises(DataError, match=rf"is a \.{name.lower()[2:].removesuffix('.gz')} file"):
        conll.read(path)
