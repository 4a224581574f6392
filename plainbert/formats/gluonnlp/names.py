"""What GluonNLP calls the weights of BERT, and what Hugging Face calls them.

The names are those of ``save_parameters``, equal in GluonNLP 0.6 to 0.10. A bare ``BERTModel`` has
them as they are; a model for a task has its BERT under ``bert.`` (or ``bert_model.``) and its own
last layer beside. All matrices are (out, in) in both worlds.

Source:
    dmlc/gluon-nlp v0.10, src/gluonnlp/model/bert.py; scripts/bert/model, scripts/ner/ner_model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from plainbert.errors import CheckpointError

WORDS = "bert.embeddings.word_embeddings.weight"
TIED = "cls.predictions.decoder.weight"  # the output matrix: the word embedding's, never kept

# In the order in which gluon registers them, which is that of its files.
_EMBEDDINGS = (
    ("encoder.position_weight", "bert.embeddings.position_embeddings.weight"),
    ("encoder.layer_norm.gamma", "bert.embeddings.LayerNorm.weight"),
    ("encoder.layer_norm.beta", "bert.embeddings.LayerNorm.bias"),
)
_LAYER = (
    ("attention_cell.proj_query.bias", "attention.self.query.bias"),
    ("attention_cell.proj_key.bias", "attention.self.key.bias"),
    ("attention_cell.proj_value.bias", "attention.self.value.bias"),
    ("attention_cell.proj_query.weight", "attention.self.query.weight"),
    ("attention_cell.proj_key.weight", "attention.self.key.weight"),
    ("attention_cell.proj_value.weight", "attention.self.value.weight"),
    ("proj.weight", "attention.output.dense.weight"),
    ("proj.bias", "attention.output.dense.bias"),
    ("ffn.ffn_1.weight", "intermediate.dense.weight"),
    ("ffn.ffn_1.bias", "intermediate.dense.bias"),
    ("ffn.ffn_2.weight", "output.dense.weight"),
    ("ffn.ffn_2.bias", "output.dense.bias"),
    ("ffn.layer_norm.gamma", "output.LayerNorm.weight"),
    ("ffn.layer_norm.beta", "output.LayerNorm.bias"),
    ("layer_norm.gamma", "attention.output.LayerNorm.weight"),
    ("layer_norm.beta", "attention.output.LayerNorm.bias"),
)
_TOP = (
    ("word_embed.0.weight", WORDS),
    ("token_type_embed.0.weight", "bert.embeddings.token_type_embeddings.weight"),
    ("pooler.weight", "bert.pooler.dense.weight"),
    ("pooler.bias", "bert.pooler.dense.bias"),
    ("classifier.weight", "cls.seq_relationship.weight"),
    ("classifier.bias", "cls.seq_relationship.bias"),
    ("decoder.0.weight", "cls.predictions.transform.dense.weight"),
    ("decoder.0.bias", "cls.predictions.transform.dense.bias"),
    ("decoder.2.gamma", "cls.predictions.transform.LayerNorm.weight"),
    ("decoder.2.beta", "cls.predictions.transform.LayerNorm.bias"),
    ("decoder.3.weight", TIED),
    ("decoder.3.bias", "cls.predictions.bias"),
)
_FIXED = dict(_EMBEDDINGS + _TOP)
OUTPUTS = (TIED, "cls.predictions.decoder.bias")  # of Hugging Face's files: stored elsewhere too
_CELLS = dict(_LAYER)
_CELL = re.compile(r"encoder\.transformer_cells\.(0|[1-9]\d{0,5})\.(.+)")
BODY = tuple(hf for _, hf in _EMBEDDINGS + _TOP[:2])  # besides the layers
POOLER = ("bert.pooler.dense.weight", "bert.pooler.dense.bias")
SENTENCES = ("cls.seq_relationship.weight", "cls.seq_relationship.bias")
MLM = tuple(hf for _, hf in _TOP[6:] if hf != TIED)

# The last layer of a task's model. 0: the model was made without dropout before it.
_HEAD = re.compile(
    r"(?:(?P<classification>classifier(?:\.\d)?)|(?P<regression>regression(?:\.\d)?)"
    r"|(?P<question_answering>span_classifier)|(?P<token_classification>tag_classifier))\.(?P<kind>weight|bias)"
)
# By head of plainbert.nn.names: where its BERT lies, what its last layer is called, in gluonnlp 0.9
# and 0.10 (where regression is a classifier with one class) and in transformers.
TASKS = {
    "classification": ("bert.", "classifier.1", "classifier"),
    "regression": ("bert.", "classifier.1", "classifier"),
    "question_answering": ("bert.", "span_classifier", "qa_outputs"),
    "token_classification": ("bert_model.", "tag_classifier", "classifier"),
}


@dataclass(frozen=True)
class Named:
    """Names of one file.

    Attributes:
        gluon_names: name in the file by Hugging Face's.
        head: the task whose last layer is there, a key of :data:`TASKS`; None for a bare BERT.
        layers: number of encoder layers.
        unused: names that BERT has no place for.
    """

    gluon_names: Mapping[str, str]
    head: str | None
    layers: int
    unused: tuple[str, ...]


def layer_names(layer: int) -> Iterator[str]:
    """Hugging Face's names of one encoder layer."""
    return (f"bert.encoder.layer.{layer}.{name}" for name in _CELLS.values())


