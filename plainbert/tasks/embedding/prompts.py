"""Texts with what sentence-transformers calls a prompt before each."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert.text.tokenizer import Tokenizer


class PromptedTexts(list[str | tuple[str, ...]]):
    """Texts that begin with the same prompt; of a pair its first text.

    Args:
        texts: without the prompt.
        prompt: what is put before each; may be empty.
    """

    def __init__(self, texts: Sequence[str | tuple[str, ...]], prompt: str) -> None:
        super().__init__(
            prompt + text if isinstance(text, str) else (prompt + text[0], *text[1:])
            for text in texts
        )
        self.prompt = prompt


def prompt_tokens(texts: Sequence[str | tuple[str, ...]], tokenizer: Tokenizer) -> int:
    """Tokens of the prompt that texts begin with, and the [CLS] before it; 0 without a prompt.

    As in sentence-transformers they are those of the prompt alone, whatever text follows it.
    """
    prompt = texts.prompt if isinstance(texts, PromptedTexts) else ""
    return 1 + len(tokenizer.tokenize(prompt)) if prompt else 0
