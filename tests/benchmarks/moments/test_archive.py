"""The archive of free events: what its plan promises, and what its frames show."""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.moments.archive import (
    LONGEST_S,
    SHORTEST_S,
    draw_archive,
    near_misses,
)

ARCHIVE = draw_archive(seed=3, videos=40)


def test_the_same_seed_draws_the_same_archive():
    """Frames included; another seed draws another one."""
    again = draw_archive(seed=3, videos=40)
    assert again == ARCHIVE
    assert draw_archive(seed=4, videos=40) != ARCHIVE
    instants = np.array([0.1, 5.0])
    frames = [videos[0].frames(instants, 16) for videos in (ARCHIVE.videos, again.videos)]
    np.testing.assert_array_equal(*frames)


def test_events_are_free():
    """They last 2 to 8 s within their video, and begin on windows no more than elsewhere."""
    events = ARCHIVE.events
    for event in events:
        assert SHORTEST_S <= event.end - event.start <= LONGEST_S
        assert event.start >= 0
        assert event.end <= ARCHIVE.videos[event.video].duration_s
    on_a_window = [min(event.start % 1.25, -event.start % 1.25) < 0.01 for event in events]
    assert np.mean(on_a_window) < 0.1


def test_the_hard_cases_are_there():
    """Overlaps, touching events, pauses, near misses in one video, and videos without an event."""
    pairs = [
        (before, after)
        for video in ARCHIVE.videos
        for before, after in itertools.pairwise(video.events)
    ]
    assert any(after.start < before.end for before, after in pairs)
    assert any(after.start == before.end for before, after in pairs)
    assert any(after.start > before.end for before, after in pairs)
    assert any(after.subject in near_misses(before.subject) for before, after in pairs)
    assert any(not video.events for video in ARCHIVE.videos)


def test_no_video_shows_what_is_absent_but_near_misses_of_it():
    """A search for an absent subject has no match, and something that differs in one word."""
    shown = {event.subject for event in ARCHIVE.events}
    assert not shown & set(ARCHIVE.absent)
    assert all(shown & set(near_misses(subject)) for subject in ARCHIVE.absent)


def test_a_subject_is_in_a_video_once():
    """So an event of a text is one interval, and what the text's results share is unambiguous."""
    for video in ARCHIVE.videos:
        assert len({event.subject for event in video.events}) == len(video.events)


def test_the_shape_is_seen_during_its_event_alone():
    """Where a shot holds one event, its frames change at the event's start and end."""
    lone = next(
        (video, event)
        for video in ARCHIVE.videos
        for shot in video.shots
        for event in video.events
        if len(shot.composition.actors) == 1
        and shot.start + 0.4 < event.start
        and event.end < shot.end - 0.4
    )
    video, event = lone
    before, start, end, after = video.frames(
        np.array([event.start - 0.1, event.start + 0.1, event.end - 0.1, event.end + 0.1]), 48
    ).astype(int)
    assert np.abs(before - after).max() < 80  # the background and its grain
    assert np.abs(before - start).max() > 80
    assert np.abs(end - after).max() > 80
