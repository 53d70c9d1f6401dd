"""What is done to clips: the same to all frames, nothing that makes a caption untrue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xclip.training.augment import augment, draw_crop, draw_instants, mix, names_direction
from xclip.training.config import AugmentConfig

EDGE = 16


def still(seed: int = 0, edge: int = EDGE) -> NDArray[np.uint8]:
    """Four equal frames of noise."""
    frame = np.random.default_rng(seed).integers(0, 256, (edge, edge, 3), np.uint8)
    return np.stack([frame] * 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red circle moving left", True),
        ("Turning clockwise", True),
        ("runs counter-clockwise", True),
        ("leftwards", True),
        ("the leftover cake", False),
        ("a bright day", False),
    ],
)
def test_direction_words(text: str, expected: bool) -> None:
    """Whole words only."""
    assert names_direction(text) == expected


def test_clips_are_mirrored_unless_their_text_names_a_direction() -> None:
    """With certainty of a flip: one is mirrored, the other left as it is."""
    frames, config = still(), AugmentConfig(flip=1.0)
    flipped = augment(frames, EDGE, config, "a dog runs", np.random.default_rng(0))
    kept = augment(frames, EDGE, config, "a dog runs left", np.random.default_rng(0))
    assert torch.equal(flipped, torch.from_numpy(frames[:, :, ::-1].copy()))
    assert torch.equal(kept, torch.from_numpy(frames))


def test_all_frames_of_a_clip_change_alike() -> None:
    """Equal frames stay equal under everything at once, and the size is the model's."""
    config = AugmentConfig(smallest_crop=0.2, flip=0.5, grey=0.5, colour=1.0)
    for seed in range(5):
        changed = augment(still(edge=20), EDGE, config, "a dog", np.random.default_rng(seed))
        assert changed.shape == (4, EDGE, EDGE, 3)
        assert changed.dtype == torch.uint8
        assert all(torch.equal(frame, changed[0]) for frame in changed)


def test_grey_has_no_colour() -> None:
    """The three channels are one."""
    grey = augment(still(), EDGE, AugmentConfig(grey=1.0), "a dog", np.random.default_rng(0))
    assert torch.equal(grey[..., 0], grey[..., 1])
    assert torch.equal(grey[..., 0], grey[..., 2])


def test_crops_lie_within_the_square_and_are_large_enough() -> None:
    """At least about the smallest share; edges differ by a third at most."""
    random = np.random.default_rng(1)
    for _ in range(200):
        top, left, height, width = draw_crop(100, 80, 0.25, random)
        assert min(top, left) >= 0
        assert max(top + height, left + width) <= 100
        assert height * width >= 0.2 * 100**2
        assert 0.7 < height / width < 1.4
    assert draw_crop(100, 80, 1.0, random) == (10, 10, 80, 80)


def test_one_instant_of_each_part_is_drawn() -> None:
    """In order, each within its own part."""
    drawn = draw_instants(8, 3, np.random.default_rng(0))
    assert (drawn // 3).tolist() == list(range(8))
    assert len(set((drawn % 3).tolist())) > 1


def constant_clips() -> torch.Tensor:
    """Three clips, each of its own number."""
    return torch.arange(3.0)[:, None, None, None, None].expand(3, 2, 3, 32, 32)


@pytest.mark.parametrize("config", [AugmentConfig(mixup=0.8), AugmentConfig(cutmix=1.0)])
def test_labels_are_mixed_as_much_as_frames(config: AugmentConfig) -> None:
    """The mean of a mixed clip is the mean of its labels' numbers, weighted by their shares."""
    for seed in range(5):
        random = np.random.default_rng(seed)
        clips, shares = mix(constant_clips(), torch.arange(3), 3, config, random)
        assert torch.allclose(shares.sum(dim=1), torch.ones(3))
        expected = shares @ torch.arange(3.0)
        assert torch.allclose(clips.mean(dim=(1, 2, 3, 4)), expected, atol=1e-4)


def test_cut_mix_keeps_every_pixel_of_one_of_two() -> None:
    """Nothing is blended."""
    config = AugmentConfig(cutmix=1.0)
    clips, _ = mix(constant_clips(), torch.arange(3), 3, config, np.random.default_rng(4))
    assert set(clips.unique().tolist()) <= {0.0, 1.0, 2.0}
