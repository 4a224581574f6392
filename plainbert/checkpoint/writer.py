"""Write a checkpoint folder that appears whole or not at all, and the links to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from plainbert import files
from plainbert.checkpoint.sentence import SentenceSettings, write_sentence
from plainbert.checkpoint.sizes import check_sizes
from plainbert.config import BertConfig
from plainbert.containers.weight_files import SAFETENSORS
from plainbert.errors import CheckpointError, FormatError
from plainbert.files import remove_leftovers
from plainbert.nn.names import HEADS, problem_type_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from plainbert.text.tokenizer import Tokenizer

__all__ = [
    "remove_leftovers", "state", "step_name", "write",
    "write_folder",
]  # fmt: skip


def write(
    folder: str | Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    config: BertConfig | None = None,
    about: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a model and everything that must agree with it into a new folder.

    ``transformers`` opens it with ``AutoModelFor...``; ``sentence-transformers`` makes equal
    vectors of it when ``about`` names a pooling that it has.

    Args:
        folder: must not exist; it appears once everything is on disk.
        model: a :class:`plainbert.nn.bert.Bert` or a model with a head.
        tokenizer: what the model was trained with.
        config: sizes and labels; the model's own when not given. The architecture and problem
            type are set from the model's head.
        about: what config.json cannot say: "task", "max_length" (tokens), "pooling" ("mean",
            "cls", "max" or one of ours) and the other fields of
            :class:`plainbert.checkpoint.sentence.SentenceSettings`, "dtype" it was trained in, and
            anything on how that was done. Nothing that config.json says.
        tensors: the model's state dict, when the model does not hold all of it itself.

    Returns:
        the folder.

    Raises:
        UsageError: the folder exists.
        CheckpointError: the vocabulary does not fit the model, or a weight is not finite.
    """
    config, about = _description(model, config, about)
    if tensors is None:
        tensors = model.state_dict()
    return write_folder(folder, tensors, tokenizer, config, about)


def write_into(
    folder: Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    about: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> None:
    """Write what :func:`write` writes into a folder that exists already, beside other files.

    Args:
        folder: an existing folder; whoever created it sees to it that it appears whole.
        model: a model with a head.
        tokenizer: what the model was trained with.
        about: for ``plainbert.json``, as :func:`write` takes it.
        tensors: the model's state dict.

    Raises:
        CheckpointError: the vocabulary does not fit the model, or a weight is not finite.
    """
    config, about = _description(model, None, about)
    config = _checked(tensors, tokenizer, config, about, str(folder))
    _write_files(folder, tensors, tokenizer, config, about)


def write_folder(
    folder: str | Path,
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    config: BertConfig,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint folder from tensors, without a model.

    The tensors are written one at a time: mapped, transposed or on another device, there is never
    a second copy of them all.

    Args:
        folder: must not exist; it appears once everything is on disk.
        tensors: by Hugging Face's names, as the class that ``config.architectures`` names has
            them; one floating point type.
        tokenizer: what belongs to them.
        config: sizes, architecture, labels. Its "dtype" is set from the tensors.
        about: what goes into ``plainbert.json``, see :func:`write`.

    Returns:
        the folder.

    Raises:
        UsageError: the folder exists.
        CheckpointError: the vocabulary or the config does not fit the tensors, or a weight is not
            finite.
        FormatError: a tensor is not of a floating point type.
    """
    about = dict(about or {})
    config = _checked(tensors, tokenizer, config, about, str(folder))
    with files.new_folder(folder) as partial:
        _write_files(partial, tensors, tokenizer, config, about)
    return Path(folder)


def _description(
    model: nn.Module, config: BertConfig | None, about: Mapping[str, Any] | None
) -> tuple[BertConfig, dict[str, Any]]:
    """What ``config.json`` and ``plainbert.json`` say of a model."""
    about = dict(about or {})
    config = _described(model, config or cast(BertConfig, model.config))
    if config.architectures == (HEADS["multiple_choice"].architecture,):
        about.setdefault("num_choices", cast(Any, model).num_choices)
    return config, about


def _checked(
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    config: BertConfig,
    about: Mapping[str, Any],
    source: str,
) -> BertConfig:
    """The config with the tensors' type, once all is seen to fit together."""
    extra = {key: value for key, value in config.extra.items() if key != "torch_dtype"}
    for tensor in tensors.values():
        extra["dtype"] = str(tensor.dtype).removeprefix("torch.")
        break
    config = config.replace(extra=extra)
    repeated = sorted(set(about) & set(config.to_dict()))
    assert not repeated, f"config.json owns {repeated}"
    check_vocabulary(len(tokenizer.vocab), config.vocab_size, source)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_sizes(config, shapes, source)
    check_values(tensors)
    return config


def _write_files(
    folder: Path,
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    config: BertConfig,
    about: Mapping[str, Any],
) -> None:
    from plainbert.checkpoint.tensor_files import write_tensors

    config.save(folder / "config.json")
    if about:
        files.write_json(folder / "plainbert.json", about)
    # transformers refuses files that do not say which library's tensors they hold.
    write_tensors(folder / SAFETENSORS, tensors, {"format": "pt"})
    tokenizer.save(folder)
    length = about.get("max_length") or config.max_position_embeddings
    names = [item.name for item in fields(SentenceSettings) if item.name in about]
    sentence = SentenceSettings(**{**{name: about[name] for name in names}, "max_length": length})
    write_sentence(folder, sentence, config.hidden_size)


def check_vocabulary(pieces: int, rows: int, source: str) -> None:
    """Refuse a vocabulary with more entries than the embedding matrix has rows.

    A smaller one is fine: matrices are often padded.

    Raises:
        CheckpointError: it does not fit; the message has both numbers.
    """
    if pieces > rows:
        raise CheckpointError(
            f"{source}: the vocabulary has {pieces} entries, but the model has vectors for {rows} "
            f"(vocab_size in config.json). They do not belong together; entries {rows} to "
            f"{pieces - 1} would have no vector. Give the vocabulary that it was trained with."
        )


def state(model: nn.Module) -> dict[str, Tensor]:
    """A model's weights by Hugging Face's names, each once, on the CPU.

    Raises:
        CheckpointError: a weight is not finite; nothing worth keeping would be written.
    """
    tensors = {name: tensor.detach().to("cpu") for name, tensor in model.state_dict().items()}
    check_values(tensors)
    return tensors


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Refuse to write what could not be opened.

    Raises:
        CheckpointError: a weight is not finite; nothing worth keeping would be written.
        FormatError: a tensor is not of a floating point type.
    """
    from plainbert.checkpoint.weights import DTYPES, not_finite

    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise FormatError(f"{name} holds {tensor.dtype}; floating point is expected.")
        if not_finite(tensor):
            raise CheckpointError(
                f"{name} holds values that are not finite (NaN or infinite); the model is not "
                "written. A lower learning rate often helps."
            )


def _described(model: nn.Module, config: BertConfig) -> BertConfig:
    """The config with the model's architecture and its loss."""
    head = HEADS[getattr(model, "head", "embedding")]
    kind = problem_type_of(head.name, config.problem_type)
    return config.replace(architectures=(head.architecture,), problem_type=kind)


def step_name(step: int) -> str:
    """The name of the folder written after ``step`` optimizer updates."""
    return f"step-{step:07d}"
