"""Frames to squares: within one grey level of Pillow, the recipe of the published checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from xclip.errors import ConfigError
from xclip.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FrameGeometry,
    Preprocessing,
    normalise,
    resize_and_crop,
)

SIZES = [(240, 320), (320, 240), (48, 48), (33, 71), (97, 31), (7, 90), (337, 336)]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_pillow(frame: NDArray[np.uint8], geometry: FrameGeometry) -> NDArray[np.uint8]:
    """Resize the short edge with PIL's BILINEAR, truncating the long edge, and crop."""
    height, width = frame.shape[:2]
    edge, crop = geometry.short_edge, geometry.crop
    size = (
        (edge, int(edge * height / width))
        if width <= height
        else (int(edge * width / height), edge)
    )
    resized = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    top, left = (size[1] - crop) // 2, (size[0] - crop) // 2
    return resized[top : top + crop, left : left + crop]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    short_edge=st.integers(1, 80),
    crop=st.integers(1, 80),
)
def test_within_one_grey_level_of_pillow(
    height: int, width: int, short_edge: int, crop: int
) -> None:
    """Any frame up to an aspect of 16, enlarged or shrunk, is Pillow's within 1 of 255."""
    if max(height, width) > 16 * min(height, width):
        height = width
    geometry = FrameGeometry(max(short_edge, crop), min(short_edge, crop))
    frame = noise(height, width, height * 1000 + width)
    ours = resize_and_crop(frame, geometry)
    assert ours.shape == (geometry.crop, geometry.crop, 3)
    assert ours.dtype == np.uint8
    assert ours.flags.c_contiguous
    assert np.abs(ours.astype(int) - by_pillow(frame, geometry)).max() <= 1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pixel_values_are_those_of_transformers(height: int, width: int) -> None:
    """Normalised tensors differ from the image processor's by at most one grey level."""
    preprocessing = Preprocessing(FrameGeometry(48, 48))
    frames = np.stack([noise(height, width, seed) for seed in range(2)])
    settings_of_twin = {**preprocessing.to_dict()}
    twin = VideoMAEImageProcessorPil(**settings_of_twin)
    theirs = twin([list(frames)], return_tensors="pt")["pixel_values"][0]
    squares = np.stack([resize_and_crop(frame, preprocessing.geometry) for frame in frames])
    ours = normalise(torch.from_numpy(squares), preprocessing)
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1.001 / 255 / min(IMAGENET_STD)


def test_small_details_are_averaged_not_skipped() -> None:
    """A fine checkerboard shrinks to grey: the resize is antialiased."""
    board = np.indices((256, 256)).sum(0) % 2 * 255
    frame = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    square = resize_and_crop(frame, FrameGeometry(32, 32))
    assert square.min() >= 120
    assert square.max() <= 135


def test_the_crop_is_the_centre() -> None:
    """What lies left and right of the middle of a wide frame is gone."""
    frame = np.zeros((40, 120, 3), np.uint8)
    frame[:, 45:75] = 200
    square = resize_and_crop(frame, FrameGeometry(40, 30))
    assert (square == 200).all()


@pytest.mark.parametrize("shape", [(2, 16384), (16384, 2), (1, 999)])
def test_extreme_frames_keep_their_centre(shape: tuple[int, int]) -> None:
    """A frame like a line is cropped before it is resized: quick, and the middle is the same."""
    frame = np.zeros((*shape, 3), np.uint8)
    middle = tuple(slice(max(0, n // 2 - 8), n // 2 + 8) for n in shape)
    frame[middle] = 255
    square = resize_and_crop(frame, FrameGeometry(48, 48))
    assert square.shape == (48, 48, 3)
    assert square.min() == 255


def test_views_of_a_frame_are_taken() -> None:
    """Rotated, flipped and read-only arrays are frames too."""
    frame = noise(30, 50)
    geometry = FrameGeometry(20, 20)
    rotated = np.rot90(frame, -1)
    assert np.array_equal(
        resize_and_crop(rotated, geometry), resize_and_crop(rotated.copy(), geometry)
    )
    expected = resize_and_crop(frame, geometry)
    frame.flags.writeable = False
    assert np.array_equal(resize_and_crop(frame, geometry), expected)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_what_is_no_frame(frame: NDArray[Any]) -> None:
    """Another shape or dtype is refused with both named."""
    with pytest.raises(ValueError, match=r"uint8 of shape \(H, W, 3\)"):
        resize_and_crop(frame, FrameGeometry(4, 4))
    with pytest.raises(ValueError, match=r"uint8 of shape"):
        normalise(torch.zeros(2, 4, 4, 3), Preprocessing(FrameGeometry(4, 4)))


def test_normalise_scales_shifts_and_moves_channels() -> None:
    """Black is -mean/std, white (1-mean)/std, and channels come before rows."""
    frames = torch.zeros(2, 5, 6, 6, 3, dtype=torch.uint8)
    frames[1] = 255
    values = normalise(frames, Preprocessing(FrameGeometry(6, 6)))
    assert values.shape == (2, 5, 3, 6, 6)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    assert torch.allclose(values[0, 0, :, 0, 0], -mean / std)
    assert torch.allclose(values[1, 0, :, 0, 0], (1 - mean) / std)


@pytest.mark.parametrize(
    ("size", "short_edge"),
    [(336, 336), ({"shortest_edge": 336}, 336), ({"shortest_edge": 400}, 400)],
)
def test_the_crop_is_the_size_the_network_takes(
    size: object, short_edge: int, tmp_path: Path
) -> None:
    """Old files state one number and newer ones an object; neither may decide the crop."""
    content = {"size": size, "crop_size": {"height": 224, "width": 224}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    read = Preprocessing.from_folder(tmp_path, image_size=336)
    assert read == Preprocessing(FrameGeometry(short_edge, 336))
    alone = Preprocessing.from_folder(tmp_path)
    assert alone.geometry == FrameGeometry(short_edge, 224)


def test_mean_and_deviation_come_from_the_file(tmp_path: Path) -> None:
    """A checkpoint's own mean and deviation are used; without them ImageNet's, never 0.5."""
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"size": 8, "image_mean": [0.5, 0.4, 0.3], "image_std": [1, 1, 1]}))
    read = Preprocessing.from_folder(tmp_path, 8)
    assert (read.mean, read.std) == ((0.5, 0.4, 0.3), (1.0, 1.0, 1.0))
    path.write_text("{}")
    read = Preprocessing.from_folder(tmp_path, 8)
    assert (read.mean, read.std) == (IMAGENET_MEAN, IMAGENET_STD)


def test_without_any_file(tmp_path: Path) -> None:
    """A known network is enough; without one there is nothing to go by."""
    assert Preprocessing.from_folder(tmp_path, 48).geometry == FrameGeometry(48, 48)
    with pytest.raises(ConfigError, match="preprocessor_config"):
        Preprocessing.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"size": {"height": 8, "width": 8}}, "size"),
        ({"size": True}, "size"),
        ({"size": 4}, "crop of 8"),
        ({"do_rescale": False}, "do_rescale"),
        ({"resample": 3}, "resample=3"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_std": [1, 1, 0]}, "image_std"),
        ([], "list"),
    ],
)
def test_files_that_ask_for_something_else(content: object, message: str, tmp_path: Path) -> None:
    """A recipe that would be applied wrongly is refused, not half followed."""
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        Preprocessing.from_folder(tmp_path, 8)
