"""Optional packages: whether they are installed, without importing them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from plainbert.errors import MissingDependencyError

# What pip calls them, where that is not the name to import.
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def require(names: Iterable[str], extra: str, purpose: str) -> None:
    """Fail now, rather than after the work, where a package is missing.

    Args:
        names: to import.
        extra: of plainbert, which brings them.
        purpose: what they are needed for.

    Raises:
        MissingDependencyError: one is not installed.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(_DISTRIBUTIONS.get(name, name), extra, purpose)
