"""Windows cover a video, and instants are the centres of equal parts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.video.sampling import Segmentation, Window, instants, shown_at, windows

durations = st.floats(0.001, 500)
segmentations = st.builds(
    lambda window_s, share: Segmentation(window_s, window_s * share),
    st.floats(0.5, 20),
    st.floats(0.1, 1.0),
)


@given(durations, segmentations)
def test_windows_cover_the_whole_video_in_order(duration_s, segmentation):
    """From 0 to the end there is no instant without a window, and none starts or ends earlier."""
    found = windows(duration_s, segmentation)

    assert found[0].start == 0
    assert found[-1].end == duration_s
    for before, after in itertools.pairwise(found):
        assert before.start < after.start <= before.end + 1e-9 < after.end


@given(durations, segmentations)
def test_windows_have_the_length_asked_for(duration_s, segmentation):
    """Only a whole short video is shorter, and only a last window longer, by at most 5 %."""
    *others, last = windows(duration_s, segmentation)

    for position, window in enumerate(others):
        assert window.start == pytest.approx(position * segmentation.stride_s)
        assert window.end - window.start == pytest.approx(segmentation.window_s)
    shortest = min(duration_s, segmentation.window_s)
    # starts are whole microseconds
    assert shortest - 1e-6 <= last.end - last.start <= segmentation.window_s * 1.05 + 1e-6


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (3.0, [(0, 3)]),
        (5.0, [(0, 5)]),
        (5.2, [(0, 5.2)]),
        (6.0, [(0, 5), (1, 6)]),
        (10.0, [(0, 5), (2.5, 7.5), (5, 10)]),
        (10.001, [(0, 5), (2.5, 7.5), (5, 10.001)]),
        (11.0, [(0, 5), (2.5, 7.5), (5, 10), (6, 11)]),
    ],
)
def test_default_windows(duration_s, expected):
    """Five seconds every two and a half; the tail is covered without a near copy of a window."""
    assert windows(duration_s, Segmentation()) == [Window(*pair) for pair in expected]


@pytest.mark.parametrize(("window_s", "stride_s"), [(5, 6), (5, 0), (5, -1)])
def test_strides_that_would_skip_parts_of_a_video_are_refused(window_s, stride_s):
    """Every part of a video must be seen."""
    with pytest.raises(ValueError, match="stride"):
        Segmentation(window_s, stride_s)


@given(st.floats(0, 1e4), st.floats(0.01, 100), st.integers(1, 64))
def test_instants_are_the_centres_of_equal_parts(start, length, num_frames):
    """Each lies half a part from its part's ends, so none is on a window's border."""
    window = Window(start, start + length)
    borders = np.linspace(window.start, window.end, num_frames + 1)

    centres = (borders[:-1] + borders[1:]) / 2
    np.testing.assert_allclose(instants(window, num_frames), centres, rtol=0, atol=1e-9)


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=40).map(sorted),
    st.lists(st.integers(-10, 1100), max_size=40),
)
def test_the_frame_shown_is_the_last_one_begun(begins, moments):
    """Against a walk over all frames; before the first frame it is the first."""
    times = np.array(begins) / 100
    expected = [
        max((k for k, begin in enumerate(begins) if begin <= moment), default=0)
        for moment in moments
    ]

    assert shown_at(times, np.array(moments) / 100).tolist() == expected


def test_rounding_does_not_move_an_instant_to_the_frame_before():
    """0.3 s computed by two routes differs in the last bit; it is still the third frame's."""
    times = np.arange(10) * 0.1
    assert times[3] > 0.3

    assert shown_at(times, np.array([0.3])).tolist() == [3]
