"""A model and its tokenizer behind one object: text in, vectors or labels out."""

from plainbert.model.model import Model
from plainbert.model.opening import load

__all__ = ["Model", "load"]
