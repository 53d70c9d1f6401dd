"""HDR tone mapping: BT.2100 frames (PQ and HLG) as a standard screen shows them.

Taken as they are, their signals look washed out: models and people know BT.709. The way there is
light: signal → light on the reference display → BT.709 primaries → highlights compressed → signal.
BT.2408 sets white paper, an ordinary signal's whitest, at 203 of that display's 1000 cd/m².

Light is counted in such whites. Up to `_KNEE` it stays what it is, so that what is no highlight
looks as in an ordinary recording; above, Reinhard's extended curve bends what is left up to `_PEAK`
below 1. The curve is applied to the strongest of red, green and blue and the others follow, which
keeps hues. Primaries other than BT.2020's and mastering metadata are not looked at.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from xclip.preprocess import FrameGeometry

_PEAK = 1000.0 / 203.0
_KNEE = 0.6
_BRIGHTEST = (_PEAK - _KNEE) / (1.0 - _KNEE)  # where the bent part of the curve ends

_FROM_BT2020 = torch.tensor(  # BT.2087: to red, green and blue of BT.709; and to luminance
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
        [0.2627, 0.6780, 0.0593],
    ]
)
_SCREEN_GAMMA = 2.4  # BT.1886
_STEP_BITS = 13  # of a float32's 23 that a step of the gain's table leaves out
_FIRST_STEP, _LAST_STEP = (  # PQ's brightest, which may be 1.7 times as bright a red of BT.709
    int(np.float32(light).view(np.int32)) >> _STEP_BITS for light in (_KNEE, 20_000.0 / 203.0)
)
_SCRATCH_ROWS = 7  # numbers held for a pixel
_DARKEST = 1e-9  # light that is shown as black and can be divided by


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame says that its signals are PQ's or HLG's."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


class ToneMapper:
    """Converts the HDR frames of one stream, in memory and with libswscale's state of the last one.

    Most passes over the pixels are made on the logarithm of light, in which the display's gamma of
    HLG, the curve and the screen's gamma are sums: powers take longer than all else.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._scratch = torch.empty(0)

    def rgb(
        self, frame: VideoFrame, short_edge: int, margin: int | None = None
    ) -> NDArray[np.uint8]:
        """uint8 RGB, shape = (H, W, 3), of an HDR frame, reduced if its short edge is longer.

        margin : where only the middle square is looked at, the pixels on both sides of it that
            count, too; what lies beyond stays black
        """
        shortest = min(short_edge, frame.width, frame.height)
        height, width = FrameGeometry(shortest, 1).resized(frame.height, frame.width)
        red, green, blue = self._planes(frame, height, width)
        shown: NDArray[np.uint8]
        if margin is None:
            rows, columns = slice(None), slice(None)
            shown = np.empty((height, width, 3), np.uint8)
        else:
            rows, columns = (_middle(edge, shortest + 2 * margin) for edge in (height, width))
            shown = np.zeros((height, width, 3), np.uint8)
        signal = [plane[rows, columns] for plane in (red, green, blue)]
        pixels = signal[0].size
        if self._scratch.numel() < _SCRATCH_ROWS * pixels:
            self._scratch = torch.empty(_SCRATCH_ROWS * pixels)
        scratch = self._scratch[: _SCRATCH_ROWS * pixels].view(_SCRATCH_ROWS, pixels)
        levels = _on_screen(signal, frame.color_trc, scratch).astype(np.uint8)
        for channel, values in enumerate(levels):
            shown[rows, columns, channel] = values
        return shown

    def _planes(self, frame: VideoFrame, height: int, width: int) -> list[NDArray[np.uint16]]:
        """uint16, shape = (H, W): red, green and blue, for which each step is faster than for RGB
        pixel by pixel, libswscale's the most."""
        reduced = self._reformatter.reformat(frame, width, height, "gbrp16le", threads=1)
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint16).reshape(height, -1)[:, :width]
            for plane in reduced.planes
        )
        return [red, green, blue]


def _middle(length: int, kept: int) -> slice:
    first = max(0, (length - kept) // 2)
    return slice(first, length - first)


def _on_screen(
    signal: list[NDArray[np.uint16]], transfer: int, scratch: Tensor
) -> NDArray[np.float32]:
    """float32, shape = (3, H, W): 0.5 more than the levels of an ordinary screen, 0 to 255.

    scratch : float32, shape = (_SCRATCH_ROWS, H x W), whose part the result is
    """
    light, mixed = scratch[:3], scratch[3:]
    for plane, values in zip(light.view(3, *signal[0].shape).numpy(), signal, strict=True):
        np.take(_light_of_signals(transfer), values, out=plane, mode="clip")
    torch.mm(_FROM_BT2020, light, out=mixed).clamp_(min=_DARKEST)
    colours, luminance = mixed[:3], mixed[3]  # (3, H x W), (H x W)
    strongest = torch.amax(colours, dim=0, out=light[0])
    level = light[1]
    if transfer == ColorTrc.ARIB_STD_B67:  # a display of 1000 cd/m² adds a gamma of 1.2
        gamma = luminance.log_().mul_(0.2).add_(math.log(_PEAK))
        _look_up_gain(strongest.mul_(torch.exp(gamma, out=light[2])), out=level)
        level.add_(gamma, alpha=1.0 / _SCREEN_GAMMA)
    else:
        _look_up_gain(strongest, out=level)
    torch.add(level, colours.log_(), alpha=1.0 / _SCREEN_GAMMA, out=colours)
    levels: NDArray[np.float32] = colours.exp_().add_(0.5).numpy()
    return levels.reshape(3, *signal[0].shape)


def _look_up_gain(strongest: Tensor, out: Tensor) -> None:
    """`_logarithms_of_gain` of so much light, more than none; an error under 0.1 grey levels.

    The first bits of a number are its logarithm in steps, a thousand from one to two.
    """
    steps = strongest.view(torch.int32).bitwise_right_shift_(_STEP_BITS).sub_(_FIRST_STEP)
    np.take(_logarithms_of_gain(), steps.numpy(), out=out.numpy(), mode="clip")


@cache
def _logarithms_of_gain() -> NDArray[np.float32]:
    """By light in steps from the knee on, what to add to a colour's logarithm to have a level's."""
    steps = np.arange(_FIRST_STEP, _LAST_STEP + 1, dtype=np.int32)
    middles = (steps << _STEP_BITS) + (1 << (_STEP_BITS - 1))
    light = np.maximum(middles.view(np.float32).astype(np.float64), _KNEE)
    excess = (np.minimum(light, _PEAK) - _KNEE) / (1.0 - _KNEE)
    bent = excess * (1.0 + excess / _BRIGHTEST**2) / (1.0 + excess)
    gain = (_KNEE + (1.0 - _KNEE) * bent) / light
    gain[0] = 1.0  # also of all that is darker
    return (np.log(gain) / _SCREEN_GAMMA + math.log(255.0)).astype(np.float32)


@cache
def _light_of_signals(transfer: int) -> NDArray[np.float32]:
    """float32, shape = (65536,): of PQ the light in whites, of HLG the scene's from 0 to 1."""
    signal = np.linspace(0.0, 1.0, 1 << 16)
    if transfer == ColorTrc.SMPTE2084:
        root = signal ** (32.0 / 2523.0)
        light = np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
        return (light ** (8192.0 / 1305.0) * 10_000.0 / 203.0).astype(np.float32)
    bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12.0
    return np.where(signal <= 0.5, signal**2 / 3.0, bright).astype(np.float32)
