"""The small model of tests.helpers.small_bert."""

from tests.helpers.small_bert import bert, config, tokenizer

__all__ = ["bert", "config", "tokenizer"]
