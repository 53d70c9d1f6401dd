"""Filename sanitizing: makes a client's file name fit to show; it never becomes a path."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_LABEL_LENGTH: Final = 255


def file_label(name: str) -> str:
    """The last part of a path in a file's name, printable and short; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(char for char in last if not _ends_or_steers_lines(char))
    return printable.strip()[:MAX_LABEL_LENGTH] or "unnamed"


def _ends_or_steers_lines(char: str) -> bool:
    """Controls, formats, surrogates, and the separators of lines and paragraphs."""
    category = unicodedata.category(char)
    return category.startswith("C") or category in ("Zl", "Zp")
