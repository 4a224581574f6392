"""GluonNLP's checkpoints: ``NAME.params`` and ``NAME.vocab``, read and written.

Facts worth knowing of GluonNLP: it gives zeros for the hidden vectors behind the end of a sequence,
where Hugging Face gives whatever comes out; queries, keys and values are separate in every file of
its own. (In exports of plainbert they may lie interleaved in one matrix.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.foreign import Foreign
from plainbert.formats.gluonnlp import (
    config as gluonnlp_config,
)
from plainbert.formats.gluonnlp import (
    flat as gluonnlp_flat,
)
from plainbert.formats.gluonnlp import (
    names as gluonnlp_names,
)
from plainbert.formats.gluonnlp import (
    params,
)
from plainbert.formats.gluonnlp.names import MLM, POOLER, SENTENCES, TIED, WORDS
from plainbert.formats.gluonnlp.writer import write
from plainbert.text import casing

__all__ = ["looks_like", "read", "write"]


def looks_like(path: Path) -> bool:
    """Whether a file, or a folder with one, is GluonNLP's."""
    if path.is_dir():
        return bool(_candidates(path))
    return path.is_file() and params.looks_like(path)


def read(
    path: Path,
    num_heads: int | None = None,
    labels: Sequence[str] | None = None,
    repair_bias: bool = False,
) -> Foreign:
    """Open a model of GluonNLP.

    Args:
        path: a ``.params`` file, or a folder with exactly one.
        num_heads: attention heads; else from a config beside the file, its name, or units / 64.
        labels: class or tag names by id, which the file does not hold. (The pickle beside old NER
            models is never opened.)
        repair_bias: the model was fine-tuned with GluonNLP 0.9.0 to 0.9.2, which mixed up the
            biases of queries, keys and values; deal them out as it used them.

    Raises:
        FormatError: the file is damaged, or its output matrix is not the word embedding.
        CheckpointError: it holds no BERT, or not all of one; there is no file, or several.
        UsageError: the number of heads is unknown, or the labels do not fit.
    """
    path = _file(path)
    arrays, joined = gluonnlp_flat.parted(params.read(path))
    gluon_names, stored_head, layers, unused = _named(arrays, str(path))
    tensors = {hf: arrays[name] for hf, name in gluon_names.items()}
    _untie(tensors, gluon_names, path)
    unused += _incomplete(tensors, gluon_names)
    head = _head(tensors, stored_head)
    known = gluonnlp_config.describe(path, tensors, layers, head, num_heads, labels)
    _check_shapes(tensors, gluon_names, known.config, path)
    kinds = ("weight", "bias") if joined else ("bias",) if repair_bias else ()
    for kind in kinds:
        _deal(tensors, layers, known.config.num_attention_heads, kind)
    vocabulary = gluonnlp_config.vocabulary(path)
    lower, names = known.lower, tuple[str, ...]()
    if lower is None:
        beside = casing.names_of(vocabulary) if vocabulary is not None else ()
        names = (*casing.names_of(path), *beside)
        lower = casing.of_names(names)
    return Foreign(
        path,
        "gluonnlp",
        known.config,
        tensors,
        tuple(unused),
        vocabulary,
        lower,
        known.assumed,
        names,
    )


def _candidates(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.glob("*.params"))
        if path.is_file() and not path.name.startswith(".")
    ]


def _file(path: Path) -> Path:
    """The one ``.params`` file that is meant."""
    if not path.is_dir():
        return path
    candidates = _candidates(path)
    if len(candidates) != 1:
        listed = ", ".join(candidate.name for candidate in candidates) or "none"
        raise CheckpointError(
            f"{path}: one .params file is expected, there is {listed}. Give the path of the file."
        )
    return candidates[0]


