"""How a folder turns tokens into one vector, in the files that ``sentence-transformers`` keeps.

``modules.json`` lists the steps: the transformer, then pooling, then perhaps normalising.

Source:
    sentence-transformers 2 to 6: modules.json, 1_Pooling/config.json, sentence_bert_config.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from plainbert import files, text_files
from plainbert.errors import FormatError

# Until version 5 one flag per mode, since then one key. The modes are the same.
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# What we can write so that sentence-transformers makes equal vectors.
WRITABLE = ("mean", "cls", "max")


class SentenceSettings(NamedTuple):
    """A folder's own way to a sentence vector.

    Attributes:
        pooling: "mean", "cls", "max", or a name we have no pooling for (several modes are joined
            with "+", other modules are added by their name); None when the folder says nothing.
        normalize: whether vectors get length 1.
        max_length: tokens kept per text, counting [CLS] and [SEP]; None when not stated.
    """

    pooling: str | None = None
    normalize: bool = False
    max_length: int | None = None


def read_sentence(folder: Path) -> SentenceSettings:
    """Read the folder's modules, if it has them.

    Raises:
        FormatError: ``modules.json`` or a file it needs is garbled.
    """
    if not (folder / "modules.json").is_file():
        return SentenceSettings()
    steps: list[str] = []
    normalize = False
    for module in _modules(folder / "modules.json"):
        kind = module["type"].rpartition(".")[2]
        if kind == "Pooling":
            steps += _modes(_inside(folder, module["path"]) / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind not in ("Transformer", "Dropout"):
            steps.append(kind)
    return SentenceSettings("+".join(steps) or None, normalize, _max_length(folder))


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
    files.write_text(folder / "modules.json", json.dumps(modules, indent=2) + "\n")
    (folder / "1_Pooling").mkdir()
    flags = {flag: mode == sentence.pooling for flag, mode in FLAGS.items()}
    files.write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **flags}
    )
    if sentence.normalize:
        (folder / "2_Normalize").mkdir()
        files.write_json(folder / "2_Normalize" / "config.json", {})
    files.write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": sentence.max_length, "do_lower_case": False},
    )


def _modules(path: Path) -> list[dict[str, Any]]:
    try:
        modules = json.loads(text_files.text_of(path.read_bytes(), path))
        return [{"type": str(module["type"]), "path": str(module["path"])} for module in modules]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(f"{path} is not a list of modules with a type and a path.") from None


def _inside(folder: Path, path: str) -> Path:
    """A module's folder, which must lie in the model's."""
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path or len(path) > 200:
        raise FormatError(f"{folder / 'modules.json'} names {path[:200]!r}, outside of the folder.")
    return folder / path


def _modes(path: Path) -> list[str]:
    """The pooling modes of one Pooling module, concatenated in this order."""
    if not path.is_file():
        raise FormatError(f"{path} is missing; modules.json names it.")
    config = files.read_json(path)
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        if not isinstance(modes, str | list):
            raise FormatError(f"{path}: pooling_mode={modes!r} is no name and no list of names.")
        return [modes] if isinstance(modes, str) else [str(mode) for mode in modes]
    return [mode for flag, mode in FLAGS.items() if config.get(flag)]


def _max_length(folder: Path) -> int | None:
    """The length limit: of its own file, or since version 6 of the tokenizer's."""
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        value = files.read_json(folder / name).get(key) if (folder / name).is_file() else None
        if isinstance(value, int) and 0 < value < 1_000_000:  # a huge number means "no limit"
            return value
    return None
