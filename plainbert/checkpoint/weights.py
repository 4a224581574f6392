"""Put named tensors into a model; whatever does not fit is an error or is counted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError

log = logging.getLogger(__name__)

# The parts on top of the body. Each is used whole, created fresh whole, or left out whole.
HEADS = ("pooler", "cls.predictions", "cls.seq_relationship", "classifier", "qa_outputs")
# Never parameters of ours: buffers that count 0, 1, 2 ..., and what an optimizer left.
IGNORED = re.compile(
    r"(^|\.)embeddings\.(position_ids|token_type_ids)$"
    r"|(^|[./_])(adam_[mv]|global_step|exp_avg(_sq)?|momentum_buffer|good_steps|loss_scale)"
    r"|^optimizer\."
)
DECODER = "cls.predictions.decoder"  # tied: its matrix is the word embedding's
WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors.

    Attributes:
        loaded: tensors copied into the model.
        fresh: parameters that were drawn new, by name.
        ignored: tensors that the model has no use for, by their name in the file.
    """

    loaded: int
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]


def load(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    fresh_heads: bool = False,
    skip: Iterable[str] = (),
    source: str = "the checkpoint",
) -> LoadReport:
    """Copy a checkpoint's tensors into a model.

    The body must be there completely. Heads of other tasks are left out and counted. A head that
    the checkpoint lacks is drawn new, when that is allowed.

    Args:
        model: a :class:`plainbert.nn.bert.Bert` or a model with a head. Its parameters may be
            uninitialised memory: each is written.
        tensors: by Hugging Face's names, old (gamma, beta) or new, with or without ``bert.``.
        fresh_heads: whether missing or differently shaped heads are drawn new; only fine-tuning
            may allow it.
        skip: heads (of :data:`HEADS`) to treat as missing although the file has them.
        source: where the tensors come from, for messages.

    Raises:
        CheckpointError: something is missing, has the wrong shape, is not finite, or has a name
            that no BERT has; the message lists it.
        FormatError: weights that are not floating point numbers.
    """
    given, ignored = _by_own_name(tensors, source)
    inner = getattr(model, "bert", None)
    prefix = "bert." if inner is not None else ""
    wanted = {name.removeprefix(prefix): each for name, each in model.state_dict().items()}
    dropped = [name for name in given if _head(name) in tuple(skip)]
    dropped += [name for name in given if _head(name) and _head(name) not in _heads(wanted)]
    _check_decoder(given, source)
    fresh = _fresh(given, wanted, set(dropped), fresh_heads, source)
    tied = (f"{DECODER}.weight", f"{DECODER}.bias")
    unknown = [given[name][0] for name in given if name not in {*wanted, *dropped, *tied}]
    if unknown:
        raise CheckpointError(
            f"{source} holds weights that this model has no place for: {_some(unknown)}. "
            "Is it another architecture, or another number of layers than config.json states?"
        )
    missing = [name for name in wanted if name not in given and name not in fresh]
    if missing:
        raise CheckpointError(f"{source} lacks weights of the model's body: {_some(missing)}.")
    config = cast(BertConfig, model.config)
    with torch.no_grad():
        for name, target in wanted.items():
            if name in fresh:
                _draw(name, target, config)
            else:
                target.copy_(_checked(name, given[name][1], target, source))
    unused = {*dropped, *(fresh & given.keys())}
    report = LoadReport(
        loaded=len(wanted) - len(fresh),
        fresh=tuple(name for name in wanted if name in fresh),
        ignored=tuple(sorted({*ignored, *(given[name][0] for name in unused)})),
    )
    if report.fresh:
        log.info("%s: drawn new, to be trained: %s", source, ", ".join(report.fresh))
    if report.ignored:
        log.info(
            "%s: left out %d of the stored tensors (%s)",
            source,
            len(report.ignored),
            _some(report.ignored),
        )
    return report


