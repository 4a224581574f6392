"""Files of predictions: what is written can be read again, and by conlleval's rules."""

from __future__ import annotations

from pathlib import Path

import pytest
import seqeval.metrics
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plainbert import files
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.conll import Sentence
from plainbert.tasks.ner.decode import Entity, Tagging, Word
from plainbert.tasks.ner.result_files import comparable, record, report, score, table
from plainbert.tasks.ner.tags import TagSet

BIOES = TagSet(("O", "B-A", "E-A", "S-A", "S-B"), "bioes")
PLAIN = TagSet(("O", "C", "B-A"), "plain")
SENTENCES = [
    Sentence(("New York", "is", "big"), ("I-A", "O", "O"), (1, 2, 3)),
    Sentence(("猫\u3000", "a"), ("S-B", "B-A"), (5, 6)),
    Sentence(("x",), ("O",), (8,)),
]
SAID = [["S-A", "O", "S-B"], ["B-A", "E-A"], ["O"]]


def test_columns_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out.conll"
    path.write_text(table(SENTENCES, SAID, ".conll", BIOES))

    again = conll.read(path)

    assert [each.words for each in again.sentences] == [each.words for each in SENTENCES]
    assert [each.tags for each in again.sentences] == [("B-A", "O", "B-B"), ("B-A", "I-A"), ("O",)]
    lines = path.read_text().splitlines()
    assert lines[:4] == ["New York B-A B-A", "is O O", "big O B-B", ""]
    bare = [Sentence(each.words) for each in SENTENCES]
    assert table(bare, SAID, ".conll", BIOES).splitlines()[:2] == ["New York B-A", "is O"]


WORDS = st.text(
    st.sampled_from("ab1# \u00a0\u2028\t\n\r\\-\u3000\x0b\x85|"), min_size=1, max_size=6
)


@pytest.mark.parametrize("suffix", [".tsv", ".conll", ".txt"])
@pytest.mark.parametrize("tags", [BIOES, PLAIN])
@pytest.mark.parametrize("own", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-A", "E-A"])), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
@example(rows=[[("New York", "B-A"), ("is", "O")], [("1 000", "B-A"), ("birds", "O")]])
@example(rows=[[("-DOCSTART-", "O"), ("a", "B-A")], [("#", "O")]])
@example(rows=[[("1", "O"), ("2", "O")], [("1", "O"), ("2", "O"), ("3", "O")]])
@example(rows=[[("a\tb", "O"), ("c\nd", "O"), ("\\n", "O"), (" e", "O")]])
def test_words_of_any_characters_come_back(
    tmp_path: Path, suffix: str, tags: TagSet, own: bool, rows: list[list[tuple[str, str]]]
) -> None:
    words = [tuple(word for word, _ in row) for row in rows]
    predicted = [[tag for _, tag in row] for row in rows]
    gold = [("O",) * len(row) for row in rows] if own else [None] * len(rows)
    sentences = [Sentence(*each) for each in zip(words, gold, strict=True)]
    path = tmp_path / f"out{suffix}"
    files.write_text(path, table(sentences, predicted, suffix, tags))

    again = conll.read(path)

    assert [each.words for each in again.sentences] == words
    assert [list(each.tags or ()) for each in again.sentences] == [
        comparable(row, tags) for row in predicted
    ]


def test_rows_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    path.write_text(table(SENTENCES[1:], SAID[1:], ".tsv", PLAIN))

    again = conll.read(path)

    assert again.form == "rows"
    assert [each.tags for each in again.sentences] == [("B-A", "E-A"), ("O",)]


def test_scores_do_not_depend_on_the_scheme() -> None:
    gold = [each.tags or () for each in SENTENCES]

    found = score(SAID, gold, BIOES)

    assert found["f1"] == seqeval.metrics.f1_score([list(each) for each in gold], SAID)
    assert comparable(SAID[1], BIOES) == ["B-A", "I-A"]
    assert comparable(SAID[1], PLAIN) == SAID[1]
    assert report(SAID, gold, BIOES)["all"]["f1"] == found["f1"]
    assert set(score(SAID, gold, PLAIN)) == {"macro_f1", "micro_f1", "accuracy"}
    assert report(SAID, gold, PLAIN)["O"]["recall"] == pytest.approx(2 / 3)


def test_a_line_of_json() -> None:
    words = (Word("New", 0, 3, "B-A", 0.5), Word("York", 4, 8, "E-A", 0.75))
    found = Tagging("New York", words, (Entity("New York", "A", 0, 8, 0.625),))

    assert record(found, BIOES) == {
        "text": "New York",
        "entities": [{"text": "New York", "type": "A", "start": 0, "end": 8, "score": 0.625}],
    }
    assert record(found, PLAIN)["words"][1] == {
        "text": "York",
        "start": 4,
        "end": 8,
        "label": "E-A",
        "score": 0.75,
    }
