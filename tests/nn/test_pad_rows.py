"""Rows that pad a packed batch change neither outputs nor gradients."""

from __future__ import annotations

import pytest
import torch

from plainbert.config import BertConfig
from plainbert.nn import layout as layouts
from plainbert.nn.bert import Bert
from plainbert.nn.layout import Packed

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=20,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
LENGTHS = [2, 5, 5, 9, 17]  # 38 tokens: padded to 40


def run() -> tuple[list[torch.Tensor], list[torch.Tensor], list[int]]:
    """Every layer's output with the pooler's, every gradient, the rows that the layers saw."""
    torch.manual_seed(0)
    model = Bert(CONFIG).double()
    rows: list[int] = []
    for layer in model.encoder.layer:
        layer.register_forward_hook(lambda _, args, out: rows.append(len(out)))
    ids, types = torch.randint(30, (38,)), torch.randint(2, (38,))
    output = model(ids, types, layout=Packed(LENGTHS), every_layer=True)
    assert output.layers is not None
    assert output.pooled is not None
    found = [*output.layers, output.hidden, output.pooled]
    sum((each.sin().sum() for each in found), torch.zeros(())).backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return found, gradients, rows


def test_pad_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    found, gradients, rows = run()
    monkeypatch.setattr(layouts, "STEPS", ((float("inf"), 1),))
    plain, exact, seen = run()

    assert (rows, seen) == ([40, 40], [38, 38])
    assert len(gradients) == len(exact) > 30
    for got, want in zip([*found, *gradients], [*plain, *exact], strict=True):
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
