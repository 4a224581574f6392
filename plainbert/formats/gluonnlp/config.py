"""What the files of GluonNLP do not say: heads, activation, labels, vocabulary, casing.

Sizes follow from the shapes. The rest comes from a config beside the weights, from the names of the
files, which GluonNLP chose with care (``bert_12_768_12_book_corpus_wiki_en_uncased-75cc780f``), or
is assumed and said so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError
from plainbert.formats.described import Described, check_heads, class_names, heads_of, with_head
from plainbert.formats.gluonnlp.names import WORDS

if TYPE_CHECKING:
    from torch import Tensor

CONFIGS = ("config.json", "bert_config.json")
_SIZE = re.compile(r"(?:^|[^a-z])(?P<family>[a-z]*bert|ernie)_(\d+)_(\d+)_(?P<heads>\d+)")
_HASH = re.compile(r"-[0-9a-f]{8}$")
_MATRICES = {  # sizes of the config, and the matrices that show them: name, axis
    "vocab_size": (WORDS, 0),
    "hidden_size": (WORDS, 1),
    "max_position_embeddings": ("bert.embeddings.position_embeddings.weight", 0),
    "type_vocab_size": ("bert.embeddings.token_type_embeddings.weight", 0),
    "intermediate_size": ("bert.encoder.layer.0.intermediate.dense.weight", 0),
}
VOCABULARY_BYTES = 1 << 26  # larger JSON files are no vocabularies


def describe(
    path: Path,
    tensors: Mapping[str, Tensor],
    layers: int,
    head: str,
    num_heads: int | None,
    labels: Sequence[str] | None,
) -> Described:
    """The config of a file's model.

    Args:
        path: the file, whose name and neighbours are looked at.
        tensors: by Hugging Face's names.
        layers: number of encoder layers.
        head: a name of :data:`plainbert.nn.names.HEADS`.
        num_heads: attention heads; looked up or assumed when not given.
        labels: class names; the config's or placeholders when not given.

    Raises:
        CheckpointError: the config beside it, the labels and the weights do not fit together.
        UsageError: nothing says how many attention heads there are.
    """
    for name, _ in _MATRICES.values():
        if tensors[name].dim() != 2 or 0 in tensors[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensors[name].shape)}; a matrix is expected."
            )
    sizes: dict[str, Any] = {
        size: tensors[name].shape[axis] for size, (name, axis) in _MATRICES.items()
    }
    sizes["num_hidden_layers"] = layers
    assumed: list[str] = []
    beside = next((path.parent / n for n in CONFIGS if (path.parent / n).is_file()), None)
    named = _SIZE.search(path.stem)
    stored: BertConfig | None = None
    if beside is not None:
        stored = BertConfig.from_file(beside)
        for size, value in sizes.items():
            if getattr(stored, size) != value:
                raise CheckpointError(
                    f"{beside} says {size}={getattr(stored, size)}, but the weights of {path.name} "
                    f"have {value}. They do not belong together."
                )
        num_heads = num_heads or stored.num_attention_heads
    else:
        num_heads = num_heads or _heads(path, named, sizes["hidden_size"], assumed)
    check_heads(path, num_heads, sizes["hidden_size"])
    sizes["num_attention_heads"] = num_heads
    base: dict[str, Any] = {}
    if stored is None and (named and named["family"] == "ernie"):
        base = {"hidden_act": "relu", "layer_norm_eps": 1e-5}
        assumed.append("hidden_act=relu, layer_norm_eps=1e-05: the file is named ernie")
    elif stored is None:
        assumed.append("hidden_act=gelu, layer_norm_eps=1e-12: those of every BERT of GluonNLP")
    config = stored.replace(**sizes) if stored else BertConfig(**base, **sizes)
    lower = config.extra.get("do_lower_case")
    id2label = None  # the head has no classes of its own
    if head in ("classification", "regression", "token_classification"):
        classes = tensors["classifier.weight"].shape[0]
        id2label = class_names(path, classes, labels, stored)
    return Described(
        with_head(config, head, id2label),
        lower if isinstance(lower, bool) else None,
        tuple(assumed),
    )


def _heads(path: Path, named: re.Match[str] | None, units: int, assumed: list[str]) -> int:
    """Attention heads by the name of the file, else as in every published BERT."""
    if named is not None:
        assumed.append(f"num_attention_heads={named['heads']}: the name of the file")
        return int(named["heads"])
    return heads_of(path, units, "config.json", assumed)


def shape_of(name: str, config: BertConfig) -> tuple[int, ...]:
    """The shape that a config makes a weight have, by Hugging Face's name."""
    width, inner = config.hidden_size, config.intermediate_size
    first = {
        "bert.embeddings.word_embeddings": config.vocab_size,
        "bert.embeddings.position_embeddings": config.max_position_embeddings,
        "bert.embeddings.token_type_embeddings": config.type_vocab_size,
        "cls.predictions": config.vocab_size,
        "cls.seq_relationship": 2,
        "qa_outputs": 2,
        "classifier": config.num_labels,
    }
    layer, _, kind = name.rpartition(".")
    rows = inner if layer.endswith("intermediate.dense") else first.get(layer, width)
    if kind == "bias" or layer.endswith("LayerNorm"):
        return (rows,)
    last = layer.endswith(".output.dense") and not layer.endswith("attention.output.dense")
    return (rows, inner if last else width)


def vocabulary(path: Path) -> Path | None:
    """The vocabulary file that belongs to a ``.params`` file, None when none or several may.

    The one with the same name, else the one whose data set is in the weights' name, else the only
    one.
    """
    candidates = [
        candidate for candidate in sorted(path.parent.iterdir()) if _is_vocabulary(candidate)
    ]
    stems = {candidate: _HASH.sub("", candidate.stem) for candidate in candidates}
    same = [candidate for candidate in candidates if candidate.stem == path.stem]
    inside = [
        candidate
        for candidate in candidates
        if stems[candidate] in path.stem and stems[candidate] != "vocab"
    ]
    inside = [
        candidate
        for candidate in inside
        if len(stems[candidate]) == max(len(stems[e]) for e in inside)
    ]
    for choice in (same, inside, candidates):
        if len(choice) == 1:
            return choice[0]
    return None


def _is_vocabulary(path: Path) -> bool:
    if not path.is_file() or path.name.startswith("."):
        return False
    if path.suffix in (".vocab", ".spiece") or path.name in ("vocab.txt", "spm.model"):
        return True
    if path.suffix != ".json" or path.stat().st_size > VOCABULARY_BYTES:
        return False
    return path.name == "vocab.json" or b'"idx_to_token"' in path.read_bytes()
