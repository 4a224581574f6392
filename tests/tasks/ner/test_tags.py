"""Schemes of tags and the entities they mark, against seqeval."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Entities

from plainbert.errors import DataError, UnknownNameError
from plainbert.nn.names import IGNORE
from plainbert.tasks.ner import conll, tags
from plainbert.tasks.ner.conll import Sentence, Sentences
from plainbert.tasks.ner.tags import EntitySpan, TagSet

NER = Path(__file__).parents[2] / "fixtures" / "ner"
ANY = st.lists(
    st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC"))])
)
STRICT = {"iob1": IOB1, "iob2": IOB2, "bioes": IOBES}


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[EntitySpan], int]:
    """Entities and the length of their sentence."""
    place, found = 0, []
    for kind in draw(st.lists(st.sampled_from(["PER", "LOC", "A-B"]), max_size=6)):
        start = place + draw(st.integers(0, 2))
        place = start + draw(st.integers(1, 3))
        found.append(EntitySpan(kind, start, place))
    return found, place + draw(st.integers(0, 2))


def data(*sentences: str) -> Sentences:
    """Sentences from their tags, a word a line."""
    made, line = [], 0
    for tags_ in sentences:
        each = tuple(tags_.split())
        places = tuple(range(line + 1, line + 1 + len(each)))
        made.append(Sentence(tuple("w" * len(each)), each, places))
        line += len(each) + 1
    return Sentences(made, Path("f.conll"), "columns")


@given(ANY)
def test_entities_are_those_of_seqeval_however_broken_the_tags(words: list[str]) -> None:
    theirs = [EntitySpan(kind, start, end + 1) for kind, start, end in get_entities(words)]

    assert tags.spans(words) == theirs


@pytest.mark.parametrize("scheme", tags.SCHEMES)
@given(text=texts())
def test_schemes_are_as_seqeval_reads_them_strictly(
    scheme: str, text: tuple[list[EntitySpan], int]
) -> None:
    entities, length = text

    made = tags.encode(entities, length, scheme)

    strict = Entities([made], STRICT[scheme]).entities[0]
    assert [EntitySpan(each.tag, each.start, each.end) for each in strict] == entities
    assert tags.spans(made) == entities
    for other in tags.SCHEMES:
        assert tags.convert(tags.convert(made, other), scheme) == made


def test_letters_of_other_systems() -> None:
    bilou = ["B-A", "I-A", "L-A", "U-B", "O"]
    assert tags.convert(bilou, "bioes") == ["B-A", "I-A", "E-A", "S-B", "O"]
    assert tags.convert(["B", "M", "E", "S"], "bioes") == ["B", "I", "E", "S"]
    assert tags.convert(["B-o", "M-o", "E-o", "W-o"], "iob2") == ["B-o", "I-o", "I-o", "B-o"]
    assert tags.convert(["B-A", "LOC", "I-A"], "iob2") == ["B-A", "O", "B-A"]
    assert tags.convert(["LOC", "B-A"], "plain") == ["LOC", "B-A"]


@pytest.mark.parametrize(
    ("words", "marks"),
    [
        ("O O B-PER I-PER", True),
        ("I-PER O", True),
        ("B-PER I-PER O LOC", True),
        ("LOC PER O O B-PER", False),
        ("C P Q E O", False),
        ("NN VB O", False),
        ("B M E S", True),
        ("O B I", True),
        ("O S E", False),
        ("B O B", False),
        ("O O", False),
        ("I- O", True),
    ],
)
def test_entities_or_plain_labels(words: str, marks: bool) -> None:
    assert tags.marks_entities(words.split()) is marks


@pytest.mark.parametrize(
    ("sentences", "scheme", "broken"),
    [
        (["I-PER I-PER O", "I-LOC B-LOC"], "iob1", 0),
        (["B-PER I-PER O", "B-LOC B-LOC"], "iob2", 0),
        (["B-PER E-PER O", "S-LOC"], "bioes", 0),
        (["B-PER L-PER O", "U-LOC"], "bioes", 0),
        (["B-PER O", "B-PER I-PER", "I-PER O"], "iob2", 1),
        (["B-PER E-PER", "S-PER O S-PER", "I-LOC"], "bioes", 1),
    ],
)
def test_which_scheme(sentences: list[str], scheme: str, broken: int) -> None:
    found = data(*sentences)

    assert tags.scheme_of(each.tags or () for each in found.sentences) == (scheme, broken)
    assert len(tags.faults(found, scheme)) == broken


def test_schemes_of_real_files() -> None:
    schemes = {}
    for name in ("wnut17.conll", "wikigold.conll", "ncbi.txt"):
        schemes[name] = tags.scheme_of(each.tags or () for each in conll.read(NER / name).sentences)
    assert schemes == {
        "wnut17.conll": ("iob2", 0),
        "wikigold.conll": ("iob1", 0),
        "ncbi.txt": ("iob2", 0),
    }


def test_faults_name_file_and_line() -> None:
    found = tags.faults(data("B-PER I-PER LOC", "I-PER E-PER Q-PER O"), "iob2")

    assert found == [
        "f.conll:3: 'LOC' is read as 'O' of iob2",
        "f.conll:5: 'I-PER' is read as 'B-PER' of iob2",
        "f.conll:6: 'E-PER' is read as 'I-PER' of iob2",
        "f.conll:7: 'Q-PER' is read as 'B-PER' of iob2",
    ]


def test_the_tags_of_a_training_set() -> None:
    train = data("I-PER I-PER O I-LOC", "O I-PER")

    assert TagSet.of(train, "bioes").labels == ("O", "S-LOC", "B-PER", "E-PER", "S-PER")
    assert TagSet.of(train).labels == ("O", "B-LOC", "B-PER", "I-PER")
    assert TagSet.of(train, "plain").labels == ("O", "I-LOC", "I-PER")
    plain = TagSet.of(data("P O", "C O E"))
    assert plain == TagSet(("O", "C", "E", "P"), "plain")
    assert not plain.entities
    assert TagSet.of(train, "bioes").ids(["I-PER", "I-PER", "O", "B-ORG"]) == [2, 3, 0, IGNORE]
    assert plain.ids(["E", "X"]) == [2, IGNORE]
    with pytest.raises(DataError, match=r"f\.conll: every word has the tag 'O'"):
        TagSet.of(data("O O"))
    with pytest.raises(UnknownNameError, match="bioes, iob2, plain"):
        TagSet.of(train, "iob1")


def test_tags_that_only_another_set_has() -> None:
    chosen = TagSet.of(data("I-PER I-PER O I-LOC"), "bioes")

    assert chosen.unknown(data("I-PER O", "I-ORG I-ORG", "I-LOC O I-ORG")) == Counter(
        {"S-PER": 1, "B-ORG": 1, "E-ORG": 1, "S-ORG": 1}
    )


def test_the_tags_of_a_trained_model() -> None:
    assert TagSet.trained(["O", "B-PER", "I-PER"]).scheme == "iob2"
    assert TagSet.trained(["X", "O", "B-PER", "E-PER"]).scheme == "bioes"
    assert TagSet.trained(["O", "C", "P"]).scheme == "plain"
    assert TagSet.trained(["O", "B-PER", "I-PER"], "plain").scheme == "plain"
