"""Augmentation: the same for all frames of a clip, and mixtures of several clips.

Letters: B clips, T frames, E edge of a decoded square, S edge of the model's square, N labels.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from xclip.training.config import AugmentConfig

_DIRECTION = re.compile(
    r"\b(left|right)(wards?|most)?\b|\b(anti|counter|counter-)?clockwise\b", re.IGNORECASE
)
_JITTER = 0.4  # of brightness, contrast and saturation, to either side
_LARGEST_RATIO = 4 / 3  # of a crop's edges
_GREY = (0.299, 0.587, 0.114)


def names_direction(text: str) -> bool:
    """Whether a mirror image would no longer be what the text says."""
    return _DIRECTION.search(text) is not None


def draw_instants(parts: int, of_each: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Of each of T parts one of its `of_each` instants; int64 (T,), indices below T · of_each."""
    return np.arange(parts) * of_each + random.integers(0, of_each, parts)


def augment(
    frames: NDArray[np.uint8],
    edge: int,
    config: AugmentConfig,
    text: str,
    random: np.random.Generator,
) -> Tensor:
    """frames : uint8 RGB, shape = (T, E, E, 3) -> uint8 (T, S, S, 3), S = edge."""
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (T, 3, E, E)
    top, left, height, width = draw_crop(frames.shape[1], edge, config.smallest_crop, random)
    pixels = pixels[:, :, top : top + height, left : left + width]
    if (height, width) != (edge, edge):
        pixels = F.interpolate(pixels, (edge, edge), mode="bilinear", antialias=True)
    if random.random() < config.flip and not names_direction(text):
        pixels = pixels.flip(-1)
    if random.random() < config.colour:
        pixels = _jitter(pixels, random)
    if random.random() < config.grey:
        pixels = _grey(pixels.float()).round().to(torch.uint8).expand_as(pixels)
    return pixels.permute(0, 2, 3, 1).contiguous()


def draw_crop(
    whole: int, edge: int, smallest: float, random: np.random.Generator
) -> tuple[int, int, int, int]:
    """top, left, height and width within an E x E square; with smallest = 1 the S x S centre."""
    if smallest == 1.0:
        return (whole - edge) // 2, (whole - edge) // 2, edge, edge
    area = whole**2 * random.uniform(smallest, 1.0)
    ratio = math.exp(random.uniform(-1, 1) * math.log(_LARGEST_RATIO))
    height = min(whole, max(1, round(math.sqrt(area / ratio))))
    width = min(whole, max(1, round(math.sqrt(area * ratio))))
    top, left = random.integers(0, whole - height + 1), random.integers(0, whole - width + 1)
    return int(top), int(left), height, width


def _jitter(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Brightness, contrast about the clip's mean, and saturation, in this order."""
    brightness, contrast, saturation = 1 + random.uniform(-_JITTER, _JITTER, 3)
    changed = pixels.float() * float(brightness)
    mean = changed.mean()
    changed = mean + (changed - mean) * float(contrast)
    grey = _grey(changed)
    changed = grey + (changed - grey) * float(saturation)
    return changed.clamp(0, 255).round().to(torch.uint8)


def _grey(pixels: Tensor) -> Tensor:
    """(T, 3, S, S) -> (T, 1, S, S)."""
    return (pixels * torch.tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)


def mix(
    pixel_values: Tensor,
    labels: Tensor,
    count: int,
    config: AugmentConfig,
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Mix-up or cut-mix a batch with itself in another order, as the original repository does.

    pixel_values : (B, T, C, S, S); labels : int64 (B,), below `count`
    returns : the mixed videos, and their labels' shares, float (B, count)
    """
    shares = F.one_hot(labels, count).float()
    both = config.mixup > 0 and config.cutmix > 0
    cut = random.random() < 0.5 if both else config.cutmix > 0
    strength = config.cutmix if cut else config.mixup
    keep = float(random.beta(strength, strength))
    order = torch.from_numpy(random.permutation(len(labels)))
    if cut:
        keep, pixel_values = _cut(pixel_values, order, keep, random)
    else:
        pixel_values = keep * pixel_values + (1 - keep) * pixel_values[order]
    return pixel_values, keep * shares + (1 - keep) * shares[order]


def _cut(
    pixel_values: Tensor, order: Tensor, keep: float, random: np.random.Generator
) -> tuple[float, Tensor]:
    """Put a rectangle of another clip into each; returns the share that is left, and the clips."""
    height, width = pixel_values.shape[-2:]
    half = math.sqrt(1 - keep) / 2
    row, column = random.integers(0, height), random.integers(0, width)
    top, bottom = (int(np.clip(row + sign * int(height * half), 0, height)) for sign in (-1, 1))
    left, right = (int(np.clip(column + sign * int(width * half), 0, width)) for sign in (-1, 1))
    mixed = pixel_values.clone()
    mixed[..., top:bottom, left:right] = pixel_values[order][..., top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / (height * width), mixed
