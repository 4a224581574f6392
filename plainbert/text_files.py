"""Text that other programs wrote: any line end, UTF-8 or UTF-16, plain, .gz or .xz.

The one place that opens such text: whatever is true of it here is true of tables, corpora,
vocabularies and questions alike.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import logging
import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from plainbert.errors import DataError

log = logging.getLogger(__name__)

BLOCK = 1 << 19  # bytes
LONGEST_LINE = 100 << 20  # bytes; nothing that long is a text

# The first bytes by which Excel, Notepad and PowerShell say how a text is written. UTF-32's begin
# like UTF-16's and stand before them.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The first bytes of files that are often handed over in place of text, and what they are.
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive, as .xlsx and .docx are",
    b"%PDF-": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Office file, as .xls and .doc are",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "packed by gzip without a name that ends in .gz",
    b"\xfd7zXZ": "packed by xz without a name that ends in .xz",
}
_DAMAGED = (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


@contextlib.contextmanager
def open_bytes(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file (unpacking .gz and .xz), or standard input for ``-``, for reading bytes.

    Raises:
        DataError: there is no such file, it is a folder, or it cannot be unpacked.
    """
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{what}; the path of a text file is expected.", path)
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as raw:
            yield raw
    except _DAMAGED as error:
        raise DataError(f"cannot be unpacked: {error}", path) from None


def blocks(path: str | Path, size: int = BLOCK) -> Iterator[bytes]:
    """Yield a text file piece by piece as UTF-8, without a byte order mark.

    Args:
        path: a file, or ``-`` for standard input.
        size: bytes to read at a time.

    Raises:
        DataError: the file cannot be read, or is not the UTF-16 that its mark says.
    """
    with open_bytes(path) as file:
        data = file.read(size)
        kind = next((_NO_TEXT[head] for head in _NO_TEXT if data.startswith(head)), None)
        if kind is not None:
            raise DataError(
                f"is {kind}, and no text file. Save the rows as .tsv, .csv ('CSV UTF-8') or "
                ".jsonl, or plain text with one text per line.",
                path,
            )
        mark, encoding = _mark(data)
        data = data[len(mark) :] or file.read(size)
        if encoding == "utf-8":
            while data:
                yield data
                data = file.read(size)
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        while True:
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise _not_encoded(error, path) from None
            if text:
                yield text.encode("utf-8")
            if not data:
                return
            data = file.read(size)


def blocks_of_lines(path: str | Path, size: int = BLOCK) -> Iterator[bytes]:
    """:func:`blocks` in which every line ends in a line feed, whatever ends it in the file."""
    rest = b""
    for block in blocks(path, size):
        data = rest + block
        # What follows a carriage return tells whether it is one line end or half of one.
        rest = data[-1:] if data.endswith(b"\r") else b""
        data = data[: len(data) - len(rest)]
        if data:
            yield data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data
    if rest:
        yield b"\n"


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line ending) of a text file.

    Line feeds, carriage returns and both together end a line, also mixed in one file; the other
    characters that :meth:`str.splitlines` would split at belong to the text.

    Raises:
        DataError: the file cannot be read, holds bytes that are not UTF-8, a NUL, or a line of
            more than 100 MiB; the line is named.
    """
    returns, feeds, first = 0, False, 0
    for number, line in read_lines_with_ends(path):
        if line.endswith("\n"):
            feeds = True
        elif line.endswith("\r"):
            returns += 1
            first = first or number
        yield number, line.removesuffix("\n").removesuffix("\r")
    if returns and feeds:
        log.warning(
            "%s: %d line(s) end with a carriage return alone, the first is line %d; it counts as "
            "a line end.",
            path,
            returns,
            first,
        )


def read_lines_with_ends(path: str | Path) -> Iterator[tuple[int, str]]:
    """:func:`read_lines` with the line ends that are in the file."""
    for number, raw in _raw_lines(path):
        line = decode(raw, path, number)
        if "\0" in line:
            raise DataError(_advice_on_nul(raw), path, number, line)
        yield number, line


def _raw_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    number, rest = 0, b""
    for block in blocks(path):
        # Bytes, unlike text, are split only where lines end.
        lines = (rest + block).splitlines(keepends=True)
        # The last one may go on, also behind a carriage return.
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for line in lines:
            number += 1
            yield number, line
        if len(rest) > LONGEST_LINE:
            raise DataError(
                f"this line has more than {LONGEST_LINE >> 20} MiB. Is this a text file, with one "
                "text or row per line?",
                path,
                number + 1,
            )
    if rest:
        yield number + 1, rest


def read_text(path: str | Path) -> str:
    """A whole text file, with the line ends that are in it.

    Raises:
        DataError: the file cannot be read, or holds bytes that are not UTF-8; the line is named.
    """
    return decode(b"".join(blocks(path)), path)


def text_of(data: bytes, path: str | Path) -> str:
    """The text of a whole file's bytes, as :func:`read_text` would read it.

    Args:
        data: all bytes of the file, unpacked.
        path: is named in errors.

    Raises:
        DataError: bytes that are not UTF-8, or not what the byte order mark says.
    """
    mark, encoding = _mark(data)
    data = data[len(mark) :]
    if encoding == "utf-8":
        return decode(data, path)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_encoded(error, path) from None


def decode(data: bytes, path: str | Path, line: int = 1) -> str:
    """UTF-8 bytes as text.

    Args:
        data: whole lines.
        path: is named in errors.
        line: number of the first line in ``data``.

    Raises:
        DataError: bytes that are not UTF-8; their line is named.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].splitlines(keepends=True)
        whole = bool(before) and before[-1].endswith((b"\n", b"\r"))
        start = error.start - (0 if whole or not before else len(before[-1]))
        content = data[start:].splitlines()[0].decode("utf-8", "replace")
        raise DataError(
            f"is not UTF-8 text (byte {error.start - start} of the line is "
            f"0x{data[error.start]:02x}: {error.reason}). Convert it; text "
            "of Windows programs in western Europe or America, such as Excel's plain CSV, with: "
            "iconv -f WINDOWS-1252 -t UTF-8 (Excel itself writes UTF-8 under the name 'CSV UTF-8')",
            path,
            line + len(before) - (not whole and bool(before)),
            content,
        ) from None


def _mark(data: bytes) -> tuple[bytes, str]:
    """The byte order mark at the start of a file, if there is one, and the encoding."""
    return next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))


def _not_encoded(error: UnicodeDecodeError, path: str | Path) -> DataError:
    return DataError(
        f"begins as {error.encoding.upper()} text but does not go on so ({error.reason}). The file "
        "is damaged or cut off; save it again as UTF-8.",
        path,
    )


def _advice_on_nul(raw: bytes) -> str:
    """What to do about a line with NUL bytes."""
    # Latin letters in UTF-16 have a NUL as every second byte.
    halves = {"UTF-16LE": raw[1::2], "UTF-16BE": raw[::2]}
    for name, half in halves.items():
        if len(raw) > 3 and half.count(0) > 0.8 * len(half):
            return (
                f"holds NUL bytes, as {name} text without a byte order mark does. Convert it with: "
                f"iconv -f {name} -t UTF-8"
            )
    return "holds a NUL byte: the file is damaged, or no text file."
