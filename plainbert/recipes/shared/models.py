"""From the model flags of a recipe to a model."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert import model_zoo
from plainbert.hub import records
from plainbert.keys.config_json import without_activation
from plainbert.nn.names import HEADS
from plainbert.recipes.shared.settings import ModelFlags
from plainbert.recipes.shared.training_settings import FineTuningFlags


def name_of(settings: ModelFlags) -> str:
    """The folder or name that the flags ask for.

    ``--model_dir``, ``--model_parameters`` and ``--pretrained_bert_parameters`` take a folder, a
    file of a foreign format, or a name; else ``--bert_model`` and ``--bert_dataset`` name published
    weights, or ``--bert_model`` alone is a name such as all-MiniLM-L6-v2.

    Raises:
        UnknownNameError: no such model, or it was not published for that data set.
    """
    if settings.weights is not None:
        return settings.weights
    name = settings.bert_model
    if "bert_dataset" not in settings.typed and model_zoo.record_of(name) is not None:
        return name
    return records.find(name, settings.bert_dataset).names[0]


def open_model(
    settings: FineTuningFlags,
    head: str | None = None,
    labels: Sequence[str] | None = None,
    trained: bool = False,
) -> model_zoo.LoadedModel:
    """Open the model of a fine-tune recipe.

    Args:
        settings: of the recipe.
        head: a name of :data:`plainbert.nn.names.HEADS`; the folder's own when not given.
        labels: of the classes.
        trained: the head must be in the folder. Otherwise one is drawn where it is missing,
            unless ``--model_parameters`` promised a whole model.
    """
    whole = trained or settings.model_parameters is not None
    changes = dict(settings.config_changes)
    if not trained and head is not None and HEADS[head].problem_type is not None:
        # A model of several labels per text that is trained for one gives one.
        changes["problem_type"] = HEADS[head].problem_type
    opened = model_zoo.open_folder(
        name_of(settings),
        head,
        labels,
        fresh_head=not whole,
        lower=settings.do_lower_case,
        dataset_name=settings.bert_dataset,
        **changes,
    )
    if not trained:  # what is trained here has no function on top of its logits
        config = opened.model.config
        opened.model.config = config.replace(extra=without_activation(config.extra))
    return opened
