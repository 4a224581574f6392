"""The parts of a SentencePiece model file that plainbert needs, read without its library."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
        trainer: dict[int, int | bytes] = {}
        normalizer: dict[int, int | bytes] = {}
        for number, value in _fields(data):
            if number == 1 and isinstance(value, bytes):
                pieces.append(_piece(value))
            elif number == 2 and isinstance(value, bytes):
                trainer = dict(_fields(value))
            elif number == 3 and isinstance(value, bytes):
                normalizer = dict(_fields(value))
        unknown = next(row for row, piece in enumerate(pieces) if piece.kind == UNKNOWN)
    except (IndexError, KeyError, StopIteration, UnicodeDecodeError, struct.error):
        raise FormatError(f"{source} is not a whole SentencePiece model.") from None
    charsmap = normalizer.get(2, b"")
    return SentencePieceModel(
        pieces=tuple(pieces),
        kind=_number(trainer.get(3, UNIGRAM)),
        unk_id=unknown,
        pad_id=_number(trainer.get(43, -1)),
        charsmap=charsmap if isinstance(charsmap, bytes) else b"",
        dummy_prefix=bool(normalizer.get(3, 1)),
        byte_fallback=bool(trainer.get(35, 0)),
    )


def _piece(data: bytes) -> ModelPiece:
    values = dict(_fields(data))
    text, score = values[1], values.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise KeyError(1)
    return ModelPiece(text.decode(), struct.unpack("<f", score)[0], _number(values.get(3, NORMAL)))


def _number(value: int | bytes) -> int:
    """A protocol-buffer int32: negative numbers are written as 64 bits."""
    if isinstance(value, bytes):
        raise KeyError(0)
    return value - (1 << 64) if value >= 1 << 63 else value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of a protocol-buffer message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise KeyError(wire)
        if at + size > len(data):
            raise IndexError(at)
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
