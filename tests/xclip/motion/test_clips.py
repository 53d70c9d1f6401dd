"""Clips of the generated world as files: they hold what their plans promise."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.motion.clips import (
    FRAME_RATES,
    SIZES,
    ClipPlan,
    long_clips,
    sample_clips,
    write_clip,
)
from xclip.motion.world import HELD_OUT, TRAINING, Subject, place, render, sample_scene

ALL = TRAINING + HELD_OUT
seeds = st.integers(0, 2**32 - 1)


def plan(*seconds: float, noise_seed: int = 3) -> ClipPlan:
    """A clip of red circles that move right, each for so many seconds."""
    random = np.random.default_rng(1)
    subject = Subject("red", "circle", "right")
    scenes = tuple((sample_scene(subject, random), length) for length in seconds)
    return ClipPlan("clip.mp4", 160, 120, 25, scenes, noise_seed)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame_rate", [FRAME_RATES[0], FRAME_RATES[-1]])
def test_a_file_has_the_promised_format(
    tmp_path: Path, size: tuple[int, int], frame_rate: int
) -> None:
    """H.264 in mp4 with the size, frame rate and duration requested."""
    scene = sample_scene(HELD_OUT[0], np.random.default_rng(0))
    path = tmp_path / "clip.mp4"
    write_clip(path, [(scene, 1.5)], *size, frame_rate, np.random.default_rng(0))
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == size
        assert stream.average_rate == frame_rate
        times = [float(frame.time) for frame in container.decode(stream)]
        assert float(stream.duration * stream.time_base) == pytest.approx(1.5)
    expected = np.arange(round(1.5 * frame_rate)) / frame_rate
    np.testing.assert_allclose(times, expected, atol=1e-3)


def test_the_index_is_in_front(tmp_path: Path) -> None:
    """A player can begin before it has the whole file."""
    content = plan(1.0).write(tmp_path).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_each_scene_runs_from_beginning_to_end_over_its_own_seconds(tmp_path: Path) -> None:
    """The decoded shape is where its scene places it, in every event of the clip."""
    made = plan(1.0, 2.0)
    with av.open(made.write(tmp_path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 75
    parts = (frames[:25], frames[25:])
    for (scene, _), part in zip(made.scenes, parts, strict=True):
        x, _, radius = place(scene, np.linspace(0, 1, len(part)))
        for image, centre, size in zip(part, x, radius, strict=True):
            redness = image[..., 0].astype(int) - image[..., 1]
            columns = np.nonzero(redness > 100)[1]
            assert abs((columns.mean() + 0.5 - 20) / 120 - centre) < 0.2 * size


def test_the_encoded_frames_are_those_drawn(tmp_path: Path) -> None:
    """Encoding changes a pixel by a few grey levels, colours included."""
    scene = sample_scene(Subject("cyan", "star", "grow"), np.random.default_rng(5))
    path = tmp_path / "clip.mp4"
    write_clip(path, [(scene, 1.0)], 144, 144, 12, np.random.default_rng(6))
    drawn = render(scene, np.linspace(0, 1, 12), 144, 144, np.random.default_rng(6))
    with av.open(path) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.abs(np.stack(decoded).astype(int) - drawn).mean() < 8


def test_a_plan_makes_the_same_file_again(tmp_path: Path) -> None:
    """The same plan gives the same bytes, another grain others."""
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    first, again = plan(1.0).write(folders[0]), plan(1.0).write(folders[1])
    other = plan(1.0, noise_seed=4).write(folders[2])
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_events_follow_each_other() -> None:
    """The record of a clip names each event's seconds, without a gap."""
    events = plan(1.0, 2.0, 0.5).events
    assert [(event.start, event.end) for event in events] == [(0, 1), (1, 3), (3, 3.5)]
    assert events[0].caption == "a red circle moving right"


@given(seeds, st.integers(1, 90))
def test_single_clips_are_varied_and_fair(seed: int, count: int) -> None:
    """Each has one event of 3 to 5 s in a listed format; no subject comes twice before all did."""
    subjects = ALL[:30]
    plans = sample_clips(np.random.default_rng(seed), count, subjects)
    assert len({made.name for made in plans}) == len(plans) == count
    for made in plans:
        (event,) = made.events
        assert 3 <= event.end <= 5
        assert (event.end * made.frame_rate) == pytest.approx(round(event.end * made.frame_rate))
        assert (made.width, made.height) in SIZES
        assert made.frame_rate in FRAME_RATES
    shown = [made.events[0].subject for made in plans]
    counts = [shown.count(subject) for subject in subjects]
    assert max(counts) - min(counts) <= 1


@given(seeds, st.integers(1, 6), st.integers(6, 40))
def test_long_clips_show_different_events_aligned_with_windows(
    seed: int, count: int, choice: int
) -> None:
    """4 to 6 events of 5 s, different within a clip, and across clips while subjects last."""
    plans = long_clips(np.random.default_rng(seed), count, ALL[:choice])
    for made in plans:
        shown = [event.subject for event in made.events]
        assert 4 <= len(set(shown)) == len(shown) <= 6
        assert [event.start for event in made.events] == [5 * k for k in range(len(shown))]
    everything = list(itertools.chain.from_iterable(made.events for made in plans))
    if len(everything) <= choice:
        assert len({event.subject for event in everything}) == len(everything)


def test_too_few_subjects_for_a_long_clip_are_refused() -> None:
    """Events that cannot differ are an error, not an endless search."""
    with pytest.raises(ValueError, match="6 subjects"):
        long_clips(np.random.default_rng(0), 1, ALL[:5])
