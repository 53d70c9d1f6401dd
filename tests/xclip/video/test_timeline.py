"""Packets' timestamps become presentation times, also where they are nonsense."""

from array import array
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.video.timeline import PacketStamps

MILLISECOND = Fraction(1, 1000)
UNKNOWN = -(1 << 63)


def timeline_of(presentation, decoding=None, durations=None, *, rate=25.0, by_order=False, **more):
    stamps = PacketStamps(
        array("q", presentation),
        array("q", sorted(presentation) if decoding is None else decoding),
        array("q", [40] * len(presentation) if durations is None else durations),
    )
    return stamps.timeline(MILLISECOND, rate, by_order=by_order, longest_still_s=60.0, **more)


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=60, unique=True),
    st.integers(-(10**12), 10**12),
    st.randoms(use_true_random=False),
)
def test_times_start_at_zero_and_do_not_depend_on_file_order(gaps, start, random):
    """Whatever the first timestamp, and however frames are reordered for decoding."""
    presentation = [start + gap % 50_000 + 1 for gap in gaps]
    shuffled = random.sample(presentation, len(presentation))

    timeline = timeline_of(shuffled)

    expected = (np.array(sorted(presentation)) - min(presentation)) / 1000
    np.testing.assert_allclose(timeline.times, expected, atol=1e-3)
    assert timeline.duration_s > timeline.times[-1]
    assert [timeline.time_of(0, stamp) for stamp in sorted(presentation)] == pytest.approx(
        expected.tolist()
    )


def test_the_last_frame_lasts_as_long_as_its_packet_says():
    """A slide shown for 3 s at the end counts with its 3 s, also when it is not last in the file"""
    timeline = timeline_of([0, 100, 50], durations=[50, 3000, 50])

    assert timeline.duration_s == pytest.approx(3.1)


@pytest.mark.parametrize("lie", [0, 1, 1_809_685])
def test_an_implausible_last_duration_is_replaced_by_the_usual_step(lie):
    """Zero, far too short, or longer than any frame is shown."""
    assert timeline_of([0, 40, 80], durations=[40, 40, lie]).duration_s == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("ends_s", "duration_s"), [(6.04, 6.04), (13.0, 12.0), (5.0, 12.0), (None, 12.0)]
)
def test_no_video_ends_after_the_end_that_its_container_states(ends_s, duration_s):
    """A slide without a duration may be the last thing shown; an end before it is a lie."""
    timeline = timeline_of([0, 6000], durations=[0, 0], ends_s=ends_s)

    assert timeline.duration_s == pytest.approx(duration_s)


def test_a_single_frame_with_an_absurd_duration_lasts_one_usual_step():
    """Only the packets' own evidence counts, and one packet has no other."""
    assert timeline_of([500], durations=[1_809_685]).duration_s == pytest.approx(0.04)


def test_frames_can_be_timed_by_order():
    """The k-th frame out of the decoder takes the k-th time, whatever stamp it carries."""
    timeline = timeline_of([0, 120, 40, 80], by_order=True)

    assert [timeline.time_of(k, 120) for k in range(4)] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert timeline.time_of(9, None) == pytest.approx(0.12)


def test_a_clock_that_starts_again_goes_on_where_it_was():
    """Two recordings joined byte by byte last as long as both together."""
    stamps = [*range(7000, 8000, 40), *range(2000, 3000, 40)]

    timeline = timeline_of(stamps, stamps)

    np.testing.assert_allclose(timeline.times, np.arange(50) * 0.04)
    assert timeline.duration_s == pytest.approx(2.0)
    assert timeline.time_of(30, 2200) == pytest.approx(1.2)


def test_a_gap_longer_than_any_frame_is_shown_is_closed():
    """One broken timestamp does not turn a second of video into a day."""
    stamps = [0, 40, 80, 86_400_000, 86_400_040]

    timeline = timeline_of(stamps, stamps)

    assert timeline.duration_s == pytest.approx(0.2)


def test_without_timestamps_frames_are_spaced_by_the_rate():
    """The header's rate, else 25 frames per second."""
    nothing = [UNKNOWN] * 10

    assert timeline_of(nothing, nothing, rate=10.0).duration_s == pytest.approx(1.0)
    assert timeline_of(nothing, nothing, rate=None).duration_s == pytest.approx(0.4)


@pytest.mark.parametrize("stamps", [[-(1 << 62), 1 << 62], [1 << 62, -(1 << 62)], [0, 1 << 62]])
def test_timestamps_near_overflow_give_a_finite_timeline(stamps):
    """64-bit nonsense must not wrap around to something plausible."""
    timeline = timeline_of(stamps, stamps)

    assert timeline.times.tolist() == pytest.approx([0, 0.04])
    assert timeline.duration_s == pytest.approx(0.08)
