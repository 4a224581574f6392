"""Which tokenizer a folder holds: the one rule for vocabulary and casing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError, FormatError
from plainbert.keys import schema
from plainbert.keys.tokenizer_files import NORMALIZER, TOKENIZER
from plainbert.text import casing, vocab_files
from plainbert.text.added import wordpiece_of
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.sentencepiece_model import looks_like
from plainbert.text.settings import Added, TokenizerSettings, read_settings
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

SENTENCEPIECE_NAMES = ("spm.model", "spiece.model")
CASING_NAMES = ("tokenizer_config.json", "tokenizer.json")  # files that say whether to lower-case

log = logging.getLogger(__name__)


def tokenizer_at(
    path: str | Path,
    lower: bool | None = None,
    *,
    max_word_chars: int = 100,
    sampling: tuple[int, float, int] = (0, 1.0, 0),
) -> Tokenizer:
    """The tokenizer of a folder, of a SentencePiece model, or of a file of tokens.

    Args:
        path: a folder as :func:`read_tokenizer` takes it, or a file.
        lower: casing, where no file says it; None: a SentencePiece model lower-cases, and of a file
            of tokens the files beside it say it, else its letters and names.
        max_word_chars: longest word that is cut into pieces, for a file of tokens.
        sampling: ``nbest``, ``alpha`` and ``seed`` of :class:`SentencePiece`.

    Raises:
        CheckpointError: there is no vocabulary, or its files disagree.
        UsageError: nothing says whether to lower-case, or letters and names disagree.
        FormatError: a file cannot be read.
    """
    path = files.followed(path)
    if path.is_dir():
        tokenizer = read_tokenizer(path, lower)
        model = _model_in(path)
        if model is not None and sampling[0] not in (0, 1):
            return SentencePiece(model, tokenizer.lower, *sampling)
        return tokenizer
    if path.is_file() and looks_like(path.read_bytes()):
        return SentencePiece(path, lower is not False, *sampling)
    vocab = Vocab.read(path)
    # tokenizer.json says more than the casing: added tokens, accents, the longest word.
    whole = path.name == "vocab.txt" and path.with_name("tokenizer.json").is_file()
    if whole or (lower is None and any((path.parent / n).is_file() for n in CASING_NAMES)):
        tokenizer = read_tokenizer(path.parent)
        if tokenizer.vocab.tokens == vocab.tokens and lower in (None, tokenizer.lower):
            return tokenizer
    if lower is None:
        lower = casing.settled(vocab.tokens, path)
    return WordPiece(vocab, lower=lower, max_word_chars=max_word_chars)


def read_tokenizer(
    folder: str | Path, lower: bool | None = None, published: bool | None = None
) -> Tokenizer:
    """Make the tokenizer of a checkpoint folder.

    ``tokenizer.json`` has the vocabulary, else ``spm.model`` or ``vocab.txt``; where several files
    are there they must agree. Casing, accents and ideographs are treated as
    ``tokenizer_config.json`` says, else as ``tokenizer.json`` does; where neither is there, casing
    is ``lower``, else ``published``, else what the letters and names say
    (:func:`plainbert.text.casing.settled`).

    Args:
        folder: of plainbert, Hugging Face or Google.
        lower: casing, where no file in the folder states it.
        published: casing of the published model that it is, where nothing else says it.

    Raises:
        CheckpointError: there is no vocabulary, two of them differ (the first row is named), or
            ``lower`` contradicts the folder.
        UsageError: nothing says whether to lower-case, or letters and names disagree.
        FormatError: a file cannot be read, or describes a tokenizer that BERT does not have.
    """
    folder = files.followed(folder)
    settings = read_settings(folder)
    model = _model_in(folder)
    if model is not None:
        tokenizer: Tokenizer = _sentencepiece(model, settings, lower, published)
    elif (folder / "tokenizer.json").is_file():
        tokenizer = _from_json(folder / "tokenizer.json", settings)
    elif (folder / "vocab.txt").is_file():
        tokenizer = _from_txt(folder / "vocab.txt", settings, lower, published)
    else:
        raise CheckpointError(
            f"{folder} holds no vocabulary: none of tokenizer.json, vocab.txt, "
            f"{', '.join(SENTENCEPIECE_NAMES)} is there."
        )
    if lower is not None and lower != tokenizer.lower:
        raise CheckpointError(
            f"--do_lower_case {str(lower).lower()} was asked for, but the files in {folder} say "
            f"{str(tokenizer.lower).lower()}, as the model was trained. Leave the flag out, or "
            "change the tokenizer files."
        )
    return tokenizer


def _model_in(folder: Path) -> Path | None:
    """The SentencePiece model of a folder."""
    return next((folder / n for n in SENTENCEPIECE_NAMES if (folder / n).is_file()), None)


def _sentencepiece(path: Path, settings: TokenizerSettings, *stated: bool | None) -> SentencePiece:
    beside = path.with_name("tokenizer.json")
    casings = [settings.lower, *stated]
    if beside.is_file():
        steps = _steps(_tokenizer_json(beside))
        casings[1:1] = [step.get("lowercase") for step in steps]
    lower = _first(casings)
    if lower is None:
        lower = casing.settled(Vocab.read(path).tokens, path)
    tokenizer = SentencePiece(path, lower=lower)
    _say_what_is_not_followed(path, settings, tokenizer)
    for other in (beside, path.with_name("vocab.txt")):
        if other.is_file():
            tokens = Vocab.read(other).tokens
            _check_equal(tokenizer.vocab.tokens, path, tokens, other)
    return tokenizer


def _say_what_is_not_followed(
    path: Path, settings: TokenizerSettings, tokenizer: SentencePiece
) -> None:
    """Warn of settings that words cut by a SentencePiece model have no use for."""
    special = set(tokenizer.vocab.specials.values())
    contents = [entry["content"] for entry in settings.added]
    added = [content for content in contents if content not in special]
    rules = [
        f"{name}={value}"
        for name, value, usual in (
            ("strip_accents", settings.strip_accents, tokenizer.lower),
            ("tokenize_chinese_chars", settings.split_cjk, True),
        )
        if value not in (None, usual)
    ]
    if added or rules:
        log.warning(
            "%s: not followed with a SentencePiece model: %s",
            path.parent,
            ", ".join([*rules, *map(short, added[:8])]),
        )


def _from_json(path: Path, settings: TokenizerSettings) -> WordPiece:
    content = _tokenizer_json(path)
    model = content.get("model") or {}
    # Old files leave the type out; only WordPiece has a prefix for the inside of words.
    prefix = model.get("continuing_subword_prefix") or "##"
    if (model.get("type") or "WordPiece") != "WordPiece" or prefix != "##":
        raise FormatError(
            f"{path} describes a {model.get('type')} model; WordPiece with the prefix '##' is "
            "expected, or spm.model beside it for SentencePiece."
        )
    steps = [step for step in _steps(content) if step.get("type") == "BertNormalizer"]
    splitter = (content.get("pre_tokenizer") or {}).get("type")
    if len(steps) != 1 or len(_steps(content)) != 1 or splitter != "BertPreTokenizer":
        raise FormatError(
            f"{path}: normalizer {(content.get('normalizer') or {}).get('type')} and "
            f"pre_tokenizer {splitter} are not BERT's (BertNormalizer, BertPreTokenizer)."
        )
    schema.check(steps[0], NORMALIZER, str(path))
    tokens, specials = vocab_files.read_tokenizer_json(path)
    beside = path.with_name("vocab.txt")
    added = list(content.get("added_tokens") or [])
    if beside.is_file():
        tokens = _merged(path, tokens, beside, {entry["content"] for entry in added})
    rules = {
        "lower": _or_else(steps[0].get("lowercase"), True),
        "strip_accents": steps[0].get("strip_accents"),
        "split_cjk": _or_else(steps[0].get("handle_chinese_chars"), True),
    }
    return wordpiece_of(
        path,
        tokens,
        {**settings.roles, **specials},
        _with_stated(rules, settings, path),
        [*added, *settings.added],
        model.get("max_input_chars_per_word") or 100,
    )


def _from_txt(path: Path, settings: TokenizerSettings, *stated: bool | None) -> WordPiece:
    tokens, _ = vocab_files.read_txt(path)
    lower = _first((settings.lower, *stated))
    if lower is None:
        lower = casing.settled(tokens, path)
    rules = {
        "lower": lower,
        "strip_accents": settings.strip_accents,
        "split_cjk": _or_else(settings.split_cjk, True),
    }
    added: Added = []
    extra = path.with_name("added_tokens.json")  # Hugging Face's, before tokenizer.json
    if extra.is_file():
        special = {token["content"] for token in settings.added}
        added = [
            {"id": row, "content": token, "normalized": token not in special}
            for token, row in vocab_files.read_added_tokens(extra).items()
        ]
        added.sort(key=lambda entry: entry["id"])
    return wordpiece_of(path, tokens, settings.roles, rules, [*added, *settings.added])


def _with_stated(rules: dict[str, Any], settings: TokenizerSettings, path: Path) -> dict[str, Any]:
    """The rules of tokenizer.json; where tokenizer_config.json states others, those.

    So does transformers' BertTokenizer; a general class takes tokenizer.json as it is.
    """
    if settings.general:
        return rules
    stated = {name: getattr(settings, name) for name in rules if name in settings.stated}
    for name, value in stated.items():
        if value != rules[name]:
            log.warning(
                "%s says %s=%s, the files beside it %s: those count, as in transformers",
                path,
                name,
                rules[name],
                value,
            )
    return {**rules, **stated}


def _first(stated: Iterable[bool | None]) -> bool | None:
    """The first that is stated."""
    return next((value for value in stated if value is not None), None)


def _or_else(value: bool | None, usual: bool) -> bool:
    return usual if value is None else value


def _tokenizer_json(path: Path) -> dict[str, Any]:
    """The content of a tokenizer.json whose parts have their forms."""
    return schema.read(path, TOKENIZER)


def _steps(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of the normalizer, whether it is one or a sequence."""
    normalizer = content.get("normalizer") or {}
    if normalizer.get("type") == "Sequence":
        return list(normalizer.get("normalizers") or [])
    return [normalizer] if normalizer else []


def _merged(path: Path, tokens: list[str], beside: Path, added: set[str]) -> list[str]:
    """Tokens of tokenizer.json and vocab.txt, which must agree.

    vocab.txt alone can say that a token fills two rows; tokenizer.json alone holds tokens that
    were added later.
    """
    listed, _ = vocab_files.read_txt(beside)
    tokens = vocab_files.without_blank_end(tokens)
    filled = [
        listed[row] if row < len(listed) and token == vocab_files.hole(row) else token
        for row, token in enumerate(tokens)
    ]
    later = filled[len(listed) :]
    if not all(token in added for token in later):
        later = []
    _check_equal(filled[: len(filled) - len(later)], path, listed, beside)
    return filled


def _check_equal(one: Sequence[str], path: Path, two: Sequence[str], other: Path) -> None:
    difference = Vocab(one).first_difference(Vocab(two))
    if difference is not None:
        raise CheckpointError(
            f"{path.name} and {other.name} in {path.parent} differ: {difference} ({path.name} "
            "first). Remove the one that does not belong to the model."
        )
