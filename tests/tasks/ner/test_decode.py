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
