"""Tags of words and entities of texts, from logits set by hand."""

from __future__ import annotations

import numpy as np
import pytest

from plainbert.tasks.ner.decode import Entity, Tagging, Word, decode, decode_tags
from plainbert.tasks.ner.features import prepare
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.ner.words import SplitText
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def tokenizer(*words: str) -> WordPiece:
    vocab = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    return WordPiece(vocab, lower=False)


def test_entities_by_hand() -> None:
    text = SplitText.joined(["Anna", "Lee", "met", "Bo", "in", "New", "York"])
    names = ["B-PER", "I-PER", "O", "I-PER", "O", "B-LOC", "I-LOC"]
    features = prepare(tokenizer(*text.words), [text.words], 16)
    logits = np.zeros((len(features.features.ids), len(LABELS)), np.float32)
    for place, name in zip(features.first, names, strict=True):
        logits[place, LABELS.index(name)] = 3 + place
    tags = TagSet(LABELS, "iob2")

    ((tag_names, shares),) = decode_tags(logits, features, tags)

    assert tag_names == names
    right = [np.exp(3 + place) / (np.exp(3 + place) + 4) for place in range(1, 8)]
    assert shares == pytest.approx(right)
    (tagging,) = decode(logits, features, [text], tags)
    assert tagging.tags == names
    entities = [(entity.text, entity.type, entity.start, entity.end) for entity in tagging.entities]
    assert entities == [
        ("Anna Lee", "PER", 0, 8),
        ("Bo", "PER", 13, 15),
        ("New York", "LOC", 19, 27),
    ]
    assert tagging.entities[2].score == pytest.approx(sum(right[5:]) / 2)


def test_plain_labels_and_words_without_a_token() -> None:
    text = SplitText("a\u200b b", [(0, 1), (1, 2), (3, 4)])
    features = prepare(tokenizer("a", "b"), [text.words, []], 16)
    logits = np.zeros((len(features.features.ids), 2), np.float32)
    logits[:, 1] = 1

    tagging, empty = decode(
        logits, features, [text, SplitText("", [])], TagSet(("B-X", "I-X"), "plain")
    )

    assert [(word.text, word.tag) for word in tagging.words] == [
        ("a", "I-X"),
        ("\u200b", "B-X"),  # no token: the first label, probability 0
        ("b", "I-X"),
    ]
    assert [word.score for word in tagging.words] == pytest.approx([0.7310586, 0, 0.7310586])
    assert (tagging.entities, empty.words) == ((), ())


def test_a_tagging_from_its_plain_form() -> None:
    tagging = Tagging("a b", (Word("a", 0, 1, "B-X", 0.5),), (Entity("a", "X", 0, 1, 0.5),))
    plain = {
        "text": "a b",
        "words": [{"text": "a", "start": 0, "end": 1, "tag": "B-X", "score": 0.5}],
        "entities": [{"text": "a", "type": "X", "start": 0, "end": 1, "score": 0.5}],
    }

    assert Tagging.of(plain) == tagging


def by_place(names: list[str], labels: tuple[str, ...], first: object, size: int) -> np.ndarray:
    """Logits whose largest is that of each word's name, the next that of the label behind it."""
    logits = np.zeros((size, len(labels)), np.float32)
    for place, name in zip(first, names, strict=True):  # type: ignore[call-overload]
        row = labels.index(name)
        logits[place, row] = 5
        logits[place, (row + 1) % len(labels)] = 4
    return logits


@pytest.mark.parametrize("unnamed", [False, True])
def test_old_taggers_mark_entities_and_no_control_tokens(unnamed: bool) -> None:
    """Labels X, [CLS] and [SEP]: "Jean-Luc" is one word to such a tagger, three to ours."""
    labels = ("O", "B-PER", "I-PER", "X", "[CLS]", "[SEP]")
    # [SEP] is first choice of "met", whose next is O; X of "Bo", whose next real label is O.
    names = ["B-PER", "X", "X", "I-PER", "[SEP]", "X"]
    text = SplitText("Jean-Luc Lee met Bo", [(0, 4), (4, 5), (5, 8), (9, 12), (13, 16), (17, 19)])
    if unnamed:
        labels = ("LABEL_0", "O", "B-PER", "I-PER", "X", "[CLS]", "[SEP]")
    features = prepare(tokenizer(*text.words), [text.words], 16)
    logits = by_place(names, labels, features.first, len(features.features.ids))
    if unnamed:
        logits[:, 0] = 9  # a class that nobody named is no word's tag
        logits[features.first[4], labels.index("O")] = 4
    tags = TagSet.trained(labels)

    (tagging,) = decode(logits, features, [text], tags)

    assert tagging.tags[:5] == ["B-PER", "I-PER", "I-PER", "I-PER", "O"]
    assert tagging.tags[5] in ("O", "B-PER", "I-PER")  # apart from the word before: no piece of it
    assert [(each.text, each.type) for each in tagging.entities][0] == ("Jean-Luc Lee", "PER")
    # Words that a user parts are whole words.
    ((whole, _),) = decode_tags(logits, features, tags)
    assert not {*whole} & {"X", "[CLS]", "[SEP]", "LABEL_0"}


def test_plain_labels_of_old_taggers() -> None:
    labels = ("NOUN", "PUNCT", "X", "[CLS]", "[SEP]")
    text = SplitText("e-mail !", [(0, 1), (1, 2), (2, 6), (7, 8)])
    features = prepare(tokenizer(*text.words), [text.words], 16)
    names = ["NOUN", "X", "X", "PUNCT"]
    logits = by_place(names, labels, features.first, len(features.features.ids))

    (tagging,) = decode(logits, features, [text], TagSet.trained(labels))

    assert tagging.tags == ["NOUN", "NOUN", "NOUN", "PUNCT"]
    assert tagging.entities == ()