def _by_own_name(
    tensors: Mapping[str, Tensor], source: str
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """Tensors under the names of our models without ``bert.``, and the names that are ignored."""
    given: dict[str, tuple[str, Tensor]] = {}
    ignored = []
    for original, tensor in tensors.items():
        if IGNORED.search(original):
            ignored.append(original)
            continue
        name = original.removeprefix("bert.")
        name = re.sub(r"(?<=LayerNorm\.)gamma$", "weight", name)
        name = re.sub(r"(?<=LayerNorm\.)beta$", "bias", name)
        if name in given:
            raise CheckpointError(
                f"{source} holds both {given[name][0]} and {original}, which are the same weight."
            )
        given[name] = (original, tensor)
    return given, ignored


def _head(name: str) -> str | None:
    """The head that a parameter belongs to; None for the body and for unknown names."""
    return next((head for head in HEADS if name.startswith(f"{head}.")), None)


def _heads(wanted: Mapping[str, Tensor]) -> set[str | None]:
    return {_head(name) for name in wanted}


def _check_decoder(given: Mapping[str, tuple[str, Tensor]], source: str) -> None:
    """A stored output matrix must be the word embedding's: ours are one parameter."""
    for name, twin in ((f"{DECODER}.weight", WORDS), (f"{DECODER}.bias", "cls.predictions.bias")):
        if name in given and twin in given and not torch.equal(given[name][1], given[twin][1]):
            raise CheckpointError(
                f"{source}: {given[name][0]} differs from {given[twin][0]}; models whose output "
                "matrix is not tied to the word embedding are not supported."
            )


def _fresh(
    given: Mapping[str, tuple[str, Tensor]],
    wanted: Mapping[str, Tensor],
    dropped: set[str],
    allowed: bool,
    source: str,
) -> set[str]:
    """Parameters of heads that cannot be taken from the checkpoint.

    Raises:
        CheckpointError: there are some and that is not allowed.
    """
    fresh: set[str] = set()
    for head in HEADS:
        names = [name for name in wanted if _head(name) == head]
        wrong = [
            name for name in names
            if name not in given or name in dropped or given[name][1].shape != wanted[name].shape
        ]  # fmt: skip
        if wrong and not allowed:
            raise CheckpointError(_no_head(head, wrong, given, wanted, dropped, source))
        fresh.update(names if wrong else ())
    return fresh


def _no_head(
    head: str,
    wrong: list[str],
    given: Mapping[str, tuple[str, Tensor]],
    wanted: Mapping[str, Tensor],
    dropped: set[str],
    source: str,
) -> str:
    """Why a head of a checkpoint cannot be used, and what to do."""
    name = wrong[0]
    if name in dropped:
        reason = f"{source} holds a {head!r} of another task"
    elif name in given:
        reason = (
            f"{source}: {given[name][0]} has shape {tuple(given[name][1].shape)}, the model's is "
            f"{tuple(wanted[name].shape)}"
        )
    else:
        reason = f"{source} has no {head!r} ({', '.join(wrong)})"
    return f"{reason}. Fine-tune it for this task first, or give a folder that was."


def _checked(name: str, tensor: Tensor, target: Tensor, source: str) -> Tensor:
    """The tensor, if its shape, type and values can be weights."""
    if tensor.shape != target.shape:
        raise CheckpointError(
            f"{source}: {name} has shape {tuple(tensor.shape)}, but config.json makes it "
            f"{tuple(target.shape)}."
        )
    if not tensor.is_floating_point():
        raise FormatError(f"{source}: {name} holds {tensor.dtype}; floating point is expected.")
    bad = not_finite(tensor)
    if bad:
        raise CheckpointError(
            f"{source}: {bad} of {tensor.numel()} values of {name} are not finite (NaN or "
            "infinite); the training that wrote it went wrong."
        )
    return tensor


def not_finite(tensor: Tensor) -> int:
    """How many values of a tensor are NaN or infinite."""
    # One of them makes the sum odd, and a sum is one pass without a second tensor. A finite sum
    # may overflow too: only then is it worth a closer look.
    return 0 if torch.isfinite(tensor.sum()) else int((~torch.isfinite(tensor)).sum())


def _draw(name: str, target: Tensor, config: BertConfig) -> None:
    """Fresh values of one head parameter, as :func:`plainbert.nn.bert.initialize` draws them."""
    if name.endswith("bias"):
        nn.init.zeros_(target)
    elif "LayerNorm" in name:
        nn.init.ones_(target)
    else:
        nn.init.normal_(target, std=config.initializer_range)


def _some(names: Iterable[str]) -> str:
    """Names for a message: all, or the first eight and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return ", ".join(listed[:8]) + more
