"""Tags of words and entities of texts, against the model run on one sentence at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.model import load
from plainbert.tasks.ner import decode as tagging
from plainbert.tasks.ner.features import featurize_words
from plainbert.tasks.ner.tags import TagSet
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import folders
from tests.helpers.rounding import rounding, terms_of

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TINY = folders.tokenizer()
ROUNDING = rounding(terms_of(folders.CONFIG))  # of shares
SENTENCES = [("the", "cat", "ab"), ("a",), ("cat", "\u200b", "aba", "b", "the"), ("c", "c")]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(7)
    changed = folders.tiny("token_classification", id2label=LABELS)
    return changed


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("m") / "model"
    return str(checkpoint.write(path, model, TINY, about={"max_length": 12}))


def slow(model: Any, words: tuple[str, ...]) -> list[tuple[str, float]]:
    """Tag and probability of each word: the first piece of each in [CLS] pieces [SEP]."""
    vocab, ids, firsts = TINY.vocab, [TINY.vocab.cls_id], []
    for word in words:
        pieces = TINY.ids(word)
        firsts.append(len(ids) if pieces else -1)
        ids += pieces
    with torch.no_grad():
        logits = model(torch.tensor([[*ids, vocab.sep_id]]))[0].double().softmax(-1)
    found = []
    for first in firsts:
        share, row = logits[first].max(0) if first > 0 else (torch.tensor(0.0), torch.tensor(0))
        found.append((LABELS[int(row)], float(share)))
    return found


def test_words_of_sentences(model: Any, folder: str) -> None:
    found = load(folder).tag(SENTENCES)

    said = set()
    for words, answer in zip(SENTENCES, found, strict=True):
        right = slow(model, words)
        assert answer.tags == [tag for tag, _ in right]
        assert [word.score for word in answer.words] == pytest.approx(
            [share for _, share in right], rel=0, abs=ROUNDING
        )
        assert answer.text == " ".join(words)
        assert tuple(word.text for word in answer.words) == words
        said |= set(answer.tags)
    assert len(said) > 1  # a tagger that says one thing would hide mix-ups


def test_a_text_is_split_and_its_entities_are_pieces_of_it(model: Any, folder: str) -> None:
    text = "The cat, ab!  Cat\u3000aba-b\n猫c"

    answer = load(folder).tag(text, max_len=32)

    words = ["The", "cat", ",", "ab", "!", "Cat", "aba", "-", "b", "猫", "c"]
    assert [word.text for word in answer.words] == words
    assert [(word.tag, word.score) for word in answer.words] == [
        (tag, pytest.approx(share, rel=0, abs=ROUNDING)) for tag, share in slow(model, tuple(words))
    ]
    assert answer.entities
    for entity in answer.entities:
        assert text[entity.start : entity.end] == entity.text
        inside = [word for word in answer.words if entity.start <= word.start < entity.end]
        assert all(word.tag[2:] == entity.type for word in inside)
        assert entity.score == pytest.approx(np.mean([word.score for word in inside]))
    covered = sum(word.tag != "O" for word in answer.words)
    assert covered == sum(
        entity.start <= word.start < entity.end
        for entity in answer.entities
        for word in answer.words
    )


def test_entities_by_hand() -> None:
    texts = ["Anna Lee met Bo in New York"]
    words = tuple(texts[0].split())
    names = ["B-PER", "I-PER", "O", "I-PER", "O", "B-LOC", "I-LOC"]
    vocab = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    features = featurize_words(WordPiece(vocab, lower=False), [words], 16)
    logits = np.zeros((len(features.features.ids), len(LABELS)), np.float32)
    for place, name in zip(features.first, names, strict=True):
        logits[place, LABELS.index(name)] = 3 + place
    tags = TagSet(LABELS, "iob2")

    ((said, shares),) = tagging.decide(logits, features, tags)

    assert said == names
    right = [np.exp(3 + place) / (np.exp(3 + place) + 4) for place in range(1, 8)]
    assert shares == pytest.approx(right)
    made = tagging._tagging(texts[0], tagging._places(words), said, shares, entities=True)
    assert [(each.text, each.type, each.start, each.end) for each in made.entities] == [
        ("Anna Lee", "PER", 0, 8),
        ("Bo", "PER", 13, 15),
        ("New York", "LOC", 19, 27),
    ]
    assert made.entities[2].score == pytest.approx(sum(right[5:]) / 2)


@given(text=st.text(alphabet="aAbé .,-'\u0301\u200b\u3000\n猫日İ🙂\ud800#", max_size=20))
def test_any_text_is_split_without_overlap(text: str) -> None:
    places = tagging.split(TINY, text)

    assert all(start < end for start, end in places)
    assert all(one[1] <= two[0] for one, two in zip(places, places[1:], strict=False))
    rest = [
        text[place]
        for place in range(len(text))
        if not any(start <= place < end for start, end in places)
    ]
    assert not any(char.isalnum() or char in ".,-'#" for char in rest)
    # The words, each on its own, are the pieces of the whole text.
    if "#" not in text and "\u0301" not in text:
        apart = [piece for start, end in places for piece in TINY.ids(text[start:end])]
        assert apart == TINY.ids(text)


def test_plain_labels_have_no_entities(tmp_path: Any) -> None:
    torch.manual_seed(3)
    path = checkpoint.write(tmp_path / "m", folders.tiny("token_classification"), TINY)

    answer = load(path).tag("the cat")

    assert {word.tag for word in answer.words} <= set(folders.LABELS)
    assert answer.entities == ()


def test_long_texts_are_read_in_windows(model: Any, folder: str) -> None:
    words = ("the", "cat", "ab", "c") * 12
    opened = load(folder)

    answer = opened.tag(words)

    assert opened.max_len == 12
    assert len(answer.words) == 48
    beginning = slow(model, words[:8])  # 12 tokens: the first window
    assert answer.tags[:5] == [tag for tag, _ in beginning[:5]]
    assert opened.tag([]) == []
    empty = opened.tag("")
    assert (empty.words, empty.entities) == ((), ())


def test_what_is_no_tagger(tmp_path: Any, folder: str) -> None:
    for head, has in (("classification", "a classification head"), ("embedding", "no head")):
        path = checkpoint.write(tmp_path / head, folders.tiny(head), TINY)
        with pytest.raises(UsageError, match=f"{has}; tag needs a tagger"):
            load(path).tag("a")
    with pytest.raises(UsageError, match="max_len=33: this model has 32 positions"):
        load(folder).tag("a", max_len=33)
