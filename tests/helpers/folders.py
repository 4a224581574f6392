"""Tiny models and folders that several test files need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from plainbert import files
from plainbert.config import BertConfig
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

FIXTURES = Path(__file__).parent.parent / "fixtures"
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##a", "##b", "the", "cat"]
LABELS = ("red", "green", "blue")
CONFIG = BertConfig(
    vocab_size=len(TOKENS),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=32,
    initializer_range=0.3,  # activations and norms outside their linear range
)


def tokenizer() -> WordPiece:
    return WordPiece(Vocab.from_tokens(TOKENS), lower=True)


def tiny(head: str = "classification", **changes: Any) -> nn.Module:
    """A random model with a head; biases and norms are random too, which would hide mix-ups."""
    labels = {
        "classification": LABELS,
        "token_classification": LABELS,
        "regression": ("LABEL_0",),
    }.get(head)
    config = CONFIG.replace(**{"id2label": labels, **changes})
    model = Bert(config) if head == "embedding" else MODELS[head](config)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.3)
    return model.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded ids, types and mask of four sequences of the tiny vocabulary."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([9, 3, 7, 5])
    mask = (torch.arange(9) < lengths[:, None]).long()
    ids = torch.randint(5, len(TOKENS), (4, 9), generator=generator) * mask
    types = torch.randint(0, 2, (4, 9), generator=generator) * mask
    return ids, types, mask


def point(name: str, folder: str | Path) -> None:
    """Make ``best`` or ``last`` beside a checkpoint lead to it."""
    files.point(Path(folder).with_name(name), Path(folder).name)
