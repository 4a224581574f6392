"""The object that users hold."""

from __future__ import annotations

from plainbert.model.portable import Portable
from plainbert.model.predictions import Predicts
from plainbert.model.vectors import Encodes


class Model(Encodes, Predicts, Portable):
    """A model and its tokenizer, as :func:`plainbert.load` opens them.

    It can be pickled and copied: its weights go with it.
    """
