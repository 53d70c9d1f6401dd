"""Terminal graphics: draws pictures by kitty's or iTerm2's protocol, as sixels, or as blocks."""

from __future__ import annotations

import base64
import io
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Way: TypeAlias = Literal["kitty", "iterm2", "sixel", "blocks"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)

COLUMNS: Final = 24  # of a picture; a cell of a terminal is about twice as high as wide
_PIXELS_WIDE = 192
_CHUNK = 4096  # characters of one of kitty's commands
_COLOURS = 128
_ANSWER_S = 0.2
_SIXEL_ATTRIBUTE = b"4"


def find_way(environ: Mapping[str, str]) -> Way | None:
    """How this terminal shows pictures, if it reports that it can; None for pipes and files.

    By what terminals put in the environment, then by asking (DA1), which every terminal answers.
    """
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return None
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    multiplexed = "TMUX" in environ or term.startswith("screen")  # the way is theirs to say
    if not multiplexed:
        if "KITTY_WINDOW_ID" in environ or term in ("xterm-kitty", "xterm-ghostty"):
            return "kitty"
        if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
    attributes = ask_terminal(sys.stdin.fileno(), sys.stdout.fileno())
    return "sixel" if _SIXEL_ATTRIBUTE in attributes else None


def ask_terminal(keyboard: int, screen: int) -> list[bytes]:
    """The attributes a terminal answers to DA1, none if it stays silent."""
    before = termios.tcgetattr(keyboard)
    answer = b""
    try:
        tty.setcbreak(keyboard)
        os.write(screen, b"\x1b[c")
        deadline = time.monotonic() + _ANSWER_S
        while not answer.endswith(b"c"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([keyboard], [], [], left)[0]:
                return []
            answer += os.read(keyboard, 64)
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
    start = answer.rfind(b"\x1b[?")
    return answer[start + 3 : -1].split(b";") if start >= 0 else []


def drawn(picture: bytes, way: Way) -> str:
    """An encoded picture as what a terminal is sent to show it, cursor below it afterwards."""
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    rows = max(1, round(COLUMNS * image.height / image.width / 2))
    if way == "kitty":
        return "".join(_kitty(_png(image), rows)) + "\n"
    if way == "iterm2":
        encoded = base64.b64encode(_png(image)).decode()
        return f"\x1b]1337;File=inline=1;width={COLUMNS};height={rows}:{encoded}\a\n"
    if way == "sixel":
        return _sixel(_fitted(image, _PIXELS_WIDE)) + "\n"
    return _blocks(image.resize((COLUMNS, 2 * rows)))


def _fitted(image: Image.Image, width: int) -> Image.Image:
    return image.resize((width, max(1, round(width * image.height / image.width))))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    _fitted(image, min(image.width, 2 * _PIXELS_WIDE)).save(file, "PNG")
    return file.getvalue()


def _kitty(png: bytes, rows: int) -> Iterator[str]:
    """https://sw.kovidgoyal.net/kitty/graphics-protocol/: PNG, in chunks, shown at once."""
    encoded = base64.b64encode(png).decode()
    for start in range(0, len(encoded), _CHUNK):
        more = int(start + _CHUNK < len(encoded))
        how = f"a=T,f=100,q=2,c={COLUMNS},r={rows},m={more}" if start == 0 else f"m={more}"
        yield f"\x1b_G{how};{encoded[start : start + _CHUNK]}\x1b\\"


def _sixel(image: Image.Image) -> str:
    """Bands of six rows; in each, for every colour, which of a column's six pixels have it."""
    indexed = image.quantize(_COLOURS)
    palette = np.reshape(indexed.getpalette() or [], (-1, 3))
    pixels = np.asarray(indexed)
    parts = [f'\x1bPq"1;1;{image.width};{image.height}']
    parts += [
        f"#{number};2;{red};{green};{blue}"
        for number, (red, green, blue) in enumerate((palette * 100 // 255).tolist())
    ]
    for top in range(0, image.height, 6):
        band = pixels[top : top + 6]
        lines = [f"#{colour}{_run_lengths(band == colour)}" for colour in np.unique(band).tolist()]
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\"


def _run_lengths(band: NDArray[np.bool_]) -> str:
    """One colour of a band, columns that repeat counted; band of shape (rows <= 6, columns)."""
    weights = (1 << np.arange(len(band)))[:, None]
    letters = (band * weights).sum(axis=0) + 63
    ends = np.flatnonzero(np.diff(letters, append=-1)) + 1
    lengths = np.diff(ends, prepend=0)
    return "".join(
        f"!{length}{chr(letter)}" if length > 3 else chr(letter) * length
        for letter, length in zip(letters[ends - 1].tolist(), lengths.tolist(), strict=True)
    )


def _blocks(image: Image.Image) -> str:
    """Two pixels a cell: the upper one as the colour of a half block, the lower one behind it."""
    pixels = np.asarray(image)
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;2;{r};{g};{b}m\x1b[48;2;{lr};{lg};{lb}m▀"
            for (r, g, b), (lr, lg, lb) in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines) + "\n"
