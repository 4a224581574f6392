"""Every model with a head, by the name that :data:`plainbert.nn.names.HEADS` gives it."""

from __future__ import annotations

from plainbert.nn.headed import Headed
from plainbert.nn.heads import (
    Classifier,
    MultipleChoice,
    QuestionAnswering,
    Regressor,
    TokenClassifier,
)
from plainbert.nn.pretraining_heads import MaskedLM, NextSentence, Pretraining

MODELS: dict[str, type[Headed]] = {
    model.head: model
    for model in (
        Classifier,
        Regressor,
        QuestionAnswering,
        TokenClassifier,
        MultipleChoice,
        MaskedLM,
        NextSentence,
        Pretraining,
    )
}  # fmt: skip
