"""Tokens that were added to a vocabulary after it was made, and are kept whole in a text."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import CheckpointError
from plainbert.text.settings import Added
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

log = logging.getLogger(__name__)


def wordpiece_of(
    path: Path,
    tokens: list[str],
    roles: Mapping[str, str],
    rules: Mapping[str, Any],
    added: Added,
    max_word_chars: int = 100,
) -> WordPiece:
    """A tokenizer of tokens by row, with further ones that are kept whole.

    Args:
        path: the vocabulary file, for messages; ``config.json`` beside it says how many rows the
            model has.
        tokens: V tokens, row by row.
        roles: special token by role; those that are not among the tokens are left out.
        rules: casing, accents and ideographs, as keywords of :class:`WordPiece`.
        added: the further tokens; of two entries for one token the later counts.
        max_word_chars: longest word that is cut into pieces.

    Raises:
        CheckpointError: an id of an added token is another token's, or leaves a hole.
    """
    tokens = _with_added(path, tokens, added)
    there = set(tokens)
    vocab = Vocab(tokens, {role: token for role, token in roles.items() if token in there})
    known = set(vocab.specials.values())
    kept = {entry["content"]: entry for entry in added if entry["content"] in vocab}
    return WordPiece(
        vocab,
        max_word_chars=max_word_chars,
        added=[entry for content, entry in kept.items() if content not in known],
        **rules,
    )


def _with_added(path: Path, tokens: list[str], added: Added) -> list[str]:
    """Tokens by row with those that were added later, each at the row of its id.

    A token without an id gets the next row, as in transformers, if the model has one for it.

    Raises:
        CheckpointError: an id is another token's, or leaves a hole.
    """
    tokens, rows = list(tokens), {token: row for row, token in enumerate(tokens)}
    for entry in added:
        token, row = entry["content"], entry.get("id")
        if token in rows and (row is None or tokens[row : row + 1] == [token]):
            continue
        if row is None and len(tokens) >= _rows_of_model(path.parent):
            log.warning(
                "%s: the special token %s is not in the vocabulary: it is cut like other text",
                path.parent,
                short(token),
            )
            continue
        if row not in (None, len(tokens)) or token in rows:
            raise CheckpointError(
                f"{path.parent}: {token!r} has id {row}, but {path.name} has {len(tokens)} rows "
                f"and {rows.get(token, 'none')} for it; ids must be those rows, or follow without "
                "holes."
            )
        rows[token] = len(tokens)
        tokens.append(token)
    return tokens


def _rows_of_model(folder: Path) -> float:
    """Tokens that the model of a folder has vectors for."""
    path = folder / "config.json"
    rows = files.read_json(path).get("vocab_size") if path.is_file() else None
    return rows if isinstance(rows, int) else math.inf
