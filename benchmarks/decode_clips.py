"""Clips to decode: a textured scene under a camera that pans, with grain, an object and cuts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch.nn import functional

RATE = 30
CUT_EVERY_S = 9.0
X265 = {"preset": "superfast", "x265-params": "log-level=error"}


@dataclass(frozen=True)
class Recipe:
    """One file, and the four seconds or less of it that are asked for."""

    name: str
    codec: str
    width: int
    height: int
    seconds: int
    options: dict[str, str]
    window: tuple[float, float]
    transfer: ColorTrc | None = None  # HDR's, which makes the file one of ten bits

    @property
    def title(self) -> str:
        """What the tables call it."""
        codec = self.codec.removeprefix("lib").removesuffix("-vp9")
        start, end = self.window
        codec += f" {self.transfer.name}" if self.transfer is not None else ""
        return f"{codec} {self.width}x{self.height}, {start:g}-{end:g} s of {self.seconds} s"


LONG = Recipe(
    *("long.mp4", "libx264", 1920, 1080, 60),
    {"preset": "veryfast", "crf": "24"},
    (20.0, 24.0),
)
RECIPES = (
    LONG,
    Recipe(
        *("hevc.mp4", "libx265", 1920, 1080, 15),
        X265,
        (4.0, 8.0),
    ),
    Recipe(
        *("vp9.webm", "libvpx-vp9", 1280, 720, 15),
        {"deadline": "realtime", "cpu-used": "7", "b": "2M"},
        (4.0, 8.0),
    ),
    Recipe(
        *("av1.mp4", "libsvtav1", 1280, 720, 15),
        {"preset": "10", "crf": "35"},
        (4.0, 8.0),
    ),
    Recipe(*("small.mp4", "libx264", 340, 256, 10), {}, (0.0, 10.0)),
    Recipe(
        *("small-av1.mp4", "libsvtav1", 320, 180, 60),
        {"preset": "12", "crf": "35"},
        (20.0, 24.0),
    ),
    Recipe(*("pq.mp4", "libx265", 320, 180, 10), X265, (3.0, 7.0), ColorTrc.SMPTE2084),
    Recipe(*("hlg.mp4", "libx265", 320, 180, 10), X265, (3.0, 7.0), ColorTrc.ARIB_STD_B67),
)


def make_clips(folder: Path) -> dict[Path, Recipe]:
    """Write the files that `folder` does not hold yet; three minutes for all."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {folder / recipe.name: recipe for recipe in RECIPES}
    for path, recipe in made.items():
        if not path.exists():
            unfinished = path.with_stem("unfinished")
            write_clip(unfinished, recipe)
            # SVT-AV1 has put this thread above all others, if it is root's
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            unfinished.rename(path)
    return made


def write_clip(path: Path, recipe: Recipe) -> None:
    """Encode one."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(recipe.codec, rate=RATE, options=recipe.options)
        assert isinstance(stream, VideoStream), "all recipes name video codecs"
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        if recipe.transfer is not None:
            stream.pix_fmt = "yuv420p10le"
            stream.codec_context.color_trc = recipe.transfer
            stream.codec_context.color_primaries = ColorPrimaries.BT2020
            stream.codec_context.colorspace = Colorspace.BT2020
        for picture in pictures(recipe.width, recipe.height, recipe.seconds * RATE):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))


def pictures(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures, uint8 (height, width, 3), of the scene."""
    scene, thing = landscape(width, height, seed=0), landscape(width, height, seed=1)
    grain = np.random.default_rng(2).integers(-3, 4, (4, height, width, 1), dtype=np.int16)
    for number in range(count):
        time_s = number / RATE
        shot = int(time_s / CUT_EVERY_S)
        left = int(width / 2 * (1 + np.sin(time_s * 0.5 + shot)))
        top = int(height / 2 * (1 + np.cos(time_s * 0.37 + 2 * shot)))
        picture = scene[top : top + height, left : left + width] + grain[number % len(grain)]
        x = int(width * 0.35 * (1 + np.sin(time_s * 1.3)))
        y = int(height * 0.3 * (1 + np.cos(time_s * 1.7)))
        turned = int(time_s * 40) % height  # the thing's surface moves, too
        picture[y : y + height // 3, x : x + width // 4] = thing[
            turned : turned + height // 3, : width // 4
        ]
        yield picture.clip(0, 255).astype(np.uint8)


def landscape(width: int, height: int, seed: int) -> NDArray[np.int16]:
    """Noise on several scales, int16 (2 height, 2 width, 3), mostly within 0 to 255."""
    random = torch.Generator().manual_seed(seed)
    size = (2 * height, 2 * width)
    total = 128 + 6 * torch.randn(1, 1, *size, generator=random)
    for step, contrast in ((8, 60), (32, 50), (128, 40)):
        coarse = torch.randn(1, 3, size[0] // step + 2, size[1] // step + 2, generator=random)
        total = total + contrast * functional.interpolate(coarse, size, mode="bicubic")
    picture: NDArray[np.int16] = total[0].permute(1, 2, 0).to(torch.int16).contiguous().numpy()
    return picture
