"""The vocabulary of one BERT: tokens by row, and which of them are special."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.errors import CheckpointError, UsageError
from plainbert.text import vocab_files

SPECIALS = {  # what the special tokens are called where a file does not say it
    "unk": ("[UNK]", "<unk>"),
    "pad": ("[PAD]", "<pad>"),
    "cls": ("[CLS]", "<cls>"),
    "sep": ("[SEP]", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
}


class Vocab:
    """Tokens by row; immutable.

    Where a token fills several rows, the last one is its id: Google's ``load_vocab`` stores rows
    in a dictionary, so models were trained that way.

    Args:
        tokens: V tokens, row by row.
        specials: token by role ("unk", "pad", "cls", "sep", "mask"), for vocabularies that name
            them unusually; the other roles are looked up under their usual names.

    Raises:
        CheckpointError: there are no tokens, or a token named in ``specials`` is not among them.

    Source:
        google-research/bert, tokenization.py, load_vocab.
    """

    def __init__(self, tokens: Iterable[str], specials: Mapping[str, str] | None = None) -> None:
        self.tokens = tuple(tokens)
        self._rows = {token: row for row, token in enumerate(self.tokens)}
        if not self._rows:
            raise CheckpointError("the vocabulary is empty; one token per line is expected.")
        self.specials: dict[str, str] = {}
        for role, usual in SPECIALS.items():
            named = (specials or {}).get(role)
            if named is not None and named not in self._rows:
                raise CheckpointError(
                    f"the {role} token is said to be {named!r}, which is not in the vocabulary."
                )
            special = named or next((name for name in usual if name in self._rows), None)
            if special is not None:
                self.specials[role] = special

    @classmethod
    def read(cls, path: str | Path) -> Vocab:
        """Read any vocabulary file; its content tells which kind it is.

        Args:
            path: ``vocab.txt``, ``tokenizer.json``, a GluonNLP vocabulary (JSON) or a
                SentencePiece model.

        Raises:
            CheckpointError: the file is missing or empty, or its ids have holes.
            FormatError: it is none of these.
        """
        return cls(*vocab_files.read_any(Path(path)))

    @classmethod
    def from_txt(cls, path: str | Path) -> Vocab:
        """Read ``vocab.txt``: one token per line, whatever ends it; UTF-8 or UTF-16."""
        return cls(*vocab_files.read_txt(Path(path)))

    @classmethod
    def from_tokenizer_json(cls, path: str | Path) -> Vocab:
        """Read the ``tokenizer.json`` of Hugging Face's tokenizers."""
        return cls(*vocab_files.read_tokenizer_json(Path(path)))

    @classmethod
    def from_gluonnlp_json(cls, path: str | Path) -> Vocab:
        """Read a vocabulary that GluonNLP wrote, in its layout before or since 0.7."""
        return cls(*vocab_files.read_gluonnlp_json(Path(path)))

    @classmethod
    def from_sentencepiece(cls, path: str | Path) -> Vocab:
        """Read the pieces of a SentencePiece model; absent [MASK], [SEP], [CLS] are appended."""
        return cls(*vocab_files.read_sentencepiece(Path(path)))

    @classmethod
    def from_tokens(cls, tokens: Iterable[str], specials: Mapping[str, str] | None = None) -> Vocab:
        """Make a vocabulary of tokens at hand; see the class for the arguments."""
        return cls(tokens, specials)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._rows

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocab):
            return NotImplemented
        return self.tokens == other.tokens and self.specials == other.specials

    def __hash__(self) -> int:
        return hash((len(self.tokens), self.sha256))

    def __repr__(self) -> str:
        return f"Vocab({len(self)} tokens, {self.specials})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Vocab, (self.tokens, self.specials))

    @property
    def rows(self) -> Mapping[str, int]:
        """Row of every token."""
        return self._rows

    def id(self, token: str) -> int:
        """Row of a token, or of the unknown token."""
        row = self._rows.get(token)
        return self.unk_id if row is None else row

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Rows of several tokens."""
        return [self.id(token) for token in tokens]

    def token(self, row: int) -> str:
        """Token of a row.

        Raises:
            UsageError: there is no such row.
        """
        if not 0 <= row < len(self.tokens):
            raise UsageError(f"id {row} is not in the vocabulary; ids 0 to {len(self) - 1} are.")
        return self.tokens[row]

    @property
    def unk(self) -> str | None:
        """The token that stands for words outside the vocabulary."""
        return self.specials.get("unk")

    @property
    def pad(self) -> str | None:
        """The padding token."""
        return self.specials.get("pad")

    @property
    def cls(self) -> str | None:
        """The token before every sequence."""
        return self.specials.get("cls")

    @property
    def sep(self) -> str | None:
        """The token after every text."""
        return self.specials.get("sep")

    @property
    def mask(self) -> str | None:
        """The token that hides another in pre-training."""
        return self.specials.get("mask")

    @property
    def unk_id(self) -> int:
        """Row of the unknown token; CheckpointError when there is none (so for the others)."""
        return self._special_row("unk")

    @property
    def pad_id(self) -> int:
        """Row of the padding token."""
        return self._special_row("pad")

    @property
    def cls_id(self) -> int:
        """Row of [CLS]."""
        return self._special_row("cls")

    @property
    def sep_id(self) -> int:
        """Row of [SEP]."""
        return self._special_row("sep")

    @property
    def mask_id(self) -> int:
        """Row of [MASK]."""
        return self._special_row("mask")

    def _special_row(self, role: str) -> int:
        if role not in self.specials:
            raise CheckpointError(
                f"the vocabulary of {len(self)} tokens has no {role} token: none of "
                f"{', '.join(SPECIALS[role])} is in it. Add it, or use the vocabulary that "
                "belongs to the model."
            )
        return self._rows[self.specials[role]]

    @functools.cached_property
    def sha256(self) -> str:
        """Fingerprint of the tokens and their order, hexadecimal."""
        joined = "\n".join(self.tokens).encode("utf-8", "surrogatepass")
        return hashlib.sha256(joined).hexdigest()

    def first_difference(self, other: Vocab) -> str | None:
        """Say where two vocabularies part, or None where all rows are equal."""
        return _first_difference(self.tokens, other.tokens)

    def save_txt(self, path: str | Path) -> None:
        """Write ``vocab.txt``.

        Raises:
            UsageError: a token holds a line end or a NUL, which that format cannot say.
        """
        for row, token in enumerate(self.tokens):
            if any(char in token for char in "\n\r\0"):
                raise UsageError(
                    f"row {row}, {token!r}, holds a line end or a NUL: vocab.txt cannot."
                )
        files.write_text(path, "\n".join(self.tokens) + "\n")


def _first_difference(left: Sequence[str], right: Sequence[str]) -> str | None:
    for row, (one, two) in enumerate(zip(left, right, strict=False)):
        if one != two:
            return f"row {row} is {one!r} in one and {two!r} in the other"
    if len(left) == len(right):
        return None
    row = min(len(left), len(right))
    extra = (left if len(left) > row else right)[row]
    return f"row {row}, {extra!r}, is in one only ({len(left)} and {len(right)} rows)"
