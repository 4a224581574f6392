"""Google's TensorFlow checkpoints of BERT: ``bert_model.ckpt`` and what fine-tuning makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.formats.foreign import Foreign
from plainbert.formats.tensorflow import config, paths
from plainbert.formats.tensorflow.bundle import Bundle
from plainbert.formats.tensorflow.names import OBJECT, Variable, by_google, layers_of, plain
from plainbert.formats.tensorflow.paths import looks_like
from plainbert.formats.tensorflow.writer import write
from plainbert.nn.names import HEADS
from plainbert.text import casing

if TYPE_CHECKING:
    from plainbert.formats.tensorflow.index import Entry

__all__ = ["looks_like", "read", "write"]

FLOATS = (1, 2, 14, 19)  # TensorFlow's numbers for float32, float64, bfloat16, float16
CHOICES = ("classification", "regression", "token_classification", "multiple_choice")
# The parts on top of the body, by the start of Hugging Face's names.
PARTS = ("bert.pooler.", "cls.predictions.", "cls.seq_relationship.", "qa_outputs.", "classifier.")


def read(
    path: Path,
    num_heads: int | None = None,
    labels: Sequence[str] | None = None,
    head: str | None = None,
    verify: bool = True,
) -> Foreign:
    """Open a checkpoint of Google's BERT.

    Args:
        path: a folder, the files' common prefix (``.../bert_model.ckpt``), or its ``.index`` file.
            Of several checkpoints in a folder the newest is taken: the one that the file
            ``checkpoint`` names, else the one of the highest step.
        num_heads: attention heads; else from ``bert_config.json`` beside it, else units / 64.
        labels: class or tag names by id, which the files do not hold.
        head: what ``output_weights`` is: "classification", "regression", "token_classification" or
            "multiple_choice", which all look alike; a regression when it has one row, else a
            classification, if nothing is said.
        verify: whether to compare the checksums of the tensors that are used, which reads them
            all (a tenth of a second for BERT-base); those of the index always are.

    Raises:
        FormatError: a file is damaged, or in the format of TensorFlow before 0.12.
        CheckpointError: it holds no BERT, or not all of one, or does not fit its config.
        UsageError: the number of heads is unknown, or the head or the labels do not fit.
    """
    location = paths.prefix_of(Path(path))
    bundle = Bundle.open(location.prefix)
    known = by_google(bundle.entries)
    google_names: dict[str, str] = {}  # the file's name by Hugging Face's
    used: dict[str, tuple[Variable, Entry]] = {}
    unused = []
    for name, entry in bundle.entries.items():
        variable = known.get(plain(name))
        if variable is None:
            unused.append(name)
        elif variable.name in google_names:
            raise CheckpointError(
                f"{location.prefix} holds both {google_names[variable.name]} and {name}, "
                "which are one weight."
            )
        else:
            google_names[variable.name] = name
            used[name] = variable, entry
    _check_whole(location.prefix, google_names, known, unused)
    kind = _head(location.prefix, google_names, head, used)
    described = config.describe(
        location.prefix, list(used.values()), layers_of(known), kind, num_heads, labels
    )
    tensors = {}
    for hf, name in google_names.items():
        variable, entry = used[name]
        if entry.dtype not in FLOATS:
            raise FormatError(f"{location.prefix}.index: {name} holds no floating point numbers.")
        tensor = bundle.tensor(name, verify)
        tensors[hf] = tensor.t() if variable.transposed else tensor
    vocabulary = location.prefix.with_name("vocab.txt")
    # As Google's scripts do, where no file states the casing.
    names = () if described.lower is not None else casing.names_of(location.prefix)
    return Foreign(
        location.prefix,
        "tensorflow",
        described.config,
        tensors,
        tuple(unused),
        vocabulary if vocabulary.is_file() else None,
        described.lower if described.lower is not None else casing.of_names(names),
        (*location.assumed, *described.assumed),
        names,
    )


def _check_whole(
    prefix: Path,
    google_names: Mapping[str, str],
    known: Mapping[str, Variable],
    unused: Sequence[str],
) -> None:
    """Refuse a body or a head of which something is missing, and a body of another kind."""
    lost = [variable.google for variable in known.values() if variable.name not in google_names]
    for part in PARTS:
        names = [variable.name for variable in known.values() if variable.name.startswith(part)]
        if not any(name in google_names for name in names):
            lost = [name for name in lost if not known[name].name.startswith(part)]
    if lost:
        kind = "lacks variables of BERT"
        if any(name.endswith(OBJECT) for name in unused):
            kind = (
                "is an object-based checkpoint of TensorFlow 2 whose variables are not named as "
                "Google's BERT names them (write it anew with tf.compat.v1.train.Saver); it lacks"
            )
        elif not google_names:
            kind = (
                f"holds no variable of Google's BERT (but {_some(unused) or 'nothing'}); it lacks"
            )
        raise CheckpointError(f"{prefix} {kind}: {_some(lost)}.")
    # Slots of optimizers hang below the variable that they belong to.
    strange = [
        name for name in unused if name.startswith("bert/") and name.rpartition("/")[0] not in known
    ]
    if strange:
        raise CheckpointError(
            f"{prefix} holds variables that no BERT with {layers_of(known)} layers has: "
            f"{_some(strange)}. It is another architecture, or some of its layers are missing."
        )


def _head(
    prefix: Path,
    google_names: Mapping[str, str],
    head: str | None,
    used: Mapping[str, tuple[Variable, Entry]],
) -> str:
    """A name of :data:`plainbert.nn.names.HEADS` for what is there."""
    if "classifier.weight" in google_names:
        if head not in (None, *CHOICES):
            raise UsageError(
                f"{prefix} holds a classifier; head={head!r} is not among {', '.join(CHOICES)}."
            )
        single = used[google_names["classifier.weight"]][1].shape[:1] == (1,)
        stated = config.stated_head(prefix)
        if head is None and stated in CHOICES:
            return stated
        return head or ("regression" if single else "classification")
    words, sentences = (
        "cls.predictions.bias" in google_names,
        "cls.seq_relationship.bias" in google_names,
    )
    kind = "masked_lm" if words else "next_sentence" if sentences else "embedding"
    if words and sentences:
        kind = "pretraining"
    if "qa_outputs.weight" in google_names:
        kind = "question_answering"
    if head not in (None, kind):
        raise UsageError(
            f"{prefix} holds {HEADS[kind].architecture}; head={head!r} does not fit it."
        )
    return kind


def _some(names: Sequence[str]) -> str:
    """Names for a message: all, or the first eight and how many more."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(name[:200] for name in names[:8]) + more
