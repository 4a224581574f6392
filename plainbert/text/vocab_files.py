"""Reading the four kinds of vocabulary files into (tokens by row, special tokens by role)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert import files, text_files
from plainbert.errors import CheckpointError, DataError, FormatError
from plainbert.keys import schema
from plainbert.keys.tokenizer_files import ADDED_TOKENS, GLUONNLP, TOKENIZER, VOCAB
from plainbert.text import sentencepiece_model
from plainbert.visible import visible

Parts = tuple[list[str], dict[str, str]]


def read_any(path: Path) -> Parts:
    """Read a vocabulary file of any kind; its first bytes tell which."""
    data = _read(path)
    if sentencepiece_model.looks_like(data):
        return read_sentencepiece(path)
    if _text(data, path).lstrip().startswith("{"):
        keys = files.read_json(path)
        return read_gluonnlp_json(path) if "idx_to_token" in keys else read_tokenizer_json(path)
    return read_txt(path)


def read_txt(path: Path) -> Parts:
    """Read one token per line, whatever ends it; UTF-8, or UTF-16 with its mark.

    Only line feeds and carriage returns separate: published vocabularies hold Unicode blanks and
    line separators as tokens, and blank rows, all of which count but for those at the end.
    """
    text = _text(_read(path), path)
    lines = text.split("\n")
    if "\r" in text or "\0" in text:  # slower; says what is odd about the file
        try:
            lines = [line for _, line in text_files.read_lines(path)]
        except DataError as error:
            raise FormatError(f"not a vocabulary: {error}") from None
    lines = without_blank_end(lines)
    if not lines:
        raise CheckpointError(f"{path} is empty; a vocabulary with one token per line is expected.")
    return lines, {}


def without_blank_end(tokens: Sequence[str]) -> list[str]:
    """Tokens without the blank ones at the end, which no text becomes: lines that editors add."""
    size = len(tokens)
    while size and not tokens[size - 1]:
        size -= 1
    return list(tokens[:size])


def read_tokenizer_json(path: Path) -> Parts:
    """Read ``model.vocab`` and ``added_tokens``; a bare ``{token: id}`` object is read too."""
    content = files.read_json(path)
    if not isinstance(content.get("model"), dict):
        content = {"model": {"vocab": content}}
    model = content["model"]
    vocab = model.get("vocab")
    if vocab is None or not VOCAB.fits(vocab):
        raise FormatError(
            f"{path} holds no vocabulary: neither model.vocab of a tokenizer.json, nor GluonNLP's "
            "idx_to_token, nor {token: id}."
        )
    schema.check(content, TOKENIZER, str(path))
    if isinstance(vocab, list):  # Unigram: [[piece, score], ...] by row
        vocab = {entry[0]: row for row, entry in enumerate(vocab)}
    rows = dict(vocab)
    for entry in content.get("added_tokens") or []:
        rows.setdefault(entry["content"], entry["id"])
    specials = {}
    unknown = model.get("unk_token")
    if unknown in rows:
        specials["unk"] = unknown
    return _by_row(rows, path), specials


def read_added_tokens(path: Path) -> dict[str, int]:
    """Read {token: row} of ``added_tokens.json``."""
    rows = files.read_json(path)
    if not ADDED_TOKENS.fits(rows):
        raise FormatError(f"{path} does not hold {{token: id}} with ids from 0.")
    return rows


def read_gluonnlp_json(path: Path) -> Parts:
    """Read a vocabulary of GluonNLP.

    Since 0.7 the special tokens lie under ``identifiers_to_tokens``, before that beside the rest.
    Versions before 0.7 could list one token in several rows when it had several uses; as in
    GluonNLP, the row that ``token_to_idx`` names keeps it and a warning is given.

    Source:
        dmlc/gluon-nlp v0.10, src/gluonnlp/vocab/vocab.py, Vocab.from_json.
    """
    content = files.read_json(path)
    tokens = content.get("idx_to_token")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise FormatError(f"{path} is not a GluonNLP vocabulary: idx_to_token is not a list.")
    schema.check_forms(content, GLUONNLP, str(path))
    rows = content.get("token_to_idx") or {token: row for row, token in enumerate(tokens)}
    named: dict[str, Any] = {**content, **(content.get("identifiers_to_tokens") or {})}
    if len(tokens) > len(rows):
        text = (
            f"{path}: {len(tokens) - len(rows)} rows repeat a special token, as vocabularies "
            "written before GluonNLP 0.7 do; the repeated rows are renamed."
        )
        warnings.warn(visible(text), stacklevel=2)
        tokens = [
            token if rows.get(token) == row else f"[repeated {row}] {token}"
            for row, token in enumerate(tokens)
        ]
    else:
        for row, token in enumerate(tokens):
            if rows.get(token) != row:
                raise CheckpointError(
                    f"{path}: row {row} of idx_to_token is {token!r}, but token_to_idx says "
                    f"{rows.get(token)}. The file is damaged; fetch or export it again."
                )
    roles = {
        "unk": named.get("unknown_token"),
        "pad": named.get("padding_token"),
        "cls": named.get("cls_token") or named.get("bos_token"),  # as BERTSentenceTransform
        "sep": named.get("sep_token") or named.get("eos_token"),
        "mask": named.get("mask_token"),
    }
    return tokens, {role: token for role, token in roles.items() if token is not None}


def read_sentencepiece(path: Path) -> Parts:
    """Read the pieces of a SentencePiece model, with GluonNLP's rules for special tokens.

    Source:
        dmlc/gluon-nlp v0.10, src/gluonnlp/vocab/bert.py, BERTVocab.from_sentencepiece.
    """
    model = sentencepiece_model.parse(_read(path), str(path))
    tokens = [piece.text for piece in model.pieces]
    for token in ("[MASK]", "[SEP]", "[CLS]"):
        if token not in tokens:
            tokens.append(token)
    specials = {"mask": "[MASK]", "sep": "[SEP]", "cls": "[CLS]", "unk": tokens[model.unk_id]}
    if 0 <= model.pad_id < len(model.pieces):
        specials["pad"] = tokens[model.pad_id]
    return tokens, specials


def _read(path: Path) -> bytes:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}; the path of a vocabulary file is expected.")
    data = path.read_bytes()
    if not data.removeprefix(b"\xef\xbb\xbf").strip():
        raise CheckpointError(f"{path} is empty; a vocabulary is expected.")
    return data


def _text(data: bytes, path: Path) -> str:
    try:
        return text_files.text_of(data, path)
    except DataError as error:
        raise FormatError(f"not a vocabulary: {error}") from None


def _by_row(rows: dict[str, int], path: Path) -> list[str]:
    """Tokens by row of {token: row}.

    A vocab.txt that repeats a token leaves a hole when it is written as {token: id}; holes are
    named, so that every row keeps its place.
    """
    tokens = {row: token for token, row in rows.items()}
    size = max(tokens, default=-1) + 1
    if not tokens:
        raise CheckpointError(f"{path} is empty; a vocabulary is expected.")
    if min(tokens) < 0 or len(tokens) < len(rows) or size > 2 * len(tokens) + 1:
        raise CheckpointError(
            f"{path}: {len(rows)} tokens have the {len(tokens)} ids {min(tokens)} to {size - 1}; "
            "each must have its own, from 0 up."
        )
    return [tokens.get(row, hole(row)) for row in range(size)]


def hole(row: int) -> str:
    """The name of a row for which a {token: id} file has no token."""
    return f"[row {row} is empty]"
