"""A run small enough to be trained, killed and resumed many times in a test."""

from __future__ import annotations

import numpy as np
import torch

from plainbert.batching.features import Features
from plainbert.config import BertConfig
from plainbert.nn.heads import Classifier
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = Vocab.from_tokens([*SPECIALS, *(f"w{row}" for row in range(45))])


def tokenizer() -> WordPiece:
    return WordPiece(VOCAB)


def model(dropout: float = 0.1, dtype: torch.dtype = torch.float32, seed: int = 1) -> Classifier:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(VOCAB),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        id2label=("no", "yes"),
    )
    return Classifier(config).to(dtype)


def data(count: int, seed: int = 0) -> Features:
    """Ragged rows; every second token of a positive row is word 7: easy to learn."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, 30, count)
    ids = generator.integers(8, len(VOCAB), lengths.sum()).astype(np.int32)
    offsets = np.concatenate([[0], lengths.cumsum()])
    labels = generator.integers(0, 2, count)
    places = np.arange(len(ids)) - np.repeat(offsets[:-1], lengths)
    ids[np.repeat(labels == 1, lengths) & (places % 2 == 1)] = 7
    ids[offsets[:-1]], ids[offsets[1:] - 1] = VOCAB.cls_id, VOCAB.sep_id
    return Features(ids, offsets, np.zeros(len(ids), np.uint8), labels)
