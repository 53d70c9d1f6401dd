"""Text files: UTF-8, with or without a byte order mark; what is encoded otherwise is refused."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from xclip.errors import TextFileError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARK = "\ufeff"

# What else a file is by its first bytes, and what to do.
_OTHER = {
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"BZh": "compressed with bzip2: unpack it",
    b"\xfd7zXZ\0": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"PK\x03\x04": "a zip archive, as spreadsheets are: unpack it, or save the sheet as CSV",
    b"PAR1": "a Parquet file: write it as JSON lines or CSV",
    b"ARROW1": "an Arrow file: write it as JSON lines or CSV",
    b"\xd0\xcf\x11\xe0": "a document of Excel or Word: save the sheet as CSV",
    b"%PDF-": "a PDF",
    b"\x89HDF": "an HDF5 file: write it as JSON lines or CSV",
    b"\x80": "a pickle of Python: write it as JSON lines or CSV",
    b"version https://git-lfs.github.com/spec/": (
        "a Git LFS pointer, not the file itself: run `git lfs pull` in its folder"
    ),
}
_WEB_PAGE = (b"<!doctype html", b"<html")


def read_text(path: Path) -> str:
    """The content of a file, without its byte order mark; line ends stay as they are.

    A mark at the beginning of another line is no part of it either: it is where a file begins that
    was put behind another one.

    Raises OSError, and TextFileError that names the first line which is no UTF-8.
    """
    content = path.read_bytes()
    if other := _what_else(content):
        raise TextFileError(f"{path} is {other}")
    if content.startswith(_UTF16):
        raise TextFileError(f"{path} is UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TextFileError(
            f"{path} is not UTF-8 text: line {line} holds the byte 0x{content[error.start]:02x}; "
            "save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TextFileError(f"{path} is not text: line {line} holds a NUL")
    return text.replace(f"\n{_MARK}", "\n")


def _what_else(content: bytes) -> str | None:
    if content.lstrip()[:14].lower().startswith(_WEB_PAGE):
        return "a web page, not the file itself: download it again, from its direct address"
    return next((told for start, told in _OTHER.items() if content.startswith(start)), None)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that hold something, stripped, each with its number from 1.

    Raises what `read_text` raises.
    """
    # by line ends alone: str.splitlines also cuts at characters that JSON strings may hold
    lines = io.StringIO(read_text(path), newline=None)
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
