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
    from plainbert.model import load
    from plainbert.model_zoo import get_model, list_models

__version__ = "0.1.0"
__all__ = ["__version__", "get_model", "list_models", "load"]

_HOME = {
    "load": "plainbert.model",
    "get_model": "plainbert.model_zoo",
    "list_models": "plainbert.model_zoo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'plainbert' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