def _named(
    arrays: Mapping[str, Tensor], source: str
) -> tuple[dict[str, str], str | None, int, list[str]]:
    """(file's name by Hugging Face's, head, layers, unused), whatever the kind of names."""
    plain = {name.removeprefix("arg:").removeprefix("aux:"): name for name in arrays}
    if len(plain) != len(arrays):
        raise CheckpointError(f"{source} holds one name under both arg: and aux:.")
    if gluonnlp_flat.is_flat(plain):
        flat = gluonnlp_flat.to_structural(plain, source)
        translated = {target: plain[name] for name, target in flat.items()}
        if len(translated) != len(flat):
            raise CheckpointError(f"{source} holds two arrays for one weight of BERT.")
        unused = [original for name, original in plain.items() if name not in flat]
        plain = translated
    else:
        unused = []
    named = gluonnlp_names.to_huggingface(plain, source)
    gluon_names = {hf: plain[name] for hf, name in named.gluon_names.items()}
    return gluon_names, named.head, named.layers, unused + [plain[name] for name in named.unused]


def _untie(tensors: dict[str, Tensor], gluon_names: Mapping[str, str], path: Path) -> None:
    """Leave out the output matrix, which is the word embedding; either may be stored alone."""
    tied = tensors.pop(TIED, None)
    if tied is None:
        return
    words = tensors.setdefault(WORDS, tied)
    if words.shape != tied.shape or words.dtype != tied.dtype or not _same_bits(words, tied):
        raise FormatError(
            f"{path}: {gluon_names[TIED]} differs from {gluon_names[WORDS]}; "
            "models whose output matrix is not "
            "tied to the word embedding are not supported."
        )


def _same_bits(one: Tensor, two: Tensor) -> bool:
    """Whether two matrices are equal: all of a small one, every 30th row or so of a large one.

    Matrices that were trained apart differ nearly everywhere, and first of all in the rows of the
    special tokens; reading both whole would take ten times as long as opening the file.
    """
    kind = torch.int32 if one.dtype.itemsize == 4 else torch.uint8
    parts = [slice(None)]
    if one.numel() > 1 << 20:
        parts = [slice(0, 256), slice(0, None, max(1, len(one) // 1024))]
    return all(torch.equal(one[part].view(kind), two[part].view(kind)) for part in parts)


def _incomplete(tensors: dict[str, Tensor], gluon_names: Mapping[str, str]) -> list[str]:
    """Take out pre-training heads that are not whole; returns their names in the file."""
    lost = []
    for part in (POOLER, SENTENCES, MLM):
        present = [hf for hf in part if hf in tensors]
        if len(present) != len(part):
            lost += [gluon_names[hf] for hf in present]
            for hf in present:
                del tensors[hf]
    return lost


def _head(tensors: Mapping[str, Tensor], stored: str | None) -> str:
    """A name of :data:`plainbert.nn.names.HEADS` for what is there."""
    if stored == "classification" and tensors["classifier.weight"].shape[:1] == (1,):
        return "regression"
    if stored is not None:
        return stored
    words, sentences = MLM[0] in tensors, SENTENCES[0] in tensors
    if words and sentences:
        return "pretraining"
    return "masked_lm" if words else "next_sentence" if sentences else "embedding"


def _check_shapes(
    tensors: Mapping[str, Tensor], gluon_names: Mapping[str, str], config: BertConfig, path: Path
) -> None:
    """Compare every weight with the sizes of the config.

    Raises:
        CheckpointError: one does not fit.
    """
    for name, tensor in tensors.items():
        shape = gluonnlp_config.shape_of(name, config)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{path}: {gluon_names.get(name, name)} has shape {tuple(tensor.shape)}; the other "
                f"weights make it {shape}."
            )


def _deal(tensors: dict[str, Tensor], layers: int, heads: int, kind: str) -> None:
    """Take the rows of queries, keys and values out of an interleaved matrix or bias.

    GluonNLP 0.9.0 to 0.9.2 read the joined biases as if they were dealt like that.
    """
    for layer in range(layers):
        names = [
            f"bert.encoder.layer.{layer}.attention.self.{part}.{kind}"
            for part in ("query", "key", "value")
        ]
        joined = torch.cat([tensors[name] for name in names]).unflatten(0, (heads, 3, -1))
        for part, name in enumerate(names):
            tensors[name] = joined[:, part].flatten(0, 1)  # (N, H, ...) -> (D, ...)
