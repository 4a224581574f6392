"""The same text for both models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from plainbert import checkpoint, model_zoo
from plainbert.compare import batch
from plainbert.errors import UsageError
from plainbert.model_zoo import LoadedModel
from plainbert.text.samples import TEXTS
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import folders


@pytest.fixture
def opened(tmp_path: Path) -> LoadedModel:
    return model_zoo.open_folder(
        checkpoint.write(tmp_path / "model", folders.tiny("embedding"), folders.tokenizer())
    )


def with_tokens(opened: LoadedModel, tokens: list[str]) -> LoadedModel:
    return dataclasses.replace(opened, tokenizer=WordPiece(Vocab.from_tokens(tokens), lower=True))


def test_ids_types_lengths(opened: LoadedModel) -> None:
    ((made,),) = batch.make([opened], [("the cat",), ("a b", "cat"), ("a",)])

    names = {token: row for row, token in enumerate(folders.TOKENS)}
    first = [names[token] for token in ("[CLS]", "the", "cat", "[SEP]")]
    pair = [names[token] for token in ("[CLS]", "a", "b", "[SEP]", "cat", "[SEP]")]
    assert made.ids.tolist() == [
        [*first, 0, 0],
        pair,
        [names["[CLS]"], names["a"], names["[SEP]"], 0, 0, 0],
    ]
    assert made.types.tolist() == [[0] * 6, [0, 0, 0, 0, 1, 1], [0] * 6]
    assert made.lengths.tolist() == [4, 6, 3]
    assert made.mask.sum() == 13
    assert (made.gold[:, 0] <= made.gold[:, 1]).all()
    assert (made.gold[:, 1] < made.lengths).all()


def test_many_texts_are_several_batches(opened: LoadedModel) -> None:
    (made,) = batch.make([opened], [("a " * (row % 5 + 1),) for row in range(19)])
    assert [len(each.ids) for each in made] == [8, 8, 3]
    lengths = np.concatenate([each.lengths for each in made])
    assert lengths.tolist() == [row % 5 + 3 for row in range(19)]


def test_each_model_gets_its_own_ids(opened: LoadedModel) -> None:
    other = with_tokens(opened, list(reversed(folders.TOKENS)))
    (one,), (two,) = batch.make([opened, other], [("the cat",), ("a", "b dog")])
    last = len(folders.TOKENS) - 1
    assert (one.ids != two.ids)[one.mask].any()
    assert (two.ids == last - one.ids).all()  # padding too: each has its own padding token
    assert (one.types == two.types).all()


def test_other_names_of_special_tokens(opened: LoadedModel) -> None:
    names = {"[CLS]": "<cls>", "[SEP]": "<sep>", "[UNK]": "<unk>", "[PAD]": "<pad>"}
    other = with_tokens(opened, [names.get(token, token) for token in folders.TOKENS])
    (one,), (two,) = batch.make([opened, other], [("the dog",)])
    assert one.ids.tolist() == two.ids.tolist()


def test_other_pieces_are_refused(opened: LoadedModel) -> None:
    tokens = [token if token != "cat" else "##t" for token in folders.TOKENS]
    with pytest.raises(UsageError, match="text 2 differently: token 3 is 'cat' in the first model"):
        batch.make([opened, with_tokens(opened, tokens)], [("the",), ("a cat",)])


def test_more_pieces_are_refused(opened: LoadedModel) -> None:
    tokens = [token if token != "##a" else "ca" for token in folders.TOKENS]
    with pytest.raises(UsageError, match="token 2 is .* in the first model, .* in the second"):
        batch.make([opened, with_tokens(opened, tokens)], [("caa",)])


def test_a_long_text_is_refused_or_cut(
    opened: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [("a",), ("a " * 40,)]
    with pytest.raises(UsageError, match="text 2 has 42 tokens, but .* has only 32 positions"):
        batch.make([opened], texts)
    with pytest.raises(UsageError, match="--max_len 33: .* has 32 positions"):
        batch.make([opened], texts, 33)
    with caplog.at_level("WARNING", logger="plainbert"):
        ((made,),) = batch.make([opened], texts, 32)
    assert made.lengths.tolist() == [3, 32]
    assert "1 of 2 rows were cut to 32 tokens" in caplog.text


def test_our_own_texts_fit_any_model(opened: LoadedModel) -> None:
    opened.model.config = opened.model.config.replace(max_position_embeddings=8)
    ((made,),) = batch.make([opened], TEXTS)
    assert made.lengths.max() == 8
    assert made.types.max() == 1


def test_a_model_with_one_segment(opened: LoadedModel) -> None:
    opened.model.config = opened.model.config.replace(type_vocab_size=1)
    ((made,),) = batch.make([opened], [("a", "b")])
    assert made.types.max() == 0


def test_no_text(opened: LoadedModel) -> None:
    with pytest.raises(UsageError, match="no text"):
        batch.make([opened], [])


def test_the_share_of_unknown_tokens(opened: LoadedModel) -> None:
    ((made,),) = batch.make([opened], [("dog the",), ("dog",)])
    assert batch.unknown_share([made], opened.tokenizer.vocab) == pytest.approx(2 / 7)
