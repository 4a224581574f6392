"""What is known about one set of published weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Record:
    """One set of published weights.

    Args:
        model: the size, as ``bert_LAYERS_UNITS_HEADS``.
        dataset_name: GluonNLP's name of what it was trained on; with ``model`` it is unique.
        repository: the Hub repository; None where none is known to hold exactly these weights.
        lower: whether text is lower-cased and its accents stripped.
        vocab_size: rows of the embedding matrix.
        licence: SPDX name, or "not stated" where the publisher names none.
        paper: arXiv number or DOI of the publication.
        revision: commit of the repository; "main" where no commit is known for certain.
        aliases: other names that mean this record.
        package: Python package that carries the folder, importable name; None for most.
        package_folder: the model folder inside that package.
        source: where its authors published it: a file, or the page that links to it.
        params_sha1: first eight digits of the SHA-1 of GluonNLP's file; "" where it had none.
        vocab_sha1: the beginning of the SHA-1 of its vocabulary file.
        vocab_suffix: of GluonNLP's vocabulary file.
        reindexed: whether GluonNLP moved [UNK] [PAD] [CLS] [SEP] [MASK] to the first rows; its
            weights and npz files have that order, the Hub's have the authors'.
        old_model: GluonNLP's name of the model, where that is not ``model``.
        config: fields of :class:`plainbert.config.BertConfig` that the size does not settle; the
            Hub's ``config.json`` states them, GluonNLP's file does not.
    """

    model: str
    dataset_name: str
    repository: str | None
    lower: bool
    vocab_size: int
    licence: str
    paper: str
    revision: str = "main"
    aliases: tuple[str, ...] = ()
    package: str | None = None
    package_folder: str = ""
    source: str = ""
    params_sha1: str = ""
    vocab_sha1: str = ""
    vocab_suffix: str = ".vocab"
    reindexed: bool = False
    old_model: str = ""
    config: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def models(self) -> tuple[str, ...]:
        """Every name of the size: ours, and GluonNLP's where it is another."""
        return (self.model, self.old_model) if self.old_model else (self.model,)

    @property
    def names(self) -> tuple[str, ...]:
        """Every single name that stands for this record alone."""
        own = (*(f"{model}_{self.dataset_name}" for model in self.models), *self.aliases)
        return (*own, self.repository) if self.repository else own

    @property
    def old_params(self) -> str | None:
        """Name of the file that GluonNLP kept the weights in; None where it had none."""
        if not self.params_sha1:
            return None
        return f"{self.models[-1]}_{self.dataset_name}-{self.params_sha1}.params"

    @property
    def old_vocab(self) -> str | None:
        """Name of the file that GluonNLP kept the vocabulary in; None where it had none."""
        if not self.vocab_sha1:
            return None
        return f"{self.dataset_name}-{self.vocab_sha1}{self.vocab_suffix}"

    def package_path(self) -> Path | None:
        """The folder inside the Python package that carries these weights, if it is installed.

        The package is located, not imported: nothing in it runs.
        """
        if self.package is None:
            return None
        spec = importlib.util.find_spec(self.package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place) / self.package_folder
            if (folder / "config.json").is_file():
                return folder
        return None
