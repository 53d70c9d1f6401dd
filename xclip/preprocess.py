"""Preprocessing: resizes the short edge, crops the centre and normalises frames.

Sizes follow the image processor the published checkpoints were made with: the short edge becomes
`short_edge`, the long edge is truncated (not rounded), bilinear with antialiasing on 8-bit RGB.

Letters: H, W frame height and width, S crop edge, T frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xclip.errors import ConfigError

PREPROCESSOR_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PIL_BILINEAR = 2

# Beyond this ratio only the middle of a frame is resized. The crop never sees the ends, while
# resizing a 16384 x 2 frame whole would take gigabytes.
_WIDEST_RATIO = 16


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """Pixels of the resized short edge and of the square cut from the centre."""

    short_edge: int
    crop: int

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.short_edge:
            raise ConfigError(
                f"a crop of {self.crop} px cannot be cut from a short edge of {self.short_edge} px"
            )

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a frame once its short edge is `short_edge`."""
        if width <= height:
            return int(self.short_edge * height / width), self.short_edge
        return self.short_edge, int(self.short_edge * width / height)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a checkpoint expects to be done to a frame; mean and std are per RGB channel in 0..1."""

    geometry: FrameGeometry
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @classmethod
    def from_folder(cls, folder: Path, image_size: int | None = None) -> Preprocessing:
        """Read the `image_processor` of `processor_config.json`, else `preprocessor_config.json`.

        image_size : int, optional
            `vision_config.image_size`, which decides the crop: files written in 2022 hold only
            `{"size": 336}`, and the size the network takes cannot be wrong. Without it the file's
            `crop_size` is taken, else its short edge.

        Without either file: the values all X-CLIP models share, if `image_size` is known.
        Raises ConfigError for a file that asks for something else than resize, crop, normalise.
        """
        settings = (_read_object(folder / PROCESSOR_FILE) or {}).get("image_processor")
        if not isinstance(settings, Mapping):
            settings = _read_object(folder / PREPROCESSOR_FILE)
        if settings is None and image_size is None:
            raise ConfigError(f"{folder} holds no {PREPROCESSOR_FILE}")
        return cls.from_dict(settings or {}, image_size)

    @classmethod
    def from_dict(
        cls, settings: Mapping[str, object], image_size: int | None = None
    ) -> Preprocessing:
        """The same from the parsed content of `preprocessor_config.json`."""
        for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
            if settings.get(step) is False:
                raise ConfigError(f"{PREPROCESSOR_FILE} turns {step} off, but X-CLIP needs it")
        if settings.get("resample", PIL_BILINEAR) != PIL_BILINEAR:
            raise ConfigError(
                f"{PREPROCESSOR_FILE} sets resample={settings['resample']!r}; only bilinear "
                f"({PIL_BILINEAR}) is supported"
            )
        short_edge = _edge("size", settings.get("size", image_size), ("shortest_edge",))
        if image_size is None:
            crop_size = settings.get("crop_size", short_edge)
            image_size = _edge("crop_size", crop_size, ("height", "width"))
        return cls(
            FrameGeometry(short_edge, image_size),
            _channels(settings, "image_mean", IMAGENET_MEAN),
            _channels(settings, "image_std", IMAGENET_STD),
        )

    def to_dict(self) -> dict[str, object]:
        """Content of a `preprocessor_config.json` every version of transformers reads alike."""
        crop = self.geometry.crop
        return {
            "image_processor_type": "VideoMAEImageProcessor",
            "processor_class": "XCLIPProcessor",
            "do_resize": True,
            "size": {"shortest_edge": self.geometry.short_edge},
            "resample": PIL_BILINEAR,
            "do_center_crop": True,
            "crop_size": {"height": crop, "width": crop},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }


def _read_object(path: Path) -> Mapping[str, object] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, not an object")
    return content


def _edge(name: str, size: object, keys: tuple[str, ...]) -> int:
    """One length from an integer or from an object that states it under every one of `keys`."""
    edges = {size.get(key) for key in keys} if isinstance(size, Mapping) else {size}
    edge = edges.pop()
    if edges or isinstance(edge, bool) or not isinstance(edge, int):
        raise ConfigError(
            f"{PREPROCESSOR_FILE} has {name}={size!r}; an integer or an object with equal "
            f"{' and '.join(keys)} is needed"
        )
    return edge


def _channels(
    settings: Mapping[str, object], name: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    value = settings.get(name)
    if value is None:
        return default
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(channel, int | float) for channel in value)
        or (name == "image_std" and not all(channel > 0 for channel in value))
    ):
        raise ConfigError(f"{PREPROCESSOR_FILE} has {name}={value!r}; three numbers are needed")
    return float(value[0]), float(value[1]), float(value[2])


def resize_and_crop(frame: NDArray[np.uint8], geometry: FrameGeometry) -> NDArray[np.uint8]:
    """Resize the short edge (bilinear, antialiased) and cut the centre square.

    frame : uint8 RGB, shape = (H, W, 3)
    returns : uint8 RGB, shape = (S, S, 3), contiguous

    Within one grey level of Pillow's `resize(BILINEAR)` followed by the same crop.
    Raises ValueError for another shape or dtype.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape or frame.dtype != np.uint8:
        raise ValueError(
            f"a frame must be uint8 of shape (H, W, 3), not {frame.dtype} of shape {frame.shape}"
        )
    frame = _without_far_ends(frame)
    crop = geometry.crop
    height, width = geometry.resized(frame.shape[0], frame.shape[1])
    # torch refuses the negative strides of a flipped or rotated view; read-only is only a warning.
    pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
    pixels = pixels.permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W)
    if (height, width) != tuple(frame.shape[:2]):
        pixels = functional.interpolate(
            pixels, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
    top, left = (height - crop) // 2, (width - crop) // 2
    square = pixels[0, :, top : top + crop, left : left + crop]
    result: NDArray[np.uint8] = np.ascontiguousarray(square.permute(1, 2, 0).numpy())  # (S, S, 3)
    return result


def _without_far_ends(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut both ends of an extremely long frame by the same amount, so the centre stays put."""
    height, width = frame.shape[:2]
    longest = _WIDEST_RATIO * min(height, width)
    rows, columns = max(0, height - longest) // 2, max(0, width - longest) // 2
    return frame[rows : height - rows, columns : width - columns]


def normalise(frames: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Scale bytes to 0..1, subtract the mean, divide by the deviation, put channels first.

    frames : uint8, shape = (..., T, S, S, 3)
    returns : float32, shape = (..., T, 3, S, S), on the same device
    """
    if frames.dtype != torch.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be uint8 of shape (..., T, S, S, 3), not {frames.dtype} of shape "
            f"{tuple(frames.shape)}"
        )
    mean = torch.tensor(preprocessing.mean, device=frames.device)
    std = torch.tensor(preprocessing.std, device=frames.device)
    scaled = (frames.to(torch.float32) / 255 - mean) / std
    return scaled.movedim(-1, -3).contiguous()
