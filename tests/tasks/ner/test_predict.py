"""Texts in, tags and entities out, against the model run on one sentence at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.model import load
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


def test_plain_labels_have_no_entities(tmp_path: Any) -> None:
    torch.manual_seed(3)
    path = checkpoint.write(tmp_path / "m", folders.tiny("token_classification"), TINY)

    answer = load(path).tag("the cat")

    assert {word.tag for word in answer.words} <= set(folders.LABELS)
    assert answer.entities == ()


def test_long_texts_are_read_in_windows(model: Any, folder: str) -> None:
    words = ("the", "cat", "ab", "c") * 12
    opened = load(folder)

    [answer] = opened.tag([words])

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
