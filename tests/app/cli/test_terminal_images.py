"""Pictures on terminals: what is sent can be read back as the picture it was."""

from __future__ import annotations

import base64
import io
import os
import pty
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from app.cli import terminal_images
from app.cli.terminal_images import COLUMNS, ask_terminal, drawn, find_way
from tests.app.conftest import write_clip

RunCommand = Callable[..., Result]


@pytest.fixture
def webp() -> bytes:
    """A picture of four coloured quarters, 160 x 90."""
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:45, :80], pixels[:45, 80:] = (220, 30, 30), (30, 200, 40)
    pixels[45:, :80], pixels[45:, 80:] = (40, 40, 230), (230, 230, 40)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    return file.getvalue()


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters."""
    height, width = image.shape[:2]
    places = ((1, 1), (1, 3), (3, 1), (3, 3))
    return [tuple(image[height * y // 4, width * x // 4].tolist()) for y, x in places]


def near(found: list[tuple[int, ...]], within: int) -> bool:
    wanted = [(220, 30, 30), (30, 200, 40), (40, 40, 230), (230, 230, 40)]
    return bool(np.abs(np.array(found, int) - np.array(wanted)).max() <= within)


def read_sixels(text: str) -> np.ndarray:
    """The picture that a terminal would draw."""
    match = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.DOTALL)
    assert match
    width, height = int(match[1]), int(match[2])
    picture = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[str, list[float]] = {}
    colour, x, top = "", 0, 0
    token = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|([?-~])")
    for found in token.finditer(match[3]):
        if found[1]:
            palette[found[1]] = [int(found[n]) * 255 / 100 for n in (2, 3, 4)]
        elif found[5]:
            colour, x = found[5], 0
        elif found[8] == "-":
            top += 6
        elif not found[8]:
            letter, count = (found[7], int(found[6])) if found[6] else (found[9], 1)
            for bit in range(6):
                if (ord(letter) - 63) >> bit & 1:
                    picture[top + bit, x : x + count] = palette[colour]
            x += count
    return picture[:height]


def test_sixels_are_the_picture(webp: bytes) -> None:
    """Every pixel is set, in its colour to a hundredth or so."""
    picture = read_sixels(drawn(webp, "sixel"))
    assert picture.shape == (108, 192, 3)
    assert near(corners(picture), within=6)
    assert (picture.max(axis=2) > 0).all()


def test_kitty_gets_a_png_in_chunks(webp: bytes) -> None:
    """Each chunk but the last says that more comes, the first how large it is to be shown."""
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn(webp, "kitty"))
    assert chunks[0][0].startswith(f"a=T,f=100,q=2,c={COLUMNS},r=7,")
    assert [how[-1] for how, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    png = base64.b64decode("".join(part for _, part in chunks))
    assert near(corners(np.asarray(Image.open(io.BytesIO(png)))), within=2)


def test_iterm_gets_a_file(webp: bytes) -> None:
    """Inline, in cells."""
    match = re.fullmatch(
        r"\x1b]1337;File=inline=1;width=24;height=7:(.*)\a\n", drawn(webp, "iterm2")
    )
    assert match
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(match[1]))))
    assert near(corners(picture), within=2)


def test_blocks_show_two_pixels_a_cell(webp: bytes) -> None:
    """The letter in the upper pixel's colour before the lower one's; colours end with the line."""
    lines = drawn(webp, "blocks").splitlines()
    assert len(lines) == 7
    assert all(line.count("▀") == COLUMNS and line.endswith("\x1b[0m") for line in lines)
    cells = re.findall(r"38;2;(\d+);(\d+);(\d+)m\x1b\[48;2;(\d+);(\d+);(\d+)m▀", "".join(lines))
    colours = np.array(cells, int).reshape(7, COLUMNS, 2, 3).transpose(0, 2, 1, 3)
    assert near(corners(colours.reshape(14, COLUMNS, 3)), within=2)


@pytest.mark.parametrize(
    ("answer", "attributes"),
    [
        (b"\x1b[?62;4;22c", [b"62", b"4", b"22"]),
        (b"\x1b[?6c", [b"6"]),
        (b"", []),
    ],
)
def test_a_terminal_is_asked_what_it_can(
    answer: bytes, attributes: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By DA1; one that stays silent costs a moment, and its settings are restored."""
    if answer:
        monkeypatch.setattr(terminal_images, "_ANSWER_S", 60.0)
    screen, line = pty.openpty()

    def terminal() -> None:
        asked = os.read(screen, 3)
        assert asked == b"\x1b[c"
        os.write(screen, answer)

    replying = threading.Thread(target=terminal, daemon=True)
    replying.start()
    try:
        before = terminal_images.termios.tcgetattr(line)
        assert ask_terminal(line, line) == attributes
        assert terminal_images.termios.tcgetattr(line) == before
        replying.join()
    finally:
        os.close(line)
        os.close(screen)


@pytest.mark.parametrize(
    ("environ", "attributes", "way"),
    [
        ({"TERM": "xterm-kitty"}, [], "kitty"),
        ({"TERM_PROGRAM": "WezTerm"}, [], "iterm2"),
        ({"LC_TERMINAL": "iTerm2", "TMUX": "/tmp/x"}, [], None),
        ({"TERM": "foot"}, [b"62", b"4"], "sixel"),
        ({"TERM": "xterm"}, [b"6"], None),
    ],
)
def test_the_way_is_found(
    environ: dict[str, str],
    attributes: list[bytes],
    way: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the environment, else by asking; behind tmux only tmux itself is asked."""
    terminal = SimpleNamespace(isatty=lambda: True, fileno=lambda: 0)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"app.cli.terminal_images.sys.{stream}", terminal)
    monkeypatch.setattr(terminal_images, "ask_terminal", lambda *_: attributes)
    assert find_way(environ) == way


def test_a_search_shows_them(
    command: RunCommand, running_service: str, collection: str, tmp_path: Path
) -> None:
    """On request also where it is no terminal, and never by itself there."""
    place = ("--collection", collection, "--url", running_service)
    command("ingest", write_clip(tmp_path / "a.mp4", seconds=1.5, seed=9), *place)
    shown = command("search", "a square", "--pictures", "blocks", "--no-merge", *place).output
    assert shown.count("rank") == 2
    assert "▀" in shown
    auto = command("search", "a square", "--no-merge", *place).output
    assert auto.count("rank") == 1
    assert "▀" not in auto
