"""Which frames and squares are looked at, beside the original repository's rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.evaluation.protocols import ViewProtocol, frame_numbers
from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.sampling import Window, instants

GEOMETRY = FrameGeometry(short_edge=56, crop=56)


@given(st.integers(1, 400), st.sampled_from([1, 4, 8, 16, 32]))
def test_one_clip_takes_the_middle_frame_of_each_of_equal_parts(count: int, num_frames: int):
    """The test mode of the original's SampleFrames: floor(i · a + a / 2) with a = n / T."""
    part = count / float(num_frames)
    expected = (np.arange(num_frames) * part + part / 2.0).astype(int)
    assert frame_numbers(count, 1, num_frames, seed=0).tolist() == [expected.tolist()]


@given(st.integers(1, 400), st.sampled_from([1, 4, 8, 16, 32]), st.integers(0, 9))
def test_several_clips_draw_one_frame_from_each_run(count: int, num_frames: int, seed: int):
    """Its training mode: T runs of n // T frames; fewer frames than T are spread, rounded."""
    drawn = frame_numbers(count, 4, num_frames, seed)
    run = count // num_frames
    if run:
        assert (drawn // run).tolist() == [list(range(num_frames))] * 4
    else:
        spread = np.around(np.arange(num_frames) * (count / num_frames)).astype(int) % count
        assert drawn.tolist() == [spread.tolist()] * 4
    assert drawn.tolist() == frame_numbers(count, 4, num_frames, seed).tolist()


def test_the_service_style_looks_where_a_search_looks():
    """One clip: the centres of T equal parts. Four: their moments interleave evenly."""
    times = np.arange(0, 10, 0.04)
    one = ViewProtocol().moments(times, 2.0, 7.0, 8, seed=0)
    assert one.tolist() == [instants(Window(2.0, 7.0), 8).tolist()]
    four = ViewProtocol(clips=4).moments(times, 2.0, 7.0, 8, seed=0)
    assert np.diff(np.sort(four.ravel())) == pytest.approx(np.full(31, 5 / 32))


def test_the_original_style_counts_the_frames_of_the_clip_alone():
    """Between 2 and 4 s of a video with 10 frames a second are those from number 20 to 39."""
    moments = ViewProtocol("original").moments(np.arange(100) / 10, 2.0, 4.0, 4, seed=0)
    assert moments[0] == pytest.approx([2.2, 2.7, 3.2, 3.7])
    still = ViewProtocol("original").moments(np.array([0.0]), 0.0, 3.0, 4, seed=0)
    assert still.tolist() == [[0.0, 0.0, 0.0, 0.0]]


def gradient(height: int, width: int) -> np.ndarray:
    """A frame that says in red how far right and in green how far down a pixel is."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


def test_one_crop_of_the_original_loses_an_eighth_of_the_border():
    """The short side is 256/224 of the crop, and the square comes from the middle."""
    square = ViewProtocol("original").squares(gradient(128, 128), GEOMETRY)[0]
    red = square[0, :, 0].astype(float) / 255
    assert red[0] == pytest.approx(1 / 16, abs=0.02)
    assert red[-1] == pytest.approx(15 / 16, abs=0.02)


def test_the_original_does_not_smooth_what_it_shrinks():
    """Every fourth column is white: with antialiasing they blur to grey, without they stay."""
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::4] = 255
    plain = ViewProtocol("original", crops=3).squares(stripes, GEOMETRY)[0]
    smooth = ViewProtocol("service", crops=3).squares(stripes, GEOMETRY)[0]
    assert plain.std() < 1  # at a quarter, always the same two columns between the white ones
    assert plain.mean() < 1
    assert smooth.mean() == pytest.approx(64, abs=2)


@pytest.mark.parametrize("style", ["service", "original"])
@pytest.mark.parametrize(("height", "width", "channel"), [(56, 112, 0), (112, 56, 1)])
def test_three_crops_are_both_ends_of_the_long_side_and_its_middle(
    style: str, height: int, width: int, channel: int
):
    """In the original's order: first end, last end, middle."""
    squares = ViewProtocol(style, crops=3).squares(gradient(height, width), GEOMETRY)
    assert squares.shape == (3, 56, 56, 3)
    means = squares[..., channel].mean(axis=(1, 2)) / 255
    assert means == pytest.approx([0.25, 0.75, 0.5], abs=0.01)


def test_the_service_style_crops_as_the_service_does():
    """The very same function."""
    frame = gradient(90, 160)
    assert (ViewProtocol().squares(frame, GEOMETRY)[0] == resize_and_crop(frame, GEOMETRY)).all()
