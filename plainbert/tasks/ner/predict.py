"""Texts in, tags and entities out: prepare, run, decode."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert.batching.batch import TOKENS_PER_BATCH
from plainbert.batching.features import check_positions
from plainbert.cli.program import command
from plainbert.errors import UsageError
from plainbert.infer.logits import ComputesLogits, run_tokens
from plainbert.nn.bert import Bert
from plainbert.tasks.ner.decode import Tagging, decode
from plainbert.tasks.ner.features import prepare
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.ner.words import SplitText, split
from plainbert.text.tokenizer import Tokenizer

# A text, or a sentence that is already split into words.
TextOrWords = str | tuple[str, ...]


def tag(
    model: Bert | ComputesLogits,
    tokenizer: Tokenizer,
    texts: Sequence[TextOrWords],
    tags: TagSet,
    max_len: int,
    bar: bool = False,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[Tagging]:
    """Tag texts.

    Args:
        model: prepared, with a tagging head.
        tokenizer: that of the model's folder.
        texts: texts, split by :func:`plainbert.tasks.ner.words.split`, or tuples of words.
        tags: the tags that the model learned.
        max_len: tokens that the model sees at a time; longer texts are read in windows.
        bar: show progress.
        tokens_per_batch: tokens that go through the model together.

    Raises:
        UsageError: the model is no tagger, or has fewer than ``max_len`` positions.
    """
    if isinstance(model, Bert) or model.head != "token_classification":
        has = "no head" if isinstance(model, Bert) else f"a {model.head} head"
        raise UsageError(
            f"this model has {has}; tag needs a tagger. Train one with {command('finetune_ner')}."
        )
    check_positions(max_len, model.config.max_position_embeddings)
    splits = [
        SplitText.joined(text) if isinstance(text, tuple) else split(tokenizer, text)
        for text in texts
    ]
    features = prepare(tokenizer, [text.words for text in splits], max_len)
    logits = run_tokens(model, features.features, tokens_per_batch=tokens_per_batch, bar=bar)
    return decode(logits, features, splits, tags)
