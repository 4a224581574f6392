"""Vectors of texts against the plain model on one padded text at a time."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from plainbert.errors import UsageError
from plainbert.infer.prepare import prepare
from plainbert.nn.bert import Bert
from plainbert.nn.heads import Embedding
from plainbert.nn.pooling import Pooling
from plainbert.tasks.embedding import encode as steps
from plainbert.tasks.embedding.encode import encode, encode_tokens
from plainbert.text.wordpiece import WordPiece
from tests.helpers.rounding import rounding, terms_of
from tests.helpers.small_bert import SENTENCES

TEXTS = [*SENTENCES, ("the heron", "we sat by the river"), ("a", "")]


def one(
    bert: Bert, tokenizer: WordPiece, text: str | tuple[str, ...], masked: bool
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Every layer (L, D), the pooler's output (D,) and the mask (L,) of one text, plainly."""
    vocab = tokenizer.vocab
    parts = [text] if isinstance(text, str) else list(text)
    ids, types, mask = [vocab.cls_id], [0], [not masked]
    for segment, part in enumerate(parts):
        pieces = tokenizer.ids(part)
        ids += [*pieces, vocab.sep_id]
        types += [segment] * (len(pieces) + 1)
        mask += [True] * len(pieces) + [not masked]
    seen = mask if any(mask) else [True] * len(mask)
    with torch.no_grad():
        output = bert(
            torch.tensor([ids]), torch.tensor([types]), torch.tensor([seen]), every_layer=True
        )
    return [layer[0].numpy() for layer in output.layers], output.pooled[0].numpy(), np.array(mask)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "mask_cls_sep"])
@pytest.mark.parametrize("layers", [(-1,), (-2,), (-3, -1)], ids=str)
@pytest.mark.parametrize("kind", ["mean", "max", "first", "last"])
def test_matches_one_at_a_time(
    bert: Bert, tokenizer: WordPiece, kind: str, layers: tuple[int, ...], masked: bool
) -> None:
    pooling = Pooling(kind, layers, masked)
    got = encode(prepare(bert), tokenizer, TEXTS, pooling, tokens_per_batch=16)
    assert got.shape == (len(TEXTS), 32 * len(layers))
    assert got.dtype == np.float32
    terms = terms_of(bert.config)
    for row, text in zip(got, TEXTS, strict=True):
        every, _, mask = one(bert, tokenizer, text, masked)
        hidden = np.concatenate([every[layer] for layer in layers], axis=1)
        if not mask.any() and kind in ("mean", "max"):
            right = np.zeros(hidden.shape[1])
        elif kind in ("mean", "max"):
            right = getattr(hidden[mask], kind)(0)
        else:
            right = hidden[0 if kind == "first" else -1]
        np.testing.assert_allclose(row, right, rtol=0, atol=rounding(terms, hidden))


def test_pooled_and_normalised(bert: Bert, tokenizer: WordPiece) -> None:
    got = encode(prepare(bert), tokenizer, TEXTS, Pooling("pooled", normalize=True))
    for row, text in zip(got, TEXTS, strict=True):
        right = one(bert, tokenizer, text, False)[1]
        right /= np.linalg.norm(right)
        atol = rounding(terms_of(bert.config), right)
        np.testing.assert_allclose(row, right, rtol=0, atol=atol)


@pytest.mark.parametrize("masked", [False, True])
def test_every_token(bert: Bert, tokenizer: WordPiece, masked: bool) -> None:
    features, got = encode_tokens(
        prepare(bert), tokenizer, TEXTS, Pooling("none", (-2, -1), masked), tokens_per_batch=16
    )
    assert [len(each) for each in got] == features.lengths.tolist()
    for rows, text in zip(got, TEXTS, strict=True):
        every, _, mask = one(bert, tokenizer, text, masked)
        right = np.concatenate([every[-2], every[-1]], axis=1) * mask[:, None]
        atol = rounding(terms_of(bert.config), every[-2:])
        np.testing.assert_allclose(rows, right, rtol=0, atol=atol)


def test_the_steps_are_those_of_the_whole(bert: Bert, tokenizer: WordPiece) -> None:
    ready = prepare(bert)
    features = steps.prepare(ready, tokenizer, TEXTS)
    vocab = tokenizer.vocab
    first = [vocab.cls_id, *tokenizer.ids(TEXTS[0]), vocab.sep_id]
    assert features.row(0) == first
    vectors = steps.run(Embedding(ready, Pooling()), features)
    assert np.array_equal(vectors, encode(ready, tokenizer, TEXTS))
    rows = steps.run_tokens(Embedding(ready, Pooling("none")), features)
    means = np.stack([row.mean(0) for row in rows])
    atol = rounding(terms_of(bert.config), vectors)
    np.testing.assert_allclose(means, vectors, rtol=0, atol=atol)


def test_layers_above_the_pooled_one_are_not_computed(bert: Bert, tokenizer: WordPiece) -> None:
    ready = prepare(bert)
    calls: list[int] = []
    for number, layer in enumerate(ready.encoder.layer):
        layer.register_forward_hook(lambda *_, number=number: calls.append(number))
    encode(ready, tokenizer, ["the heron"], Pooling("mean", (-2,)))
    assert calls == [0, 1]


def test_order_does_not_depend_on_the_batches(bert: Bert, tokenizer: WordPiece) -> None:
    ready = prepare(bert)
    right = encode(ready, tokenizer, TEXTS)
    atol = rounding(terms_of(bert.config), right)
    for tokens in (1, 7, 50, 5000):
        got = encode(ready, tokenizer, TEXTS[::-1], tokens_per_batch=tokens)[::-1]
        assert ((got[:, None] - right) ** 2).sum(-1).argmin(1).tolist() == list(range(len(TEXTS)))
        np.testing.assert_allclose(got, right, rtol=0, atol=atol)


def test_no_text_no_vector(bert: Bert, tokenizer: WordPiece) -> None:
    assert encode(prepare(bert), tokenizer, []).shape == (0, 32)


def test_cut_texts_are_counted(
    bert: Bert, tokenizer: WordPiece, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "plainbert"):
        got = encode(prepare(bert), tokenizer, ["a a a a a a", "a a a", "a"], max_len=5)
    assert "1 of 3 rows were longer than 5 tokens" in caplog.text
    atol = rounding(terms_of(bert.config), got)
    np.testing.assert_allclose(got[0], got[1], rtol=0, atol=atol)


def test_mistakes(bert: Bert, tokenizer: WordPiece, config: object) -> None:
    ready = prepare(bert)
    with pytest.raises(UsageError, match="max_len=33: this model has 32 positions"):
        encode(ready, tokenizer, ["a"], max_len=33)
    with pytest.raises(UsageError, match="NONE gives no vector per text"):
        encode(ready, tokenizer, ["a"], Pooling("none"))
    ready.pooler = None
    with pytest.raises(UsageError, match="CLS_POOLED needs a pooler"):
        encode(ready, tokenizer, ["a"], Pooling("pooled"))
