"""From flags to the settings of the training loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from plainbert.recipes.shared.training_settings import LoopFlags
from plainbert.train.settings import Settings


def loop_settings(settings: LoopFlags, dtype: torch.dtype, **changes: Any) -> Settings:
    """Every flag that is named like a field, where it has a value.

    Args:
        settings: of the recipe.
        dtype: of the matrix products.
        changes: fields that the flags do not say as they are.
    """
    flags = settings.values()
    names = [field.name for field in dataclasses.fields(Settings)]
    values = {name: flags[name] for name in names if flags.get(name) is not None}
    return Settings(**{**values, "dtype": dtype, **changes})
