"""Text files: one way to read them, whatever editor wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xclip.errors import TextFileError
from xclip.text_file import read_lines, read_text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_have_their_numbers_and_no_byte_order_mark(tmp_path: Path, end: str) -> None:
    """Blank lines count; a line separator within a text ends no line."""
    file = tmp_path / "a.txt"
    file.write_bytes(f"\ufeffone{end}{end} two\u2028three {end}".encode())
    assert read_lines(file) == [(1, "one"), (3, "two\u2028three")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a\nb\nc\xfc", "line 3 holds the byte 0xfc"),
        ("a".encode("utf-16"), "is UTF-16"),
        (b"a\n\0", "line 2 holds a NUL"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        (b"PK\x03\x04", "zip archive, as spreadsheets are"),
        (b"PAR1\x15", "a Parquet file"),
        (b"\x80\x04\x95", "a pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html>", "a web page"),
    ],
)
def test_what_is_no_utf8_text_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    """In words, with the file and the line."""
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(TextFileError, match=rf"a\.txt .*{complaint}"):
        read_text(tmp_path / "a.txt")
