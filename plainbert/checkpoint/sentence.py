"""How a folder turns tokens into one vector, in the files that ``sentence-transformers`` keeps.

``modules.json`` lists the steps: the transformer, then pooling, then perhaps normalising.

Source:
    sentence-transformers 2 to 6: modules.json, 1_Pooling/config.json, sentence_bert_config.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError, FormatError
from plainbert.keys import schema, sentence_files
from plainbert.keys.modules_json import (
    MODULES,
    TRANSFORMERS,
    kind_of,
    step_folder,
    steps_of,
    transformer_folder,
)
from plainbert.keys.sentence_files import POOLING_FLAGS

# What we can write so that sentence-transformers makes equal vectors.
WRITABLE = ("mean", "cls", "max")
MODEL, TRANSFORMER = "config_sentence_transformers.json", "sentence_bert_config.json"


@dataclass(frozen=True)
class SentenceSettings:
    """A folder's own way to a sentence vector.

    Attributes:
        pooling: "mean", "cls", "max", or a name we have no pooling for (several modes are joined
            with "+", other modules are added by their name); None when the folder says nothing.
        normalize: whether vectors get length 1.
        max_length: tokens kept per text, counting [CLS] and [SEP]; None when not stated.
        prompts: texts that may be put before every text, by name.
        default_prompt_name: the prompt that is put there where none is asked for.
        truncate_dim: numbers kept of each vector, the first ones; None for all.
        similarity_fn_name: how vectors are meant to be compared.
        include_prompt: whether the tokens of a prompt, and [CLS] before them, count in pooling.
    """

    pooling: str | None = None
    normalize: bool = False
    max_length: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    truncate_dim: int | None = None
    similarity_fn_name: str | None = None
    include_prompt: bool = True

    def __post_init__(self) -> None:
        name = self.default_prompt_name
        if name is not None and name not in self.prompts:
            raise CheckpointError(
                f"default_prompt_name={short(name)} is none of the prompts: "
                f"{short(list(self.prompts))}."
            )

    @property
    def prompt(self) -> str:
        """What is put before every text where nothing is asked for."""
        name = self.default_prompt_name
        return "" if name is None else self.prompts[name]


def read_sentence(folder: Path) -> SentenceSettings:
    """Read the folder's modules, if it has them.

    Raises:
        FormatError: ``modules.json`` or a file it needs is garbled.
        CheckpointError: a key of theirs means what we do not have.
    """
    modules = steps_of(folder)
    inner = transformer_folder(folder)
    model = _read(folder / MODEL, sentence_files.MODEL)
    settings = _read(inner / TRANSFORMER, sentence_files.TRANSFORMER)
    # Texts are cut at the length of this file, or since version 6 at the tokenizer's.
    length = settings.get("max_seq_length") or stated_length(inner)
    if not modules:
        return SentenceSettings(max_length=stated_length(inner))
    steps: list[str] = []
    normalize, include_prompt = False, True
    prompts = {name: text or "" for name, text in (model.get("prompts") or {}).items()}
    for module in modules:
        kind = kind_of(module)
        if kind == "Pooling":
            path = step_folder(folder, module) / "config.json"
            modes, include_prompt = _modes(path)
            steps += modes
        elif kind == "Normalize" and _of_sentences(step_folder(folder, module)):
            normalize = True
        elif kind in TRANSFORMERS:
            task = settings.get("transformer_task") or "feature-extraction"
            steps += [] if task in ("feature-extraction", "sequence-classification") else [task]
        elif kind != "Dropout":
            steps.append(kind)
    return SentenceSettings(
        "+".join(steps) or None,
        normalize,
        length,
        prompts,
        model.get("default_prompt_name"),
        model.get("truncate_dim"),
        model.get("similarity_fn_name"),
        include_prompt,
    )


def read_activation(folder: Path) -> dict[str, Any] | None:
    """What a CrossEncoder's own file says of its scores, as its config did; None of others."""
    model = _read(folder / MODEL, sentence_files.MODEL)
    if model.get("activation_fn") is not None:
        return {"activation_fn": model["activation_fn"]}
    return {} if model.get("model_type") == "CrossEncoder" else None


def stated_length(folder: Path) -> int | None:
    """Tokens that the tokenizer's own file says a text may have; a huge number means "no limit"."""
    path = folder / "tokenizer_config.json"
    value = files.read_json(path).get("model_max_length") if path.is_file() else None
    return int(value) if isinstance(value, int | float) and 0 < value < 1_000_000 else None


def write_sentence(folder: Path, sentence: SentenceSettings, width: int) -> None:
    """Write the files that make ``SentenceTransformer(folder)`` give our vectors.

    Nothing is written for a pooling it does not have.

    Args:
        folder: an existing folder.
        sentence: pooling, normalising and length.
        width: D, the model's width.
    """
    if sentence.pooling not in WRITABLE:
        return
    kinds = {"0": ("Transformer", ""), "1": ("Pooling", "1_Pooling")}
    if sentence.normalize:
        kinds["2"] = ("Normalize", "2_Normalize")
    modules = [
        {"idx": int(row), "name": row, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for row, (kind, path) in kinds.items()
    ]
    files.write_text(folder / MODULES, json.dumps(modules, indent=2) + "\n")
    (folder / "1_Pooling").mkdir()
    flags = {flag: mode == sentence.pooling for flag, mode in POOLING_FLAGS.items()}
    files.write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": width,
            **flags,
            **({} if sentence.include_prompt else {"include_prompt": False}),
        },
    )
    if sentence.normalize:
        (folder / "2_Normalize").mkdir()
        files.write_json(folder / "2_Normalize" / "config.json", {})
    files.write_json(
        folder / TRANSFORMER,
        {"max_seq_length": sentence.max_length, "do_lower_case": False},
    )
    own = {
        "prompts": dict(sentence.prompts) or None,
        "default_prompt_name": sentence.default_prompt_name,
        "truncate_dim": sentence.truncate_dim,
        "similarity_fn_name": sentence.similarity_fn_name,
    }
    if stated := {key: value for key, value in own.items() if value is not None}:
        files.write_json(folder / MODEL, {"prompts": {}, "default_prompt_name": None, **stated})


def _modes(path: Path) -> tuple[list[str], bool]:
    """The pooling modes of one Pooling module, joined in this order; whether prompts count."""
    if not path.is_file():
        raise FormatError(f"{path} is missing; modules.json names it.")
    config = schema.read(path, sentence_files.POOLING)
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for flag, mode in POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    steps = [modes] if isinstance(modes, str) else list(modes)
    return steps, config.get("include_prompt") is not False


def _of_sentences(folder: Path) -> bool:
    """Whether a Normalize module scales sentence vectors, not those of words."""
    names = _read(folder / "config.json", sentence_files.NORMALIZE).values()
    return all(name in (None, "sentence_embedding") for name in names)


def _read(path: Path, keys: schema.Keys) -> dict[str, Any]:
    """A JSON object that may not be there."""
    return schema.read(path, keys) if path.is_file() else {}
