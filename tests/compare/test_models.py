"""Two models of ours, and one with transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from plainbert import checkpoint, model_zoo
from plainbert.compare import models
from plainbert.compare.models import Report
from plainbert.errors import CheckpointError
from plainbert.model_zoo import LoadedModel
from plainbert.nn.models import MODELS
from plainbert.nn.names import HEADS
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import folders

TEXTS = [("the cat",), ("a cab cat", "the b"), ("c",), ("cat the cat", "a")]
EXTRA = {
    "embedding": ["pooled"],
    "classification": ["pooled", "class logits"],
    "regression": ["pooled", "regression"],
    "question_answering": ["start logits", "end logits", "loss"],
    "token_classification": ["tag logits"],
    "multiple_choice": ["pooled", "choice scores"],
    "masked_lm": ["MLM logits"],
    "next_sentence": ["pooled", "NSP logits"],
    "pretraining": ["pooled", "MLM logits", "NSP logits"],
}
BODY = ["embeddings", "layer 1", "layer 2"]
Write = Callable[..., LoadedModel]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a model as a folder and open it."""

    def do(model: nn.Module, tokenizer: Any = None) -> LoadedModel:
        place = tmp_path / f"model{len(list(tmp_path.iterdir()))}"
        return model_zoo.open_folder(
            checkpoint.write(place, model, tokenizer or folders.tokenizer())
        )

    return do


def twins(write: Write, head: str, change: Callable[[Any], None], **settings: Any) -> Report:
    """A model and its copy with a change, compared."""
    torch.manual_seed(1)
    model = folders.tiny(head)
    one = write(model)
    with torch.no_grad():
        change(model)
    return models.two(one, write(model), TEXTS, **settings)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equal_models(write: Write, head: str, dtype: str) -> None:
    report = twins(write, head, lambda model: None, dtype=dtype)

    assert [row.name for row in report.rows] == BODY + EXTRA[head]
    assert [row.max for row in report.rows] == [0.0] * len(report.rows)
    assert report.equal
    assert (report.texts, report.dtype) == (4, dtype)
    assert report.tokens == sum(row.values for row in report.rows[:1]) / 16
    assert report.notes == ()


def test_one_weight_of_layer_1(write: Write) -> None:
    def change(model: Any) -> None:
        model.bert.encoder.layer[0].intermediate.dense.weight[3, 5] += 1e-2

    report = twins(write, "classification", change)

    assert not report.equal
    assert report.rows[0].max == 0.0  # the embeddings
    assert [row.name for row in report.above][0] == "layer 1"
    assert report.rows[1].max > 1e-4
    assert report.rows[1].std > 0


def test_the_tolerance_decides(write: Write) -> None:
    def change(model: Any) -> None:
        model.classifier.bias[1] += 0.25

    report = twins(write, "classification", change, tolerance=0.2)
    assert [row.name for row in report.above] == ["class logits"]
    assert report.above[0].max == pytest.approx(0.25, abs=1e-6)
    assert report.above[0].mean == pytest.approx(0.25 / 3, abs=1e-6)  # one of three classes
    assert twins(write, "classification", change, tolerance=0.3).equal


def test_heads_that_one_model_lacks(write: Write) -> None:
    torch.manual_seed(1)
    whole = folders.tiny("pretraining")
    body = write(whole.bert)
    report = models.two(write(whole), body, TEXTS)
    assert report.equal
    assert [row.name for row in report.rows] == [*BODY, "pooled"]
    assert report.notes == (
        "MLM logits: only the first model has it; not compared",
        "NSP logits: only the first model has it; not compared",
    )


def reindexed(model: Any, order: list[int], more: int = 0) -> tuple[Any, WordPiece]:
    """The same model with the rows of its vocabulary in another order, and rows of no token."""
    config = model.config.replace(vocab_size=len(order) + more)
    other = MODELS[model.head](config).eval()
    stored = dict(model.state_dict())
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        rows = stored[name][order]
        stored[name] = torch.cat([rows, torch.randn(more, *rows.shape[1:])])
    other.load_state_dict(stored)
    tokens = [folders.TOKENS[row] for row in order]
    return other, WordPiece(Vocab.from_tokens(tokens), lower=True)