def to_huggingface(names: Iterable[str], source: str) -> Named:
    """Translate the structural names of a file.

    Raises:
        CheckpointError: these are not the names of one BERT; the message says which are missing.
    """
    names = list(names)
    anchors = [name for name in names if name.endswith("encoder.position_weight")]
    if len(anchors) != 1:
        raise CheckpointError(
            f"{source} holds {len(anchors)} arrays named encoder.position_weight; the one of a "
            "GluonNLP BERT is expected. Is it another model?"
        )
    prefix = anchors[0].removesuffix("encoder.position_weight")
    gluon_names: dict[str, str] = {}
    heads: dict[str, dict[str, str]] = {}
    unused = []
    for name in names:
        hf_name = _body(name.removeprefix(prefix)) if name.startswith(prefix) else None
        head = _HEAD.fullmatch(name) if hf_name is None else None
        if hf_name is not None:
            gluon_names[hf_name] = name
        elif head is not None:
            task = next(task for task in TASKS if head[task])
            key = f"{TASKS[task][2]}.{head['kind']}"
            if key in heads.setdefault(task, {}):
                raise CheckpointError(
                    f"{source} holds both {heads[task][key]} and {name}: which is the last layer?"
                )
            heads[task][key] = name
        else:
            unused.append(name)
    if len(heads) > 1:
        listed = ", ".join(
            sorted(name for layer_weights in heads.values() for name in layer_weights.values())
        )
        raise CheckpointError(f"{source} holds the last layers of several tasks: {listed}.")
    task_head = next(iter(heads), None)
    if task_head is not None:
        gluon_names |= heads[task_head]
        if len(heads[task_head]) != 2:
            (only,) = heads[task_head].values()
            raise CheckpointError(f"{source} holds {only} alone, without its weight or bias.")
    layers = _check(gluon_names, prefix, source)
    return Named(gluon_names, task_head, layers, tuple(unused))


def _body(name: str) -> str | None:
    """Hugging Face's name of a weight of ``BERTModel``."""
    if (cell := _CELL.fullmatch(name)) is not None and cell[2] in _CELLS:
        return f"bert.encoder.layer.{int(cell[1])}.{_CELLS[cell[2]]}"
    return _FIXED.get(name)


def _check(gluon_names: Mapping[str, str], prefix: str, source: str) -> int:
    """The number of layers of a complete body."""
    numbers = {
        int(name.split(".")[3]) for name in gluon_names if name.startswith("bert.encoder.layer.")
    }
    layers = len(numbers)
    required = [*BODY, *(name for layer in range(layers) for name in layer_names(layer))]
    if TIED in gluon_names:
        required.remove(WORDS)  # the same matrix; one of the two may be left out
    missing = [name for name in required if name not in gluon_names]
    if missing or not layers or numbers != set(range(layers)):
        gluon = {hf: name for name, hf in structural(layers)}
        complaints = [prefix + gluon[name] for name in missing] or [
            f"layers, found {sorted(numbers)}"
        ]
        more = f" and {len(complaints) - 6} more" if len(complaints) > 6 else ""
        hint = ""
        if BODY[-1] in missing and len(missing) == 1:
            hint = " RoBERTa and DistilBERT, which have no token types, are not supported."
        raise CheckpointError(
            f"{source} lacks weights of BERT's body: {', '.join(complaints[:6])}{more}.{hint}"
        )
    return layers


def structural(layers: int) -> Iterator[tuple[str, str]]:
    """GluonNLP's and Hugging Face's name of every weight of a bare BERT, in gluon's order."""
    yield from _EMBEDDINGS
    for layer in range(layers):
        for gluon, hf in _LAYER:
            yield f"encoder.transformer_cells.{layer}.{gluon}", f"bert.encoder.layer.{layer}.{hf}"
    yield from _TOP
