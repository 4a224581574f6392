"""Texts in, labels or numbers and probabilities out: prepare, run, decode."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert.batching.batch import TOKENS_PER_BATCH
from plainbert.batching.features import tokenized
from plainbert.batching.notes import TextNotes
from plainbert.cli.program import command
from plainbert.errors import UsageError
from plainbert.infer import finite
from plainbert.infer.logits import ComputesLogits, run
from plainbert.nn.bert import Bert
from plainbert.tasks.classification.activation import activated
from plainbert.tasks.classification.decode import Prediction, decode
from plainbert.tasks.classification.several import has_several
from plainbert.text.tokenizer import Tokenizer

HEADS = ("classification", "regression")


def predict(
    model: Bert | ComputesLogits,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    labels: Sequence[str],
    max_len: int,
    *,
    name: str = "this model",
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
    trained_on: int | None = None,
    notes: TextNotes | None = None,
) -> list[Prediction]:
    """Classify texts, or score them with a regressor.

    Args:
        model: prepared, with a head of :data:`HEADS`.
        tokenizer: the one that the model was trained with.
        texts: texts, or pairs.
        labels: names of the classes by id; a regressor has no use for them.
        max_len: tokens kept per text, counting [CLS] and [SEP].
        name: what errors call the model.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.
        trained_on: texts of a row in training, as the model's folder says; others are warned of.
        notes: counts what would be warned of, for a caller that says it of many calls at once.

    Raises:
        NotFiniteError: logits are not finite; the texts are named.
        UsageError: the model has another head, or fewer than ``max_len`` positions.
    """
    classifier = checked(model, name)
    positions = classifier.config.max_position_embeddings
    counts = TextNotes() if notes is None else notes
    features = tokenized(tokenizer, texts, max_len, positions, bar=bar, notes=counts)
    if notes is None:
        counts.report(max_len)
        counts.report_kind(trained_on, name)
    logits = run(classifier, features, tokens_per_batch=tokens_per_batch, bar=bar)
    finite.check(logits, finite.named(texts))
    names = () if classifier.head == "regression" else labels
    return decode(activated(logits, classifier.config), names, has_several(classifier))


def checked(model: Bert | ComputesLogits, name: str) -> ComputesLogits:
    """The model, if it is a classifier or a regressor.

    Raises:
        UsageError: it has another head, or none.
    """
    if isinstance(model, Bert) or model.head not in HEADS:
        has = "no head" if isinstance(model, Bert) else f"a {model.head} head"
        raise UsageError(
            f"{name} has {has}; predict needs a classifier. Fine-tune one "
            f"with {command('finetune_classifier')}."
        )
    return model
