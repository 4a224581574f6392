"""BERT from raw text to a running service.

``import plainbert`` costs nothing: what needs torch is imported when it is first asked for.

Example:
    >>> import plainbert
    >>> model = plainbert.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> model.encode(["a sentence", "another one"]).shape  # doctest: +SKIP
    (2, 384)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plainbert import errors
    from plainbert.finetuning.finetune import finetune
    from plainbert.model import Model, load
    from plainbert.model_zoo import get_model, list_models
    from plainbert.tasks.classification.decode import Prediction
    from plainbert.tasks.ner.decode import Tagging
    from plainbert.tasks.squad.decode import Answer

__version__ = "0.1.0"
__all__ = [
    "Answer", "Model", "Prediction", "Tagging", "__version__", "errors", "finetune",
    "get_model", "list_models", "load",
]  # fmt: skip

_HOME = {
    "Answer": "plainbert.tasks.squad.decode",
    "Model": "plainbert.model",
    "Prediction": "plainbert.tasks.classification.decode",
    "Tagging": "plainbert.tasks.ner.decode",
    "finetune": "plainbert.finetuning.finetune",
    "get_model": "plainbert.model_zoo",
    "list_models": "plainbert.model_zoo",
    "load": "plainbert.model",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("plainbert.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'plainbert' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
