"""Put named tensors into a model; whatever does not fit is an error or is counted."""

from __future__ import annotations

import bisect
import logging
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from plainbert.checkpoint.names import DECODER, HEADS, WORDS, head_of_name, own_names, some
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError, MissingHeadError

log = logging.getLogger(__name__)

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


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
    """Put a checkpoint's tensors into a model.

    A parameter that was made in :class:`plainbert.checkpoint.meta_init.MetaInit` becomes the stored
    tensor itself where type and shape fit, without a copy: a mapped file stays mapped, and what
    training changes is copied page by page. Any other parameter is copied into, so that an
    optimizer's references stay good.

    The body must be there completely. Heads of other tasks are left out and counted. A head that
    the checkpoint lacks is drawn new, when that is allowed.

    Args:
        model: a :class:`plainbert.nn.bert.Bert` or a model with a head, blank or not.
        tensors: by Hugging Face's names, old (gamma, beta) or new, with or without ``bert.``,
            and what wraps the model, see :func:`plainbert.checkpoint.names.bare_names`.
        fresh_heads: whether missing or differently shaped heads are drawn new; only fine-tuning
            may allow it.
        skip: heads (of :data:`HEADS`) to treat as missing although the file has them.
        source: where the tensors come from, for messages.

    Raises:
        CheckpointError: something is missing, has the wrong shape, is not finite, or has a name
            that no BERT has; the message lists it.
        FormatError: weights that are not floating point numbers.
    """
    stored, ignored = own_names(tensors, source)
    prefix = "bert." if hasattr(model, "bert") else ""
    parameters = {
        name.removeprefix(prefix): parameter for name, parameter in model.named_parameters()
    }
    heads = {head_of_name(name) for name in parameters}
    left_out = {head for head in HEADS if head in tuple(skip) or head not in heads}
    dropped = {name for name in stored if head_of_name(name) in left_out}
    if "cls.predictions" in heads - left_out:
        _check_decoder(stored, source)
    fresh = _fresh(stored, parameters, dropped, fresh_heads, source)
    _check_names(stored, parameters, dropped, fresh, source)
    _fill(model, prefix, stored, fresh, source)
    unused = {*dropped, *(fresh & stored.keys())}
    report = LoadReport(
        loaded=len(parameters) - len(fresh),
        fresh=tuple(name for name in parameters if name in fresh),
        ignored=tuple(sorted({*ignored, *(stored[name][0] for name in unused)})),
    )
    if report.fresh:
        log.debug("%s: drawn new, to be trained: %s", source, ", ".join(report.fresh))
    if report.ignored:
        log.debug(
            "%s: left out %d of the stored tensors (%s)",
            source,
            len(report.ignored),
            some(report.ignored),
        )
    return report


def _check_names(
    stored: Mapping[str, tuple[str, Tensor]],
    parameters: Mapping[str, Tensor],
    dropped: set[str],
    fresh: set[str],
    source: str,
) -> None:
    """Refuse names that the model has no place for, and a body that is not whole."""
    known = {*parameters, *dropped, f"{DECODER}.weight", f"{DECODER}.bias"}
    unknown = [original for name, (original, _) in stored.items() if name not in known]
    if unknown:
        raise CheckpointError(
            f"{source} holds weights that this model has no place for: {some(unknown)}. "
            "Is it another architecture, or another number of layers than config.json states?"
        )
    missing = [name for name in parameters if name not in stored and name not in fresh]
    if missing:
        raise CheckpointError(f"{source} lacks weights of the model's body: {some(missing)}.")


@torch.no_grad()
def _fill(
    model: nn.Module,
    prefix: str,
    tensors: Mapping[str, tuple[str, Tensor]],
    fresh: set[str],
    source: str,
) -> None:
    """Give every parameter its values; a blank one also its memory."""
    config = cast(BertConfig, model.config)
    targets = {
        f"{path}.{key}".removeprefix(".").removeprefix(prefix): (module, key, parameter)
        for path, module in model.named_modules()
        for key, parameter in module._parameters.items()
        if parameter is not None
    }
    stored = {
        name: _fitting(name, tensors[name][1], parameter, source)
        for name, (_, _, parameter) in targets.items()
        if name not in fresh
    }
    _check_finite(stored, source)
    taken = _Taken()
    for name, (module, key, parameter) in targets.items():
        if name in fresh:
            values = torch.empty_like(parameter, device="cpu") if parameter.is_meta else parameter
            _draw(name, values, config)
        else:
            values = stored[name]
        if parameter.is_meta:
            # Tensors of a torch file may share memory: trained, one would change the other.
            values = values.clone() if taken.overlap(values) else values.contiguous()
            module._parameters[key] = nn.Parameter(values, parameter.requires_grad)
        elif values is not parameter:
            parameter.copy_(values)


