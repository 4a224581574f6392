"""The object that users hold."""

from __future__ import annotations

from plainbert.model.predictions import Predicts
from plainbert.model.vectors import Encodes


class Model(Encodes, Predicts):
    """A model and its tokenizer, as :func:`plainbert.load` opens them."""
