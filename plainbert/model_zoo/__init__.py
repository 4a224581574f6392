"""The only door to a model and its tokenizer, and the only place that knows their names."""

from plainbert.hub.lookup import record_of
from plainbert.model_zoo.find import best_of_run, list_models, resolve, resolve_record
from plainbert.model_zoo.folder import LoadedModel, labels_of, open_folder, stored_of
from plainbert.model_zoo.gluonnlp import get_model, new_model

__all__ = [
    "LoadedModel", "best_of_run", "get_model", "labels_of", "list_models", "open_folder",
    "new_model", "record_of", "resolve", "resolve_record", "stored_of",
]  # fmt: skip
