"""GluonNLP's vocabularies: their JSON file, and the order in which it keeps Google's words.

GluonNLP's conversions of Google's own models moved the special tokens to the first rows, [UNK] 0
[PAD] 1 [CLS] 2 [SEP] 3 [MASK] 4, and the rows of the embedding with them. Models converted later
(SciBERT, BioBERT, ClinicalBERT, DistilBERT) keep Google's rows.

Source:
    dmlc/gluon-nlp v0.6, scripts/bert/utils.py, convert_vocab; v0.10, src/gluonnlp/vocab/bert.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import files
from plainbert.errors import CheckpointError, UsageError
from plainbert.text.vocab import Vocab

GOOGLE_ROWS = (100, 0, 101, 102, 103)  # of the roles in FIRST, in Google's first models
FIRST = ("unk", "pad", "cls", "sep", "mask")  # the roles of rows 0 to 4 after the move
_IDENTIFIERS = {  # in GluonNLP's order; a BERT has no tokens of its own for begin and end
    "cls_token": "cls", "sep_token": "sep", "mask_token": "mask", "padding_token": "pad",
    "bos_token": None, "eos_token": None,
}  # fmt: skip

Rows = NDArray[np.int64]


def to_json(vocab: Vocab) -> str:
    """The text of a vocabulary file, byte for byte as ``BERTVocab.to_json`` writes it.

    Raises:
        CheckpointError: a token fills several rows, or there is no unknown token: GluonNLP cannot
            say that.
    """
    tokens = vocab.tokens
    if len(vocab.rows) != len(tokens):
        twice = next(token for row, token in enumerate(tokens) if vocab.rows[token] != row)
        raise CheckpointError(
            f"{twice!r} fills several rows of the vocabulary; GluonNLP's file has one row per "
            "token."
        )
    unknown = tokens[vocab.unk_id]
    special = {
        name: vocab.specials.get(role) if role else None for name, role in _IDENTIFIERS.items()
    }
    reserved = list(dict.fromkeys(token for token in special.values() if token is not None))
    # GluonNLP puts the special tokens first and sorts the others, before it sets their rows.
    order = dict.fromkeys([unknown, *reserved, *sorted(tokens)])
    return json.dumps(
        {
            "idx_to_token": list(tokens),
            "token_to_idx": {token: vocab.rows[token] for token in order},
            "reserved_tokens": reserved or None,
            "unknown_token": unknown,
            "identifiers_to_tokens": special,
        }
    )


def write(path: str | Path, vocab: Vocab) -> None:
    """Write a vocabulary file that every GluonNLP since 0.7 reads.

    Raises:
        CheckpointError: see :func:`to_json`.
    """
    files.write_text(path, to_json(vocab))


def gluonnlp_order(vocab: Vocab | Sequence[str]) -> Rows:
    """Where GluonNLP keeps the rows of one of Google's vocabularies.

    Each special token in turn swaps places with the token of its new row.

    Args:
        vocab: V tokens in Google's order.

    Returns:
        Google's row of each of GluonNLP's rows; (V,). ``matrix[order]`` reorders an embedding.

    Raises:
        CheckpointError: a special token is missing, or there are fewer than five rows.
    """
    vocab = vocab if isinstance(vocab, Vocab) else Vocab(vocab)
    order = np.arange(len(vocab), dtype=np.int64)
    rows = [getattr(vocab, f"{role}_id") for role in FIRST]
    if len(set(rows)) != len(FIRST):
        raise CheckpointError(f"the special tokens share rows {sorted(rows)}; each needs its own.")
    for target, row in enumerate(rows):
        place = int(np.flatnonzero(order == row)[0])
        order[[target, place]] = order[[place, target]]
    return order


def google_order(vocab: Vocab) -> Rows:
    """Where Google keeps the rows of one of its vocabularies that GluonNLP reordered.

    Args:
        vocab: V tokens in GluonNLP's order.

    Returns:
        GluonNLP's row of each of Google's rows; (V,).

    Raises:
        CheckpointError: it is no such vocabulary.
    """
    special = [vocab.specials.get(role, "") for role in FIRST]
    if len(vocab) <= max(GOOGLE_ROWS) or list(vocab.tokens[: len(FIRST)]) != special:
        raise CheckpointError(
            "the vocabulary does not begin with [UNK] [PAD] [CLS] [SEP] [MASK], as GluonNLP's do."
        )
    tokens = [str(row) for row in range(len(vocab))]
    for row, token in zip(GOOGLE_ROWS, special, strict=True):
        tokens[row] = token
    return inverse(gluonnlp_order(Vocab(tokens, vocab.specials)))


def reordered(vocab: Vocab, order: Rows) -> Vocab:
    """The vocabulary whose row ``i`` is ``vocab``'s row ``order[i]``."""
    return Vocab([vocab.tokens[row] for row in order], vocab.specials)


def inverse(order: Rows) -> Rows:
    """The permutation that undoes one: GluonNLP's row of each of Google's."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order), dtype=order.dtype)
    return back


def to_google(ids: NDArray[Any], order: Rows) -> NDArray[Any]:
    """Google's ids of GluonNLP's, such as those of its old ``.npz`` files.

    Args:
        ids: whole numbers, any shape.
        order: what :func:`gluonnlp_order` made of the vocabulary.

    Returns:
        the same shape and type.

    Raises:
        UsageError: they are no whole numbers, or one is not a row of the vocabulary.
    """
    return _mapped(ids, order)


def to_gluonnlp(ids: NDArray[Any], order: Rows) -> NDArray[Any]:
    """GluonNLP's ids of Google's; the arguments are those of :func:`to_google`."""
    return _mapped(ids, inverse(order))


def _mapped(ids: NDArray[Any], table: Rows) -> NDArray[Any]:
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise UsageError(f"ids are whole numbers; an array of {ids.dtype} was given.")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(table):
        raise UsageError(
            f"ids from {ids.min()} to {ids.max()} were given; the vocabulary has rows 0 to "
            f"{len(table) - 1}. Do the data and the vocabulary belong together?"
        )
    return table[ids].astype(ids.dtype)
