"""Filename sanitizing: makes a client's file name fit to show; it never becomes a path."""

from __future__ import annotations

import unicodedata
from typing import Final

from app.catalog.records import UNNAMED

MAX_LABEL_LENGTH: Final = 255

_JOINERS: Final = "\u200c\u200d"  # formats that spell: Persian words and joined emoji need them


def file_label(name: str) -> str:
    """The last part of a path in a file's name, printable and short; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(char for char in last if not _ends_or_steers_lines(char))
    if all(char.isspace() or char in _JOINERS for char in printable):
        return UNNAMED
    return printable.strip()[:MAX_LABEL_LENGTH]


def _ends_or_steers_lines(char: str) -> bool:
    """Controls, formats but joiners, surrogates, and the separators of lines and paragraphs."""
    if char in _JOINERS:
        return False
    category = unicodedata.category(char)
    return category.startswith("C") or category in ("Zl", "Zp")