@pytest.mark.parametrize("more", [0, 3])
def test_vocabularies_in_another_order(write: Write, more: int) -> None:
    torch.manual_seed(1)
    model = folders.tiny("masked_lm")
    order = [1, 0, *reversed(range(2, len(folders.TOKENS)))]
    other, tokenizer = reindexed(model, order, more)

    report = models.two(write(model), write(other, tokenizer), TEXTS)

    assert report.equal
    assert report.rows[-1].name == "MLM logits"
    assert report.rows[-1].values == report.tokens * len(folders.TOKENS)
    assert any("12 tokens that both" in note for note in report.notes) == bool(more)


def test_labels_in_another_order(write: Write) -> None:
    torch.manual_seed(1)
    model = folders.tiny("classification")
    one = write(model)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(parameter[[2, 0, 1]].clone())
    model.config = model.config.replace(id2label=("Blue", "red", "green"))

    report = models.two(one, write(model), TEXTS)

    assert report.equal
    assert report.notes == ("class logits: the labels have another order; matched by name",)


def test_other_labels_are_named(write: Write) -> None:
    torch.manual_seed(1)
    model = folders.tiny("token_classification")
    one = write(model)
    model.config = model.config.replace(id2label=("O", "B", "I"))
    report = models.two(one, write(model), TEXTS)
    assert report.equal
    assert report.notes == (
        "tag logits: the labels are red, green, blue and O, B, I; compared by position",
    )


def test_other_numbers_of_classes(write: Write) -> None:
    one = write(folders.tiny("classification"))
    torch.manual_seed(1)
    config = folders.CONFIG.replace(id2label=("no", "yes"))
    with pytest.raises(CheckpointError, match=r"has 3 classes \(red, .* 2 \(no, yes"):
        models.two(one, write(MODELS["classification"](config)), TEXTS)


def test_other_sizes(write: Write) -> None:
    one = write(folders.tiny("embedding"))
    two = write(folders.tiny("embedding", num_hidden_layers=3, hidden_size=32))
    with pytest.raises(CheckpointError, match="num_hidden_layers 2 and 3, hidden_size 16 and 32"):
        models.two(one, two, TEXTS)


def test_settings_that_are_no_weights(write: Write) -> None:
    torch.manual_seed(1)
    model = folders.tiny("embedding")
    one = write(model)
    model.config = model.config.replace(num_attention_heads=4)
    report = models.two(one, write(model), TEXTS)
    assert report.rows[0].max == 0.0
    assert not report.equal
    assert report.notes == ("num_attention_heads differs: 2 and 4",)


@pytest.mark.parametrize("head", HEADS)
def test_transformers_agrees(write: Write, head: str) -> None:
    opened = write(folders.tiny(head))

    exact = models.reference(opened, "transformers", TEXTS, tolerance=1e-12)
    rough = models.reference(opened, "transformers", TEXTS, dtype="float32")

    for report in (exact, rough):
        assert [row.name for row in report.rows] == BODY + EXTRA[head]
        assert report.notes == ()
        assert report.equal, report.above
    assert np.isfinite([row.mean for row in rough.rows]).all()
    assert max(row.max for row in rough.rows) > 0


def test_transformers_sees_a_difference(write: Write) -> None:
    opened = write(folders.tiny("pretraining"))
    with torch.no_grad():
        opened.model.bert.encoder.layer[1].output.dense.bias[2] += 1e-3

    report = models.reference(opened, "transformers", TEXTS)

    assert [row.name for row in report.above][0] == "layer 2"


def test_transformers_with_a_head_that_the_folder_does_not_state(write: Write) -> None:
    opened = write(folders.tiny("pretraining"))
    opened = model_zoo.open_folder(opened.checkpoint.folder, "masked_lm")
    report = models.reference(opened, "transformers", TEXTS, tolerance=1e-12)
    assert report.equal
    assert report.rows[-1].name == "MLM logits"


def test_unknown_tokens_are_mentioned(write: Write) -> None:
    opened = write(folders.tiny("embedding"))
    report = models.reference(opened, "transformers", [("dog fox hen",)])
    assert report.notes[0].startswith("60% of the tokens are unknown")
