"""Which tokenizer a folder holds: the one rule for vocabulary and casing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.errors import CheckpointError, FormatError
from plainbert.text import casing, vocab_files
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.sentencepiece_model import looks_like
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import SPECIALS, Vocab
from plainbert.text.wordpiece import WordPiece

SENTENCEPIECE_NAMES = ("spm.model", "spiece.model")
CASING_NAMES = ("tokenizer_config.json", "tokenizer.json")  # files that say whether to lower-case
_ROLES = {f"{role}_token": role for role in SPECIALS}


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

    ``tokenizer.json`` decides (model and normalizer; its truncation and padding are ignored),
    else ``spm.model`` or ``vocab.txt`` with the casing of ``tokenizer_config.json``, else
    ``lower``, else ``published``, else what its letters and names say
    (:func:`plainbert.text.casing.settled`). Where several files are there they must agree.

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
    settings = _settings(folder)
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


def _settings(folder: Path) -> dict[str, Any]:
    """What the small JSON files of a folder say; special tokens as {role: token}."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            settings |= files.read_json(folder / name)
    roles = {}
    for key, role in _ROLES.items():
        value = settings.get(key)
        token = value.get("content") if isinstance(value, dict) else value
        if isinstance(token, str):
            roles[role] = token
    return {**settings, "roles": roles}


def _casing(settings: dict[str, Any], stated: Sequence[bool | None]) -> bool | None:
    """Casing by ``tokenizer_config.json``, else the first that is stated."""
    first = settings.get("do_lower_case")
    return next((lower for lower in (first, *stated) if isinstance(lower, bool)), None)


def _sentencepiece(path: Path, settings: dict[str, Any], *stated: bool | None) -> SentencePiece:
    beside = path.with_name("tokenizer.json")
    if "do_lower_case" not in settings and beside.is_file():
        casings = [step.get("lowercase") for step in _steps(files.read_json(beside))]
        settings |= {"do_lower_case": next((v for v in casings if isinstance(v, bool)), None)}
    lower = _casing(settings, stated)
    if lower is None:
        lower = casing.settled(Vocab.read(path).tokens, path)
    tokenizer = SentencePiece(path, lower=lower)
    for other in (beside, path.with_name("vocab.txt")):
        if other.is_file():
            tokens = Vocab.read(other).tokens
            _check_equal(tokenizer.vocab.tokens, path, tokens, other)
    return tokenizer


def _from_json(path: Path, settings: dict[str, Any]) -> WordPiece:
    content = files.read_json(path)
    model = content.get("model")
    model = model if isinstance(model, dict) else {}
    # Old files leave the type out; only WordPiece has a prefix for the inside of words.
    prefix = model.get("continuing_subword_prefix", "##")
    if model.get("type", "WordPiece") != "WordPiece" or prefix != "##":
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
    if not steps[0].get("clean_text", True):
        raise FormatError(f"{path}: clean_text=false is not supported; BERT cleans text.")
    tokens, specials = vocab_files.read_tokenizer_json(path)
    beside = path.with_name("vocab.txt")
    added = list(content.get("added_tokens") or [])
    if beside.is_file():
        tokens = _merged(path, tokens, beside, {entry["content"] for entry in added})
    roles = {r: t for r, t in {**settings["roles"], **specials}.items() if t in tokens}
    vocab = Vocab(tokens, roles)
    known = set(vocab.specials.values())
    return WordPiece(
        vocab,
        lower=bool(steps[0].get("lowercase", True)),
        max_word_chars=int(model.get("max_input_chars_per_word", 100)),
        strip_accents=steps[0].get("strip_accents"),
        split_cjk=bool(steps[0].get("handle_chinese_chars", True)),
        added=[entry for entry in added if entry["content"] not in known],
    )


def _from_txt(path: Path, settings: dict[str, Any], *stated: bool | None) -> WordPiece:
    tokens, _ = vocab_files.read_txt(path)
    lower = _casing(settings, stated)
    if lower is None:
        lower = casing.settled(tokens, path)
    added: list[dict[str, Any]] = []
    extra = path.with_name("added_tokens.json")  # Hugging Face's, before tokenizer.json
    if extra.is_file():
        rows = sorted((row, token) for token, row in files.read_json(extra).items())
        for row, token in rows:
            if row < len(tokens) and tokens[row] == token:
                continue
            if row != len(tokens):
                raise CheckpointError(
                    f"{extra}: {token!r} has id {row}, but {path.name} has {len(tokens)} rows; "
                    "ids must follow without holes."
                )
            tokens.append(token)
            added.append({"content": token, "normalized": lower})
    roles = {role: token for role, token in settings["roles"].items() if token in tokens}
    vocab = Vocab(tokens, roles)
    known = set(vocab.specials.values())
    return WordPiece(
        vocab,
        lower=lower,
        strip_accents=settings.get("strip_accents"),
        split_cjk=bool(settings.get("tokenize_chinese_chars", True)),
        added=[entry for entry in added if entry["content"] not in known],
    )


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
