"""Text files: UTF-8, with or without a byte order mark; what is encoded otherwise is refused."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from xclip.errors import TextFileError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The content of a file, without its byte order mark; line ends stay as they are.

    Raises OSError, and TextFileError that names the first line which is no UTF-8.
    """
    content = path.read_bytes()
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
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that hold something, stripped, each with its number from 1.

    Raises what `read_text` raises.
    """
    # by line ends alone: str.splitlines also cuts at characters that JSON strings may hold
    lines = io.StringIO(read_text(path), newline=None)
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
