"""The module that trains is the module that exports: batch and length stay free."""

from __future__ import annotations

import torch
from torch.export import Dim

from plainbert.config import BertConfig
from plainbert.nn.heads import Classifier
from plainbert.nn.layout import Packed, Padded


class PaddedClassifier(torch.nn.Module):
    """What an export holds: padded tensors in, logits out."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(ids, types, Padded(mask))
        return logits


def test_exports_with_dynamic_batch_and_length() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    model = Classifier(config).eval()
    example = tuple(torch.ones(3, 8, dtype=torch.long) for _ in range(3))
    batch, length = Dim("batch", min=1, max=512), Dim("length", min=2, max=32)
    shape = {0: batch, 1: length}
    exported = torch.export.export(
        PaddedClassifier(model), example, dynamic_shapes=(shape, shape, shape), strict=False
    )

    for lengths in ([5], [7, 19, 4, 2, 30]):
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        ids, types = torch.randint(0, 60, mask.shape), torch.randint(0, 2, mask.shape)
        real = mask.bool()
        got = exported.module()(ids, types, mask)
        want = model(ids[real], types[real], Packed(lengths))
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
