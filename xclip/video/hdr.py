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

from functools import cache

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray
from torch import Tensor

from xclip.preprocess import FrameGeometry

_PEAK = 1000.0 / 203.0
_KNEE = 0.6
_BRIGHTEST = (_PEAK - _KNEE) / (1.0 - _KNEE)  # where the bent part of the curve ends

_LUMINANCE = torch.tensor([0.2627, 0.6780, 0.0593])  # of BT.2020's red, green and blue
_FROM_BT2020 = torch.tensor(  # BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
_SCREEN_GAMMA = 2.4  # BT.1886
_DARKEST = 1e-9  # light that is shown as black and can be divided by


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame says that its signals are PQ's or HLG's."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def tone_mapped(frame: VideoFrame, short_edge: int) -> NDArray[np.uint8]:
    """uint8 RGB, shape = (H, W, 3), of an HDR frame, reduced if its short edge is longer."""
    shortest = min(short_edge, frame.width, frame.height)
    height, width = FrameGeometry(shortest, 1).resized(frame.height, frame.width)
    signal = _planes(frame, height, width)
    light = torch.from_numpy(_light_of_signals(frame.color_trc).take(signal, mode="clip"))
    light = light.view(3, -1)  # (3, H x W)
    if frame.color_trc == ColorTrc.ARIB_STD_B67:  # a display of 1000 cd/m² adds a gamma of 1.2
        light *= _power(_LUMINANCE @ light, 0.2) * _PEAK
    light = (_FROM_BT2020 @ light).clamp_(min=_DARKEST)
    light *= _gain(light.amax(dim=0))
    shown = _power(light, 1.0 / _SCREEN_GAMMA).mul_(255.0).add_(0.5).clamp_(max=255.0)
    return np.stack(list(shown.numpy().astype(np.uint8).reshape(3, height, width)), axis=-1)


def _planes(frame: VideoFrame, height: int, width: int) -> NDArray[np.uint16]:
    """uint16, shape = (3, H, W): red, green and blue, for which each step is faster than for RGB
    pixel by pixel, libswscale's the most."""
    reduced = frame.reformat(width, height, "gbrp16le", threads=1)
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint16).reshape(height, -1)[:, :width]
        for plane in reduced.planes
    )
    return np.stack([red, green, blue])


def _power(base: Tensor, exponent: float) -> Tensor:
    """What `pow` gives of what is not negative, to six digits and in a third of the time."""
    return base.log2().mul_(exponent).exp2_()


def _gain(strongest: Tensor) -> Tensor:
    """What to multiply a pixel by whose strongest colour has this much light, more than none."""
    excess = strongest.clamp(_KNEE, _PEAK).sub_(_KNEE).div_(1.0 - _KNEE)
    bent = (excess / _BRIGHTEST**2).add_(1.0).mul_(excess).div_(excess.add_(1.0))
    return strongest.clamp(max=_KNEE).add_(bent, alpha=1.0 - _KNEE).div_(strongest)


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
