"""A small random model, and a vocabulary whose special tokens are not where Google put them."""

from __future__ import annotations

import pytest
import torch

from plainbert.config import BertConfig
from plainbert.nn.bert import Bert
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

TOKENS = [
    "[PAD]", "the", "[SEP]", "[MASK]", "[CLS]", "[UNK]", "heron", "was", "fishing", "by", "river",
    "bank", "and", "we", "sat", "on", "un", "##aff", "##able", "##s", "a", ".", ",", "!", "?",
]  # fmt: skip
SENTENCES = [
    "the heron was fishing",
    "",
    "we sat on the bank , and the unaffable herons sat by the river .",
    "a",
    "the river !",
    "fishing fishing fishing fishing fishing fishing fishing",
]


@pytest.fixture(scope="session")
def tokenizer() -> WordPiece:
    return WordPiece(Vocab.from_tokens(TOKENS), lower=True)


@pytest.fixture(scope="session")
def config() -> BertConfig:
    return BertConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.3,
    )


@pytest.fixture
def bert(config: BertConfig) -> Bert:
    torch.manual_seed(0)
    model = Bert(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # fresh biases are zero and would hide a forgotten one
            torch.nn.init.normal_(parameter, std=0.3)
    return model
