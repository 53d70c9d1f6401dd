"""Frames of several shapes: who is seen when, and what a moving camera does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.motion.composition import (
    TEXTURES,
    Actor,
    Composition,
    Wave,
    render_composition,
    sample_waves,
)
from xclip.motion.world import HELD_OUT, TRAINING, Scene, Subject, render, sample_scene

TIMES = (np.arange(6) + 0.5) / 6
seeds = st.integers(0, 2**32 - 1)


def scene(subject: Subject = HELD_OUT[0], seed: int = 0) -> Scene:
    """Without grain, so that frames can be compared."""
    return replace(sample_scene(subject, np.random.default_rng(seed)), noise=0.0)


def hidden(shown: Scene) -> Actor:
    """The scene with its shape far outside the frame: the background alone."""
    return Actor(replace(shown, x=9.0, y=9.0))


def drawn(composition: Composition, times: np.ndarray = TIMES) -> np.ndarray:
    return render_composition(composition, times, 64, 48, np.random.default_rng(0)).astype(int)


@given(st.sampled_from(TRAINING), seeds)
def test_one_actor_alone_is_the_scene_it_plays(subject: Subject, seed: int) -> None:
    """Grain included: the wider world holds the first one, frame for frame."""
    alone = sample_scene(subject, np.random.default_rng(seed))
    expected = render(alone, TIMES, 64, 48, np.random.default_rng(seed))
    random = np.random.default_rng(seed)
    again = render_composition(Composition((Actor(alone),)), TIMES, 64, 48, random)
    assert np.abs(again.astype(int) - expected).max() <= 1


def test_an_actor_is_seen_only_in_its_time() -> None:
    """Before and after there is the background alone, that of the first actor's scene."""
    first = scene(Subject("red", "square", "left"))
    empty = drawn(Composition((hidden(first),)))
    seen = drawn(Composition((Actor(first, (0.0, 0.5)),)))
    assert (seen[3:] == empty[3:]).all()
    assert all((seen[number] != empty[number]).any() for number in range(3))
    last = drawn(Composition((Actor(first, (0.5, 1.0)),)), np.array([0.49, 0.5, 1.0]))
    changed = [bool((image != empty[0]).any()) for image in last]
    assert changed == [False, True, True]


def test_an_actor_plays_its_part_over_the_time_it_is_seen() -> None:
    """The second half of an event, squeezed into the first half of the time."""
    event = scene(Subject("blue", "circle", "right"))
    whole = drawn(Composition((Actor(event),)), np.array([0.5, 0.75]))
    part = drawn(Composition((Actor(event, (0.0, 0.5), (0.5, 1.0)),)), np.array([0.0, 0.25]))
    assert (part == whole).all()


def test_later_actors_stand_in_front() -> None:
    """Where two overlap, the colour of the second is seen."""
    back = replace(scene(Subject("red", "square", "left")), x=0.5, y=0.5, extent=0.0, tilt=0.0)
    front = replace(back, subject=Subject("blue", "square", "left"), radius=back.radius / 2)
    image = drawn(Composition((Actor(back), Actor(front))))[0]
    assert image[24, 32].argmax() == 2
    assert image[24, 32 + int(0.7 * back.radius * 48)].argmax() == 0


@given(seeds, st.sampled_from([(0.25, 0.0), (0.0, -0.25)]))
def test_a_pan_shifts_all_of_the_frame(seed: int, pan: tuple[float, float]) -> None:
    """A quarter of the frame between the first moment and the last, waves and shape alike."""
    even = ((40.0, 40.0, 40.0), (40.0, 40.0, 40.0))
    still = replace(scene(Subject("green", "star", "up"), seed), extent=0.0, background=even)
    waves = sample_waves(np.random.default_rng(seed))
    first, last = drawn(Composition((Actor(still),), waves, pan), np.array([0.0, 1.0]))
    moved = np.roll(first, (round(pan[1] * 48), round(pan[0] * 48)), (0, 1))
    inner = (slice(14, -14), slice(14, -14))  # what came in from the side is new
    assert np.abs(moved[inner] - last[inner]).max() <= 2
    assert np.abs(first[inner] - last[inner]).max() > 5


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_darkens_parts_of_the_shape_and_nothing_else(texture: str) -> None:
    """Between a fifth and four fifths of it, and the two textures differ."""
    plain = replace(scene(Subject("white", "square", "left")), radius=0.4, extent=0.0)
    plain = replace(plain, x=0.5, y=0.5)
    without = drawn(Composition((Actor(plain),)))[0].sum(axis=-1)
    with_it = drawn(Composition((Actor(plain, texture=texture),)))[0].sum(axis=-1)
    inside = without > 600
    dark = with_it[inside] < 0.7 * without[inside]
    assert 0.2 < dark.mean() < 0.8
    empty = drawn(Composition((hidden(plain),)))[0].sum(axis=-1)
    assert (with_it[without == empty] == empty[without == empty]).all()


def test_waves_change_the_background_by_their_height() -> None:
    """As many grey levels up as down."""
    plain = drawn(Composition((hidden(scene()),)))
    waved = drawn(Composition((hidden(scene()),), (Wave(2.0, 1.0, 0.3, 10.0),)))
    difference = waved - plain
    assert difference.max() == pytest.approx(10, abs=1)
    assert difference.min() == pytest.approx(-10, abs=1)
