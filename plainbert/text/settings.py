"""What the small JSON files of a folder say about its tokenizer, beside the vocabulary."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError
from plainbert.keys import schema
from plainbert.keys.sentence_files import TRANSFORMER
from plainbert.keys.tokenizer_files import (
    A_TOKEN,
    BERT_CLASSES,
    GENERAL_CLASSES,
    ROLES,
    SPECIAL,
    TOKENIZER_CONFIG,
)

log = logging.getLogger(__name__)

Added = list[dict[str, Any]]


@dataclass(frozen=True)
class TokenizerSettings:
    """Settings as transformers takes them; None where no file states one.

    Attributes:
        lower: whether text is lower-cased.
        strip_accents: whether accents are dropped; ``lower`` decides where it is None.
        split_cjk: whether every ideograph is a word of its own.
        roles: special token by role.
        added: tokens that are kept whole in a text, as in ``added_tokens`` of a tokenizer.json;
            those of ``added_tokens_decoder`` have their "id".
        general: whether tokenizer.json is taken as it is, whatever the settings say.
        stated: names of the fields above that a file states.
    """

    lower: bool | None = None
    strip_accents: bool | None = None
    split_cjk: bool | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    added: Added = field(default_factory=list)
    general: bool = False
    stated: frozenset[str] = frozenset()


_OF_ROLES = tuple(f"{role}_token" for role in ROLES)
_FLAGS = {
    "do_lower_case": "lower",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_cjk",
}


def read_settings(folder: Path) -> TokenizerSettings:
    """Read tokenizer_config.json, special_tokens_map.json and sentence_bert_config.json.

    Raises:
        FormatError: a file is garbled.
        CheckpointError: a key means a tokenizer that we do not have.
    """
    general = _is_general(folder)  # first: the keys of another class say less than its name
    config = _read(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    # Since tokenizers write added_tokens_decoder, transformers does not look at the older file.
    if config.get("added_tokens_decoder") is None:
        config |= _read(folder / "special_tokens_map.json", SPECIAL)
    flags = {name: config[key] for key, name in _FLAGS.items() if key in config}
    settings = TokenizerSettings(
        **flags,
        roles={role: _content(config[key]) for role in ROLES if config.get(key := f"{role}_token")},
        added=_added(config),
        general=general,
        stated=frozenset(flags),
    )
    return _for_sentences(folder, settings)


def _is_general(folder: Path) -> bool:
    """Whether tokenizer.json is taken as it is, by the class that the files name.

    Raises:
        CheckpointError: the class has other rules than BERT's.
    """
    paths = (folder / "tokenizer_config.json", folder / "config.json")
    names = (files.read_json(path).get("tokenizer_class") for path in paths if path.is_file())
    name = next((name for name in names if name is not None), None)
    if name is None or name in BERT_CLASSES:
        return False
    if name in GENERAL_CLASSES:
        return True
    described = (folder / "tokenizer.json").is_file() or not (folder / "vocab.txt").is_file()
    if "Japanese" in str(name) or not described:
        raise CheckpointError(
            f"{folder}: tokenizer_class={short(name)} cuts words by other rules than "
            "BERT's: the model would get other pieces than those it was trained with. If its rules "
            "are BERT's, write BertTokenizer there, or add a tokenizer.json that states them."
        )
    log.warning(
        "%s: tokenizer_class=%s is not known here: texts are cut as tokenizer.json or the "
        "SentencePiece model says",
        folder,
        short(name),
    )
    return True


def _for_sentences(folder: Path, settings: TokenizerSettings) -> TokenizerSettings:
    """With sentence-transformers' own ``do_lower_case``, which lower-cases before all else.

    Accents are dropped only where the tokenizer itself says so.
    """
    if not any((place / "modules.json").is_file() for place in (folder, folder.parent)):
        return settings
    lower = _read(folder / "sentence_bert_config.json", TRANSFORMER).get("do_lower_case")
    if not lower or settings.lower is True:
        return settings
    if settings.lower is None:  # the tokenizer may do it as well
        return dataclasses.replace(settings, lower=True, stated=settings.stated | {"lower"})
    return dataclasses.replace(
        settings,
        lower=True,
        strip_accents=bool(settings.strip_accents),
        general=False,
        stated=settings.stated | {"lower", "strip_accents"},
    )


def _added(config: Mapping[str, Any]) -> Added:
    """Tokens that are kept whole, those with an id first."""
    decoder = config.get("added_tokens_decoder") or {}
    try:
        rows = sorted((int(row), token) for row, token in decoder.items())
    except ValueError:
        raise CheckpointError(
            f"tokenizer_config.json: added_tokens_decoder={short(decoder)}; its keys must be ids."
        ) from None
    added: Added = [{**token, "id": row} for row, token in rows]
    known = {token["content"] for token in added}
    # Version 5 knows tokens of a model's own by keys such as "speaker_token".
    others = [key for key in config if key.endswith("_token") and key not in _OF_ROLES]
    for key in (*others, "additional_special_tokens", "extra_special_tokens"):
        for token in filter(A_TOKEN.fits, _tokens(config.get(key))):
            if _content(token) not in known:
                known.add(_content(token))
                flags = dict(token) if isinstance(token, dict) else {"normalized": False}
                added.append({**flags, "content": _content(token), "special": True})
    return added


def _tokens(value: Any) -> Iterable[Any]:
    """The tokens under a key: one, a list, or an object of them."""
    if value is None:
        return ()
    if isinstance(value, dict) and "content" not in value:
        return value.values()
    return value if isinstance(value, list) else (value,)


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _read(path: Path, keys: schema.Keys) -> dict[str, Any]:
    """A JSON object that may not be there."""
    return schema.read(path, keys) if path.is_file() else {}