class _Taken:
    """The memory that parameters already have."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []  # first byte, byte behind the last; in order

    def overlap(self, tensor: Tensor) -> bool:
        """Whether a tensor's bytes are partly in use; if not, they are from now on."""
        reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        start = tensor.data_ptr()
        run = (start, start + (reach + 1) * tensor.itemsize)
        place = bisect.bisect(self.runs, run)
        for other in self.runs[max(0, place - 1) : place + 1]:
            if run[0] < other[1] and other[0] < run[1]:
                return True
        self.runs.insert(place, run)
        return False


def _check_decoder(stored: Mapping[str, tuple[str, Tensor]], source: str) -> None:
    """A stored output matrix must be the word embedding's: ours are one parameter."""
    for name, twin in ((f"{DECODER}.weight", WORDS), (f"{DECODER}.bias", "cls.predictions.bias")):
        if name in stored and twin in stored and not _same(stored[name][1], stored[twin][1]):
            raise CheckpointError(
                f"{source}: {stored[name][0]} differs from {stored[twin][0]}; models whose output "
                "matrix is not tied to the word embedding are not supported."
            )


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _fresh(
    stored: Mapping[str, tuple[str, Tensor]],
    parameters: Mapping[str, Tensor],
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
        names = [name for name in parameters if head_of_name(name) == head]
        wrong = [
            name
            for name in names
            if name not in stored
            or name in dropped
            or stored[name][1].shape != parameters[name].shape
        ]
        if wrong and not allowed:
            raise _no_head(head, wrong, stored, parameters, dropped, source)
        fresh.update(names if wrong else ())
    return fresh


def _no_head(
    head: str,
    wrong: list[str],
    stored: Mapping[str, tuple[str, Tensor]],
    parameters: Mapping[str, Tensor],
    dropped: set[str],
    source: str,
) -> CheckpointError:
    """Why a head of a checkpoint cannot be used, and what to do."""
    name, kind = wrong[0], CheckpointError
    if name in dropped:
        reason = f"{source} holds a {head!r} of another task"
    elif name in stored:
        reason = (
            f"{source}: {stored[name][0]} has shape {tuple(stored[name][1].shape)}, the model's is "
            f"{tuple(parameters[name].shape)}"
        )
    else:
        reason, kind = f"{source} has no {head!r} ({', '.join(wrong)})", MissingHeadError
    return kind(f"{reason}. Fine-tune it for this task first, or give a folder that was.")


def _fitting(name: str, tensor: Tensor, target: Tensor, source: str) -> Tensor:
    """The tensor in the model's type, if its shape and type can be weights."""
    if tensor.shape != target.shape:
        raise CheckpointError(
            f"{source}: {name} has shape {tuple(tensor.shape)}, but config.json makes it "
            f"{tuple(target.shape)}."
        )
    if tensor.dtype not in DTYPES:
        raise FormatError(
            f"{source}: {name} holds {tensor.dtype}; floating point is expected "
            f"({', '.join(str(dtype).removeprefix('torch.') for dtype in DTYPES)})."
        )
    return tensor.to(target.dtype)


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Look at every value; this is what opening takes longest for, so all processors do it."""
    workers = torch.get_num_threads()
    names = sorted(tensors, key=lambda name: -tensors[name].numel())
    shares = [names[first::workers] for first in range(workers)]

    def look(share: list[str]) -> dict[str, int]:
        bad_counts = {name: not_finite(tensors[name]) for name in share}
        return {name: bad for name, bad in bad_counts.items() if bad}

    if workers == 1:
        bad_counts = look(names)
    else:
        with ThreadPoolExecutor(workers) as pool:
            bad_counts = {
                name: bad for counts in pool.map(look, shares) for name, bad in counts.items()
            }
    for name, tensor in tensors.items():
        if name in bad_counts:
            raise CheckpointError(
                f"{source}: {bad_counts[name]} of {tensor.numel()} values of {name} are not "
                "finite (NaN "
                "or infinite); the training that wrote it went wrong."
            )


def not_finite(tensor: Tensor) -> int:
    """How many values of a tensor are NaN or infinite."""
    # A single one makes the norm odd, and the norm is one pass at the memory's speed, without a
    # second tensor. A finite one may overflow too: only then is it worth a closer look.
    norm = torch.linalg.vector_norm(tensor)
    return 0 if math.isfinite(norm) else int((~torch.isfinite(tensor)).sum())


def _draw(name: str, target: Tensor, config: BertConfig) -> None:
    """Fresh values of one head parameter, as :func:`plainbert.nn.bert.initialize` draws them."""
    if name.endswith("bias"):
        nn.init.zeros_(target)
    elif "LayerNorm" in name:
        nn.init.ones_(target)
    else:
        nn.init.normal_(target, std=config.initializer_range)
