"""Writing GluonNLP's checkpoints; :mod:`plainbert.formats.gluonnlp.reader` is the door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError
from plainbert.formats.gluonnlp import names as gluonnlp_names
from plainbert.formats.gluonnlp import params
from plainbert.formats.gluonnlp.names import MLM, OUTPUTS, POOLER, SENTENCES, TASKS, TIED, WORDS
from plainbert.nn.names import head_of
from plainbert.text import gluonnlp_vocab
from plainbert.text.vocab import Vocab


def write(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: BertConfig,
    vocab: Vocab | None = None,
    *,
    name: str = "model",
    deduplicate: bool = False,
    reindex: bool = False,
    lower: bool | None = None,
) -> tuple[str, ...]:
    """Write ``NAME.params`` as ``save_parameters`` does, ``NAME.vocab``, and ``config.json``.

    The file is what GluonNLP's own model for the config's head would save, byte for byte. Floating
    point weights are written as float32, which is what its loader expects.

    Args:
        folder: existing and empty.
        tensors: by Hugging Face's names.
        config: sizes, head (``architectures``) and labels; kept in ``config.json`` because the
            other two files cannot say heads and labels.
        vocab: tokens by row; no vocabulary file is written when not given.
        name: of the files.
        deduplicate: write the tied matrix once, as ``save_parameters(deduplicate=True)``.
        reindex: move the special tokens to the first rows, as GluonNLP's conversions of Google's
            own models did; needs ``vocab``.
        lower: whether the model is uncased; kept in ``config.json``.

    Returns:
        names of ``tensors`` that the format has no place for.

    Raises:
        CheckpointError: weights are missing, or the vocabulary cannot be written.
    """
    names = dict(_layout(tensors, config))
    missing = [hf for hf in names.values() if hf not in tensors and hf != TIED]
    if missing:
        raise CheckpointError(f"the model lacks {', '.join(missing[:8])}; nothing is written.")
    order = None
    if reindex:
        if vocab is None:
            raise CheckpointError("reindex moves rows of the vocabulary, but none was given.")
        if len(vocab) > len(tensors[WORDS]):
            raise CheckpointError(
                f"the vocabulary has {len(vocab)} tokens, the model {len(tensors[WORDS])} vectors."
            )
        rows = gluonnlp_vocab.gluonnlp_order(vocab)
        vocab = gluonnlp_vocab.reordered(vocab, rows)
        order = torch.from_numpy(rows)
        config = config.replace(pad_token_id=vocab.pad_id)
    if deduplicate:
        # gluon keeps the later name of the tied matrix, at the place of the earlier.
        last = {hf: gluon for gluon, hf in names.items()}
        names = {last.get(TIED, gluon) if hf == WORDS else gluon: hf for gluon, hf in names.items()}
    params.write(folder / f"{name}.params", _Renamed(tensors, names, order))
    if vocab is not None:
        gluonnlp_vocab.write(folder / f"{name}.vocab", vocab)
    if lower is not None:
        config = config.replace(extra={**config.extra, "do_lower_case": lower})
    config.save(folder / "config.json")
    return tuple(hf for hf in tensors if hf not in {*names.values(), *OUTPUTS, WORDS})


class _Renamed(Mapping[str, Tensor]):
    """Tensors under GluonNLP's names; what must change is changed when it is asked for."""

    def __init__(
        self, tensors: Mapping[str, Tensor], names: Mapping[str, str], order: Tensor | None
    ) -> None:
        self.tensors, self.names, self.order = tensors, names, order

    def __getitem__(self, name: str) -> Tensor:
        hf = self.names[name]
        tensor = self.tensors[WORDS if hf == TIED else hf].detach()
        if self.order is not None and hf in (WORDS, TIED, "cls.predictions.bias"):
            later = torch.arange(len(self.order), len(tensor))  # rows without a token stay
            tensor = tensor[torch.cat([self.order, later]).to(tensor.device)]
        return tensor.float() if tensor.is_floating_point() else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _layout(tensors: Mapping[str, Tensor], config: BertConfig) -> Iterator[tuple[str, str]]:
    """GluonNLP's and Hugging Face's names of the file of one model, in gluon's order."""
    head = _head(tensors, config)
    task = TASKS.get(head or "")
    optional: set[str] = set()
    if task is None or head in ("classification", "regression"):
        optional.update(POOLER if POOLER[0] in tensors else ())
    if task is None:
        for part in (SENTENCES, (TIED, *MLM)):
            optional.update(part if part[-1] in tensors else ())
    prefix = task[0] if task else ""
    for gluon, hf in gluonnlp_names.structural(config.num_hidden_layers):
        if hf in optional or (hf.startswith("bert.") and hf not in POOLER):
            yield prefix + gluon, hf
    if task is not None:
        for kind in ("weight", "bias"):
            yield f"{task[1]}.{kind}", f"{task[2]}.{kind}"


def _head(tensors: Mapping[str, Tensor], config: BertConfig) -> str | None:
    """The head that the config names, else the one whose last layer is there."""
    if config.architectures:
        return head_of(config.architectures[0], config.problem_type, config.num_labels)
    if "qa_outputs.weight" in tensors:
        return "question_answering"
    if "classifier.weight" in tensors:
        return "classification" if POOLER[0] in tensors else "token_classification"
    return None
