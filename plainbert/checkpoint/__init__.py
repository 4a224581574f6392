"""The checkpoint folder: one folder is one model. Read it, load its weights, write it."""

from plainbert.checkpoint.meta_init import MetaInit
from plainbert.checkpoint.reader import Checkpoint, read
from plainbert.checkpoint.weights import LoadReport, load
from plainbert.checkpoint.writer import (
    remove_leftovers,
    step_name,
    write,
    write_folder,
    write_into,
)

__all__ = [
    "MetaInit", "Checkpoint", "LoadReport", "load", "read",
    "remove_leftovers", "step_name", "write", "write_folder", "write_into",
]  # fmt: skip
