"""The sizes of one BERT, as ``config.json`` states them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError, ShapeError
from plainbert.keys import schema
from plainbert.keys.config_json import CONFIG

MOST_LABELS = 1_000_000
ACTIVATIONS = ("gelu", "relu", "gelu_new", "gelu_pytorch_tanh")


@dataclass(frozen=True)
class BertConfig:
    """Architecture and label names; the field names are Hugging Face's.

    Every key of a read ``config.json`` that is not a field here is kept in ``extra`` and written
    back.

    Raises:
        ShapeError: sizes that are not positive, or heads that do not divide the width.
        CheckpointError: an activation or position type that BERT does not have.

    Source:
        Devlin et al. 2019 (arXiv:1810.04805); google-research/bert, modeling.py, BertConfig.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    classifier_dropout: float | None = None
    id2label: tuple[str, ...] | None = None
    problem_type: str | None = None
    architectures: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "type_vocab_size",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ShapeError(f"{name}={value!r}: a whole number of at least 1 is expected.")
        if self.hidden_size % self.num_attention_heads:
            raise ShapeError(
                f"hidden_size={self.hidden_size} cannot be split over "
                f"num_attention_heads={self.num_attention_heads}: the remainder is "
                f"{self.hidden_size % self.num_attention_heads}."
            )
        if self.hidden_act not in ACTIVATIONS:
            raise CheckpointError(
                f"hidden_act={self.hidden_act!r} is not known. Known: {', '.join(ACTIVATIONS)}."
            )
        for name in ("layer_norm_eps", "initializer_range"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ShapeError(f"{name}={getattr(self, name)!r}: a number from 0 is expected.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ShapeError(f"{name}={getattr(self, name)!r}: a share in [0, 1) is expected.")

    @property
    def head_size(self) -> int:
        """H, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def num_labels(self) -> int:
        """C, the number of classes; 2 when the config names none, as Hugging Face assumes."""
        return len(self.id2label) if self.id2label else 2

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes by id; placeholders where the config names none."""
        return self.id2label or placeholders(self.num_labels)

    def replace(self, **changes: Any) -> BertConfig:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_name(cls, name: str, vocab_size: int = 30522) -> BertConfig:
        """Sizes from a name like ``bert_12_768_12`` (layers, units, heads).

        The feed-forward width is four times the units, as in every published BERT.

        Raises:
            ShapeError: the name is not of that form.
        """
        match = re.fullmatch(r"bert_(\d+)_(\d+)_(\d+)", name)
        if match is None:
            raise ShapeError(
                f"{name!r} does not name a size. Expected bert_LAYERS_UNITS_HEADS, "
                "for example bert_12_768_12."
            )
        layers, units, heads = (int(part) for part in match.groups())
        return cls(
            vocab_size=vocab_size,
            hidden_size=units,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * units,
        )

    @property
    def size_name(self) -> str:
        """The name that :meth:`from_name` takes."""
        return f"bert_{self.num_hidden_layers}_{self.hidden_size}_{self.num_attention_heads}"

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "config") -> BertConfig:
        """Read Hugging Face's or Google's keys.

        Args:
            values: the JSON object.
            source: where it came from, for error messages.

        Raises:
            CheckpointError: the config is of another architecture, or a key is missing or wrong.
            FormatError: a value has another form than its key's.
        """
        model_type = values.get("model_type", "bert")
        if model_type != "bert":
            raise CheckpointError(
                f"{source} describes a {short(model_type)} model; BERT is expected."
            )
        schema.check(values, CONFIG, source)
        known = {item.name for item in dataclasses.fields(cls)} - {"extra"}
        known_values = {key: value for key, value in values.items() if key in known}
        extra = {key: value for key, value in values.items() if key not in known | {"label2id"}}
        if "vocab_size" not in known_values or "hidden_size" not in known_values:
            raise CheckpointError(f"{source} lacks vocab_size or hidden_size; is it a BERT config?")
        if known_values.get("id2label") is not None:
            known_values["id2label"] = _labels(
                known_values["id2label"], source, values.get("num_labels")
            )
        elif isinstance(values.get("num_labels"), int):
            if not 0 <= values["num_labels"] <= MOST_LABELS:
                raise CheckpointError(
                    f"{source}: num_labels={values['num_labels']}; at most {MOST_LABELS} is "
                    "expected."
                )
            known_values["id2label"] = placeholders(values["num_labels"])
        extra.pop("num_labels", None)
        known_values["architectures"] = tuple(known_values.get("architectures") or ())
        known_values["pad_token_id"] = known_values.get("pad_token_id") or 0
        try:
            return cls(**known_values, extra=extra)
        except TypeError as error:
            raise CheckpointError(f"{source}: {error}") from None

    @classmethod
    def from_file(cls, path: str | Path) -> BertConfig:
        """Read a ``config.json`` or ``bert_config.json``."""
        return cls.from_dict(files.read_json(path), str(path))

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of ``config.json``, in Hugging Face's terms."""
        values: dict[str, Any] = {"model_type": "bert", **self.extra}
        for item in dataclasses.fields(self):
            if item.name not in ("extra", "id2label") and getattr(self, item.name) is not None:
                values[item.name] = getattr(self, item.name)
        values["architectures"] = list(self.architectures)
        if self.id2label is not None:
            values["id2label"] = {str(row): label for row, label in enumerate(self.id2label)}
            values["label2id"] = {label: row for row, label in enumerate(self.id2label)}
        return values

    def save(self, path: str | Path) -> None:
        """Write ``config.json``."""
        files.write_json(path, self.to_dict())


def placeholders(count: int) -> tuple[str, ...]:
    """The names that ``transformers`` gives classes without names."""
    return tuple(f"LABEL_{row}" for row in range(count))


def _labels(value: Any, source: str, number: Any = None) -> tuple[str, ...]:
    """``id2label`` of a config: {"0": name, ...} or a list, as a tuple by id.

    Taggers whose id 0 was padding name the ids from 1 on; that class gets a placeholder's name.
    """
    names = dict(enumerate(value)) if isinstance(value, list | tuple) else value
    try:
        by_id = {int(key): str(name) for key, name in names.items()}
        count = len(names)  # two keys of one id are one too few
        if by_id and 0 not in by_id and number in (None, count + 1):
            by_id[0] = "LABEL_0"
            count += 1
        labels = tuple(by_id[row] for row in range(count))
    except (KeyError, ValueError):
        raise CheckpointError(
            f"{source}: id2label must name ids 0 to n-1, got {short(value)}."
        ) from None
    rows: dict[str, int] = {}
    for row, label in enumerate(labels):
        if (first := rows.setdefault(label, row)) != row:
            raise CheckpointError(
                f"{source}: id2label calls both class {first} and class {row} "
                f"{short(label)}: results could not tell them apart. Give each class a name "
                "of its own there."
            )
    return labels
