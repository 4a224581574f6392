"""Tags however they are spelled, against seqeval's own reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from plainbert.tasks.ner import evaluate, tags
from plainbert.tasks.ner.conll import Sentence, Sentences
from plainbert.tasks.ner.spelling import canonical, marks_entities, parse
from plainbert.tasks.ner.tags import EntitySpan, TagSet

USUAL = st.lists(
    st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC"))]),
    min_size=1,
)
SPELLINGS = {
    "lower": str.lower,
    "lower letter": lambda tag: tag[0].lower() + tag[1:],
    "underscore": lambda tag: tag.replace("-", "_"),
    "colon": lambda tag: tag.replace("-", ":"),
    "dot": lambda tag: tag.replace("-", "."),
    "slash": lambda tag: tag.replace("-", "/"),
    "bar": lambda tag: tag.replace("-", "|"),
    "dash": lambda tag: tag.replace("-", "\u2013"),
    "hyphen of print": lambda tag: tag.replace("-", "\u2011"),
    "suffix": lambda tag: "-".join(reversed(tag.split("-"))),
    "suffix with underscore": lambda tag: "_".join(reversed(tag.split("-"))),
}


def data(rows: list[list[str]]) -> Sentences:
    sentences = [
        Sentence(tuple("w" * len(row)), tuple(row), tuple(range(1, len(row) + 1))) for row in rows
    ]
    return Sentences(sentences, Path("f.conll"), "columns")


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(row=USUAL)
def test_entities_are_those_of_the_usual_spelling(spelling: str, row: list[str]) -> None:
    spelled = [SPELLINGS[spelling](tag) for tag in row]
    theirs = [
        (kind.casefold(), start, end + 1) for kind, start, end in get_entities(row)
    ]  # seqeval knows the usual spelling

    ours = [(each.type.casefold(), each.start, each.end) for each in tags.spans(spelled)]

    assert ours == theirs
    if {"B", "I"} & {tag[0] for tag in row}:
        assert marks_entities(spelled)


@given(row=USUAL)
def test_letters_behind_are_read_as_seqeval_reads_them(row: list[str]) -> None:
    spelled = [SPELLINGS["suffix"](tag) for tag in row]
    theirs = [EntitySpan(kind, a, b + 1) for kind, a, b in get_entities(spelled, suffix=True)]
    assert tags.spans(spelled) == theirs


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_set_of_any_spelling_is_learned_as_entities(spelling: str) -> None:
    usual = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-LOC", "O", "O"]]
    odd = data([[SPELLINGS[spelling](tag) for tag in row] for row in usual])

    learned = TagSet.of(odd)

    assert learned.entities
    folded = [label.casefold() for label in learned.labels]
    assert folded == ["o", "b-loc", "b-per", "i-per"]
    assert learned.ids(odd.sentences[0].tags or ()) == [2, 3, 0, 1, 0]
    assert not learned.unknown(odd)
    # The scheme is kept by all of them; that they are spelled unusually is said once.
    assert tags.faults(odd, "iob2") == []
    assert set(tags.respelled(odd)) == {tag for row in odd.sentences for tag in row.tags or ()} - {
        "O"
    }
    # A trained model whose own labels are spelled so marks the same entities.
    trained = TagSet.trained([SPELLINGS[spelling](tag) for tag in learned.labels])
    assert trained.ids(odd.sentences[0].tags or ()) == [2, 3, 0, 1, 0]
    assert trained.entities


@pytest.mark.parametrize(
    "labels",
    [
        "NN VB O NN-TL -LRB-",
        "nsubj:pass obj root O det:poss",
        "PER LOC O",
        "VER:pres DET:ART NOM O",
        "e-mail phone O",
        "X Y Z O",
        "LABEL_0 LABEL_1",
    ],
)
def test_plain_labels_stay_plain(labels: str) -> None:
    assert not marks_entities(labels.split())


def test_words_of_no_entity() -> None:
    assert [parse(tag) for tag in ("o", "0", "_", "-", "O", "OTHER")] == [("O", "")] * 6
    assert canonical("U-PER") == "S-PER"
    assert canonical("creative_work-b") == "B-creative_work"
    assert tags.convert(["b_x", "_", "i_x"], "iob2") == ["B-x", "O", "B-x"]


def test_labels_of_old_taggers() -> None:
    labels = ["O", "B-LOC", "I-LOC", "X", "[CLS]", "[SEP]"]

    trained = TagSet.trained(labels)

    assert (trained.scheme, trained.controls, trained.pieces) == ("iob2", [4, 5], [3])
    unnamed = TagSet.trained(["LABEL_0", "O", "B-LOC", "I-LOC", "X", "[CLS]"])
    assert (unnamed.scheme, unnamed.controls, unnamed.nothing) == ("iob2", [0, 5], 1)
    # X is a part of speech, too.
    upos = TagSet.trained(["ADJ", "NOUN", "VERB", "X"])
    assert (upos.scheme, upos.controls, upos.pieces) == ("plain", [], [])
    assert TagSet.trained(["[PAD]", "C", "X", "[CLS]"]).pieces == [2]


def test_types_without_a_letter_are_unknown_to_a_tagger_of_entities() -> None:
    learned = TagSet(("O", "B-PER", "I-PER"), "iob2")
    other = data([["PER", "PER", "O", "X", "[CLS]", "o"], ["B-PER", "LOC", "B-LOC", "I_PER"]])
    assert learned.unknown(other) == {"PER": 2, "LOC": 1, "B-LOC": 1}
    plain = TagSet(("O", "LOC", "PER"), "plain")
    assert plain.unknown(data([["PER", "O", "ORG"]])) == {"ORG": 1}


def test_tags_that_only_look_like_entities_are_named(caplog: pytest.LogCaptureFixture) -> None:
    rows = data([["b_PER", "i_PER", "OUT", "OUT", "b_LOC"]])
    evaluate.describe(rows)
    assert "b_PER, b_LOC look as if they marked entities; they are plain labels" in caplog.text
    assert "(OUT)" in caplog.text
    caplog.clear()
    evaluate.describe(data([["NN", "VB", "B"], ["O", "PER"]]))
    assert "look as if" not in caplog.text
