"""Text files as documents: which files, their bytes in pieces, the sentences of a piece.

One sentence per line; a line without visible characters ends a document, and so does the end of
a file. A :class:`ModelPiece` is some whole lines of a file, small enough to be one worker's job.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plainbert import text_files
from plainbert.errors import DataError, MissingDependencyError, UsageError
from plainbert.patterns import matching
from plainbert.text_files import LONGEST_LINE

log = logging.getLogger(__name__)

PIECE = 1 << 19  # bytes of a piece: long enough to be worth sending to another process
LONGEST_BLOCK = 8 * PIECE  # bytes of lines without a blank one; then a line end must do
_BLANK_LINE = b"\n\n"

Splitter = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some whole lines of one file.

    Attributes:
        number: of the piece, from 0, over all files.
        path: the file.
        line: number of its first line, from 1.
        data: the lines in UTF-8, each with a line feed (but perhaps the file's last one).
        last: whether the file ends here.
    """

    number: int
    path: Path
    line: int
    data: bytes
    last: bool


def find_files(patterns: Sequence[str]) -> list[Path]:
    """The files that patterns name, each once: pattern by pattern, those of one in sorted order.

    Args:
        patterns: paths, in which ``*``, ``?``, ``[...]`` and ``**`` match and ``~`` is the home
            folder.

    Raises:
        DataError: a pattern matches no file, or a path is a folder.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            raise DataError(
                f"is a folder; files are expected. Its files: '{path}/*', with those of its "
                f"folders: '{path}/**'",
                path,
            )
        matched = [Path(name) for name in matching(path) if Path(name).is_file()]
        if not matched:
            magic = any(sign in pattern for sign in "*?[")
            what = "matches no file" if magic else "does not exist; a text file is expected"
            raise DataError(f"{what}.", pattern)
        if again := [path for path in matched if path in paths]:
            log.warning("%s was named before; it is read once.", again[0])
        paths.update(dict.fromkeys(matched))
    return list(paths)


def pieces(paths: Sequence[Path], whole_blocks: bool = False) -> Iterator[TextPiece]:
    """Read files (plain, ``.gz``, ``.xz``) piece by piece.

    Args:
        paths: read in this order.
        whole_blocks: cut between blocks of lines where there is a blank line to cut at, so that
            sentences may go over several lines.

    Raises:
        DataError: a file cannot be unpacked, or holds a line of more than 100 MiB.
    """
    number = 0
    for path in paths:
        line, rest = 1, b""
        for read in itertools.chain(text_files.blocks_of_lines(path, PIECE), [b""]):
            data = rest + read
            end = _end(data, len(rest), whole_blocks) if read else len(data)
            if not end and len(data) > LONGEST_LINE:
                raise DataError(
                    f"this line has more than {LONGEST_LINE >> 20} MiB. One sentence per "
                    "line is expected, and line ends somewhere in any text that is split.",
                    path,
                    line,
                )
            if end or not read:
                yield TextPiece(number, path, line, data[:end], not read)
                number += 1
                line += data.count(b"\n", 0, end)
            rest = data[end:]


def _end(data: bytes, new: int, whole_blocks: bool) -> int:
    """Where to cut: behind the last line, or 0 where there is none."""
    if whole_blocks:
        end = data.rfind(_BLANK_LINE) + len(_BLANK_LINE)
        if end >= len(_BLANK_LINE) or len(data) < LONGEST_BLOCK:
            return end if end >= len(_BLANK_LINE) else 0
    # What was left over holds no line end, unless blocks were kept whole.
    return data.rfind(b"\n", 0 if whole_blocks else new) + 1


def lines_of(piece: TextPiece, split: Splitter | None = None) -> list[str]:
    """The sentences of a piece, in order; an empty string stands where a document ends.

    Args:
        piece: of a text file, from :func:`pieces`.
        split: cuts the text of a block of lines into sentences; None: every line is one.

    Raises:
        DataError: bytes that are not UTF-8; file and line are named.
    """
    text = text_files.decode(piece.data, piece.path, piece.line)
    # Only line feeds are left as line ends: other separators of lines belong to the text.
    lines = [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []
    if split is not None:
        lines = _resplit(lines, split)
    return [*lines, ""] if piece.last else lines


def sentences(paths: Sequence[Path], language: str | None = None) -> Iterator[str]:
    """Every sentence of some files, without the bounds of documents; see :func:`lines_of`."""
    split = None if language is None else splitter(language)
    for piece in pieces(paths, whole_blocks=split is not None):
        yield from filter(None, lines_of(piece, split))


def _resplit(lines: list[str], split: Splitter) -> list[str]:
    sentences: list[str] = []
    block: list[str] = []

    def end_block() -> None:
        if block:
            sentences.extend(kept for part in split(" ".join(block)) if (kept := part.strip()))
            block.clear()

    for line in lines:
        if line:
            block.append(line)
        else:
            end_block()
            sentences.append("")
    end_block()
    return sentences


def splitter(language: str) -> Splitter:
    """The sentence splitter of a language.

    Args:
        language: its ISO 639 code ("en"); the library knows about 240 and takes the nearest
            known one for the others.

    Raises:
        MissingDependencyError: the package is not installed.
        UsageError: this is no code of a language.
    """
    if not language.replace("-", "").isalpha() or not 2 <= len(language.split("-")[0]) <= 3:
        raise UsageError(
            f"--split_sentences {language!r}: the code of a language is expected, such as en, de "
            "or zh."
        )
    try:
        import sentencex
    except ImportError:
        raise MissingDependencyError("sentencex", "split", "--split_sentences") from None
    segment: Any = sentencex.segment
    return lambda text: list(segment(language, text))
