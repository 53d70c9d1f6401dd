"""View protocols: which frames of a clip a model sees, and which crops of them.

service   what a search sees: the frames on screen at the centres of T equal intervals of time,
          resized with antialiasing. With C clips, C such samples that interleave evenly.
original  what the published figures were measured with (microsoft/VideoX): frame number
          floor((i + 0.5) · n / T) of n; the short side 256/224 of the crop, without antialiasing.
          With several clips each of them draws one frame at random from each of T equal runs of
          frames. There the draw differs from run to run (±0.2 %); here a seed decides.

With three crops the short side is the crop's edge and the squares are those at the two ends of the
long side and in its middle. A model's answer is the sum of the softmax over all views.

T frames, C clips, K crops, V = C·K views, S crop edge, n frames of the video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

# Here, not where it is used: NumPy loads it late, and a confined process can load nothing.
from numpy.random import default_rng
from numpy.typing import NDArray
from torch.nn import functional

from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.sampling import TIME_TOLERANCE_S

Style = Literal["service", "original"]


@dataclass(frozen=True, slots=True)
class ViewProtocol:
    """How a clip is looked at; the multi-view protocol of the published figures is 4 x 3."""

    style: Style = "service"
    clips: int = 1
    crops: Literal[1, 3] = 1

    @property
    def views(self) -> int:
        """V"""
        return self.clips * self.crops

    def moments(
        self, times: NDArray[np.float64], start: float, end: float, num_frames: int, seed: int
    ) -> NDArray[np.float64]:
        """The seconds at which frames are wanted; float64, shape = (C, T).

        times : when each frame of the video begins, ascending
        start, end : of the clip, in the same seconds
        """
        if self.style == "service":
            phases = (np.arange(self.clips) + 0.5) / self.clips  # (C,)
            parts = np.arange(num_frames) + phases[:, None]  # (C, T)
            return np.asarray(start + parts * (end - start) / num_frames)
        first = int(np.searchsorted(times, start + TIME_TOLERANCE_S, side="right")) - 1
        beyond = int(np.searchsorted(times, end - TIME_TOLERANCE_S, side="left"))
        within = times[max(0, first) : max(1, first + 1, beyond)]
        return within[frame_numbers(len(within), self.clips, num_frames, seed)]

    def squares(self, frame: NDArray[np.uint8], geometry: FrameGeometry) -> NDArray[np.uint8]:
        """The squares of one frame; uint8 RGB, (H, W, 3) -> (K, S, S, 3)."""
        if self.style == "service" and self.crops == 1:
            return resize_and_crop(frame, geometry)[None]
        edge = geometry.crop
        short = edge if self.crops == 3 else edge * 256 // 224
        resized = _resized(frame, short, antialias=self.style == "service")
        spare = np.array(resized.shape[:2]) - edge
        if self.crops == 1:
            corners = [spare // 2]
        else:
            step = spare // 2
            corners = [0 * step, 2 * step, step]
        return np.stack([resized[y : y + edge, x : x + edge] for y, x in corners])


def frame_numbers(count: int, clips: int, num_frames: int, seed: int) -> NDArray[np.int64]:
    """Numbers of the frames that the original repository shows; int64, shape = (C, T).

    count : n, at least 1
    """
    if clips == 1:
        return ((np.arange(num_frames) + 0.5) * count / num_frames).astype(np.int64)[None]
    run = count // num_frames
    if run == 0:  # each of the few is shown several times, in order
        shown = np.around(np.arange(num_frames) * (count / num_frames)).astype(np.int64) % count
        return np.tile(shown, (clips, 1))
    random = default_rng(seed)
    return np.arange(num_frames) * run + random.integers(run, size=(clips, num_frames))


def _resized(frame: NDArray[np.uint8], short: int, *, antialias: bool) -> NDArray[np.uint8]:
    """The whole frame with its short side `short` pixels long, the other one rounded."""
    height, width = frame.shape[:2]
    scale = short / min(height, width)
    size = int(height * scale + 0.5), int(width * scale + 0.5)
    pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
    pixels = pixels.permute(2, 0, 1)[None].to(torch.float32)  # (1, 3, H, W)
    pixels = functional.interpolate(
        pixels, size, mode="bilinear", align_corners=False, antialias=antialias
    )
    # Without antialiasing and with it, bilinear weights never leave the range of a byte.
    return pixels[0].round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
