"""How special tokens reach the ``tokenizers`` library and ``transformers``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import tokenizers
from tokenizers import processors

from plainbert.text.vocab import Vocab


def special_pattern(vocab: Vocab) -> re.Pattern[str] | None:
    """What finds the special tokens of a vocabulary in raw text; None where it has none."""
    names = sorted(set(vocab.specials.values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names))) if names else None


def plain_text(vocab: Vocab) -> Callable[[str], str]:
    """What makes special tokens written in a text plain text, for data that must not name them.

    A blank goes into each, behind its first character: punctuation, which BERT sets apart anyway,
    so that "[MASK]" becomes "[", "mask" and "]", and nothing else changes.

    Args:
        vocab: names the special tokens.
    """
    pattern = special_pattern(vocab)
    if pattern is None:
        return str
    replaced = partial(pattern.sub, lambda match: f"{match[0][0]} {match[0][1:]}")
    firsts = {token[0] for token in vocab.specials.values()}

    def plain(text: str) -> str:
        for first in firsts:  # most texts have none: they are not searched
            if first in text:
                return replaced(text)
        return text

    return plain


def add_special_tokens(backend: tokenizers.Tokenizer, vocab: Vocab) -> None:
    """Register special tokens by row, and [CLS] text [SEP] text [SEP] as the frame of inputs."""
    names = sorted(set(vocab.specials.values()), key=lambda token: vocab.rows[token])
    backend.add_special_tokens([tokenizers.AddedToken(n, special=True) for n in names])
    if vocab.cls is None or vocab.sep is None:
        return
    cls, sep = vocab.cls, vocab.sep
    template: list[tuple[str, int]] = [(cls, vocab.cls_id), (sep, vocab.sep_id)]
    backend.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=list(dict.fromkeys(template)),
    )


def tokenizer_config(vocab: Vocab, class_name: str, lower: bool) -> dict[str, Any]:
    """The part of ``tokenizer_config.json`` that all tokenizers share."""
    roles = {f"{role}_token": token for role, token in vocab.specials.items()}
    return {
        "tokenizer_class": class_name,
        "do_lower_case": lower,
        **roles,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "clean_up_tokenization_spaces": True,
    }
