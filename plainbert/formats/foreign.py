"""What every reader of a foreign format returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert.config import BertConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Foreign:
    """A model that another system stored, told in Hugging Face's terms.

    Attributes:
        source: the file or folder that was opened.
        format: a name of :data:`plainbert.formats.names.FORMATS`.
        config: sizes from the folder's own config, else from the shapes; ``architectures`` names
            the head that was found, ``id2label`` its classes where they are known.
        tensors: by Hugging Face's names, the body's with ``bert.``; views of the mapped file, so
            that what is not used is never read.
        unused: names in the file that BERT has no place for, optimizer slots among them.
        vocabulary: the vocabulary file that belongs to it, None when none was found.
        lower: whether text is lower-cased, None when nothing says so.
        assumed: what had to be guessed, one line each for the log ("num_attention_heads=12:
            units / 64").
        names: of the files and folders that ``lower`` is taken from; none where a file states it.
    """

    source: Path
    format: str
    config: BertConfig
    tensors: dict[str, Tensor]
    unused: tuple[str, ...] = ()
    vocabulary: Path | None = None
    lower: bool | None = None
    assumed: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
