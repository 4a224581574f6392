"""Write the folder of pytorch-pretrained-BERT: the PyTorch BERT before ``transformers``.

``bert_config.json`` with Google's keys, ``vocab.txt``, and ``pytorch_model.bin``, a file of
``torch.save``. Beside them a ``config.json``, with which ``transformers`` opens the folder too.
:mod:`plainbert.checkpoint` reads such folders.

Source:
    pytorch-pretrained-BERT 0.6.2, modeling.py; torch/serialization.py (_save).
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plainbert import files
from plainbert.config import BertConfig
from plainbert.containers.weight_files import PYTORCH
from plainbert.errors import CheckpointError
from plainbert.text.vocab import Vocab

# Google's keys, in Google's order.
CONFIG = (
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",
    "num_hidden_layers", "type_vocab_size", "vocab_size",
)  # fmt: skip
ACTIVATIONS = ("gelu", "relu")
EPSILON = 1e-12  # of its LayerNorm, which no config changes
BODY = re.compile(r"(embeddings|encoder\.layer\.\d+|pooler)\.")
HEADS = re.compile(
    r"cls\.predictions\.(transform\.|bias$)|cls\.seq_relationship\.|(classifier|qa_outputs)\."
)
WORDS = "bert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"  # the same memory under a second name
STORAGES = {
    torch.float32: torch.FloatStorage,
    torch.float64: torch.DoubleStorage,
    torch.float16: torch.HalfStorage,
    torch.bfloat16: torch.BFloat16Storage,
}
ALIGNMENT = 64  # bytes; where torch puts each tensor


def write(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: BertConfig,
    tokens: Sequence[str],
    lower: bool,
    old_names: bool = True,
) -> tuple[str, ...]:
    """Write a folder that ``from_pretrained`` of pytorch-pretrained-BERT and transformers open.

    A bare encoder's names have no ``bert.`` before them, as those of that library's BertModel.

    Args:
        folder: exists and is empty.
        tensors: by Hugging Face's names. Written one at a time: mapped or transposed, there is
            never a second copy of them all.
        config: sizes and labels.
        tokens: the vocabulary, by row.
        lower: whether text is lower-cased.
        old_names: call the weights of LayerNorm gamma and beta, as the published files of that
            library do; every version of both libraries reads either.

    Returns:
        names that its classes have no place for.

    Raises:
        CheckpointError: the model computes something that this library cannot.
    """
    _check(config)
    named = {
        f"bert.{name}" if BODY.match(name) else name: tensor for name, tensor in tensors.items()
    }
    kept = {name: tensor for name, tensor in named.items() if HEADS.match(name) or _is_body(name)}
    dropped = tuple(
        name for name in named if name not in kept and not name.startswith(DECODER[:-7])
    )
    if all(_is_body(name) for name in kept):
        kept = {name.removeprefix("bert."): tensor for name, tensor in kept.items()}
    elif "cls.predictions.bias" in kept:
        kept[DECODER] = kept[WORDS]
    if old_names:
        kept = {_old(name): tensor for name, tensor in kept.items()}
    values = config.to_dict()
    files.write_json(folder / "bert_config.json", {key: values[key] for key in CONFIG})
    files.write_json(folder / "config.json", values)
    files.write_json(folder / "tokenizer_config.json", {"do_lower_case": lower})
    Vocab.from_tokens(tokens).save_txt(folder / "vocab.txt")
    save(folder / PYTORCH, kept)
    return dropped


def _check(config: BertConfig) -> None:
    """Refuse what pytorch-pretrained-BERT would silently compute otherwise."""
    if config.hidden_act not in ACTIVATIONS:
        raise CheckpointError(
            f"pytorch-pretrained-BERT has no activation {config.hidden_act!r}, only "
            f"{', '.join(ACTIVATIONS)}. Convert to huggingface instead."
        )
    if config.layer_norm_eps != EPSILON:
        raise CheckpointError(
            f"pytorch-pretrained-BERT computes with layer_norm_eps={EPSILON}, this model with "
            f"{config.layer_norm_eps}. Convert to huggingface instead."
        )


def _is_body(name: str) -> bool:
    return name.startswith("bert.") and BODY.match(name.removeprefix("bert.")) is not None


def _old(name: str) -> str:
    head, dot, leaf = name.rpartition(".")
    if not head.endswith("LayerNorm"):
        return name
    return head + dot + {"weight": "gamma", "bias": "beta"}.get(leaf, leaf)


class _WrittenStorage(NamedTuple):
    """Stands for a tensor's numbers, which are written outside of the pickle."""

    key: str
    kind: type[Any]
    numel: int


class _Made:
    """Stands for a tensor: pickled, it is torch's call that makes one."""

    def __init__(self, storage: _WrittenStorage, shape: tuple[int, ...]) -> None:
        stride = [1]
        for size in reversed(shape[1:]):
            stride.insert(0, stride[0] * size)
        hooks: OrderedDict[str, Any] = OrderedDict()
        self.arguments = (storage, 0, shape, tuple(stride[: len(shape)]), False, hooks)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, self.arguments  # type: ignore[attr-defined]


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, _WrittenStorage):
            return ("storage", value.kind, value.key, "cpu", value.numel)
        return None


def save(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file that ``torch.load(weights_only=True)`` reads, one tensor at a time.

    Unlike with ``torch.save``, a view is written without the rest of its memory (a mapped file,
    say), and only the tensor being written is ever copied.

    Args:
        path: the file; it appears once it is complete.
        tensors: by name; floating point. The same tensor under two names is stored once.
    """
    storages: dict[int, _WrittenStorage] = {}
    distinct: list[Tensor] = []
    for tensor in tensors.values():
        if id(tensor) not in storages:
            kind = STORAGES[tensor.dtype]
            storages[id(tensor)] = _WrittenStorage(str(len(distinct)), kind, tensor.numel())
            distinct.append(tensor)
    table = OrderedDict(
        (name, _Made(storages[id(tensor)], tuple(tensor.shape))) for name, tensor in tensors.items()
    )
    text = io.BytesIO()
    _Pickler(text, protocol=2).dump(table)
    root = Path(path).stem
    with files.atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in _members(text.getvalue(), distinct):
            info = zipfile.ZipInfo(f"{root}/{name}")
            info.extra = _padding(file.tell() + 30 + len(info.filename))
            with archive.open(info, "w", force_zip64=len(content) >= 2**31) as member:
                member.write(content)


def _members(text: bytes, tensors: Sequence[Tensor]) -> Iterator[tuple[str, memoryview]]:
    """Name and content of each member; a tensor is made contiguous when its turn comes."""
    yield "data.pkl", memoryview(text)
    yield "byteorder", memoryview(b"little")
    for number, tensor in enumerate(tensors):
        flat = tensor.detach().to("cpu").contiguous().flatten()
        yield f"data/{number}", memoryview(flat.view(torch.uint8).numpy().data)
    yield "version", memoryview(b"3\n")


def _padding(here: int) -> bytes:
    """An extra field after which the content is aligned, as torch's own."""
    size = -(here + 4) % ALIGNMENT
    return b"FB" + size.to_bytes(2, "little") + b"Z" * size
