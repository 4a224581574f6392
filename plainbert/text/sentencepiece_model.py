"""The parts of a SentencePiece model file that plainbert needs, read without its library."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.containers.protobuf import Field, fields
from plainbert.errors import FormatError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE, WORD, CHAR = range(1, 5)


@dataclass(frozen=True, slots=True)
class ModelPiece:
    """One entry of the model's vocabulary."""

    text: str
    score: float
    kind: int = NORMAL


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """Pieces by id, the algorithm, and how text is normalised before it.

    Source:
        google/sentencepiece, src/sentencepiece_model.proto (field numbers and defaults).
    """

    pieces: tuple[ModelPiece, ...]
    kind: int
    unk_id: int
    pad_id: int
    charsmap: bytes
    dummy_prefix: bool
    byte_fallback: bool


def looks_like(data: bytes) -> bool:
    """Whether bytes start as SentencePiece models do: a first field of pieces, then floats."""
    return data[:1] == b"\n" and b"\0" in data[:4096]


def parse(data: bytes, source: str) -> SentencePieceModel:
    """Read the bytes of a model file.

    Args:
        data: the file.
        source: its name, for error messages.

    Raises:
        FormatError: the bytes are cut short or are something else.
    """
    try:
        pieces: list[ModelPiece] = []
        trainer: dict[int, Field] = {}
        normalizer: dict[int, Field] = {}
        for field in fields(data):
            if field.number == 1:
                pieces.append(_piece(field.message))
            elif field.number == 2:
                trainer = _by_number(field.message)
            elif field.number == 3:
                normalizer = _by_number(field.message)
        return SentencePieceModel(
            pieces=tuple(pieces),
            kind=trainer[3].signed if 3 in trainer else UNIGRAM,
            unk_id=next(row for row, piece in enumerate(pieces) if piece.kind == UNKNOWN),
            pad_id=trainer[43].signed if 43 in trainer else -1,
            charsmap=normalizer[2].message if 2 in normalizer else b"",
            dummy_prefix=3 not in normalizer or bool(normalizer[3].unsigned),
            byte_fallback=35 in trainer and bool(trainer[35].unsigned),
        )
    except (FormatError, KeyError, StopIteration, UnicodeDecodeError):
        raise FormatError(f"{source} is not a whole SentencePiece model.") from None


def _piece(data: bytes) -> ModelPiece:
    piece = _by_number(data)
    return ModelPiece(
        text=piece[1].message.decode(),
        score=piece[2].float32 if 2 in piece else 0.0,
        kind=piece[3].signed if 3 in piece else NORMAL,
    )


def _by_number(message: bytes) -> dict[int, Field]:
    return {field.number: field for field in fields(message)}
