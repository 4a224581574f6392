"""From the flags of a command line to the settings of the training loop."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import torch

from plainbert.train.settings import Settings


def settings_of(args: argparse.Namespace, dtype: torch.dtype, **changes: Any) -> Settings:
    """Every flag that is named like a field, where it has a value.

    Args:
        args: parsed flags.
        dtype: of the matrix products.
        changes: fields that the flags do not say as they are.
    """
    names = [field.name for field in dataclasses.fields(Settings) if hasattr(args, field.name)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return Settings(**{**given, "dtype": dtype, **changes})
