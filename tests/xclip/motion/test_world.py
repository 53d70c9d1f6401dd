"""The generated world: what it holds, what it holds back, and whether motions are as called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.motion.world import (
    CALIBRATION,
    COLOURS,
    EVALUATION,
    HELD_OUT,
    MOTIONS,
    OPPOSITE,
    SHAPES,
    TRAINING,
    Scene,
    Subject,
    phrasing,
    place,
    render,
    sample_scene,
    vocabulary,
)

TIMES = np.linspace(0, 1, 9)
subjects = st.sampled_from(TRAINING + HELD_OUT)
seeds = st.integers(0, 2**32 - 1)


def drawn(subject: Subject, seed: int) -> Scene:
    return sample_scene(subject, np.random.default_rng(seed))


def test_confidence_is_measured_on_other_subjects_than_it_is_fitted_on() -> None:
    """Two halves of the held-out subjects, alike in shapes and motions, opposites in the same."""
    assert len(CALIBRATION) == len(EVALUATION) == 20
    assert set(CALIBRATION) | set(EVALUATION) == set(HELD_OUT)
    for half in (CALIBRATION, EVALUATION):
        assert {subject.opposite for subject in half} == set(half)
        assert {subject.motion for subject in half} == set(MOTIONS)
        assert all(sum(s.shape == shape for s in half) == 4 for shape in SHAPES)


def test_an_eighth_of_the_world_is_held_out() -> None:
    """280 combinations for training and 40 held out make all 8 x 5 x 8, none in both."""
    assert (len(TRAINING), len(HELD_OUT)) == (280, 40)
    assert len(set(TRAINING) | set(HELD_OUT)) == len(COLOURS) * len(SHAPES) * len(MOTIONS) == 320


def test_every_word_occurs_in_training() -> None:
    """What is held out is combinations: each word of one, and each pair but three, is trained."""
    for subject in HELD_OUT:
        assert any(s.colour == subject.colour and s.shape == subject.shape for s in TRAINING)
        assert any(s.colour == subject.colour and s.motion == subject.motion for s in TRAINING)
        assert any(s.shape == subject.shape and s.motion == subject.motion for s in TRAINING)


def test_no_word_is_much_rarer_in_training() -> None:
    """Shapes and motions are held out equally often, colours nearly so."""
    for words, kind, slack in (
        (SHAPES, "shape", 0),
        (MOTIONS, "motion", 0),
        (COLOURS, "colour", 1),
    ):
        counts = [sum(getattr(s, kind) == word for s in HELD_OUT) for word in words]
        assert all(abs(count - len(HELD_OUT) / len(words)) <= slack for count in counts)


@given(subjects)
def test_opposites_are_mutual_and_held_out_together(subject: Subject) -> None:
    """The opposite's opposite is the motion itself, and both are for training or neither."""
    opposite = replace(subject, motion=OPPOSITE[subject.motion])
    assert OPPOSITE[opposite.motion] == subject.motion != opposite.motion
    assert (subject in HELD_OUT) == (opposite in HELD_OUT)


@given(subjects, seeds)
def test_a_phrase_is_made_of_known_words(subject: Subject, seed: int) -> None:
    """Every phrasing, and the caption, names colour and shape in words of the vocabulary."""
    for text in (phrasing(subject, np.random.default_rng(seed)), subject.caption):
        assert set(text.split()) <= set(vocabulary())
        assert f"{subject.colour} {subject.shape}" in text


@given(subjects.filter(lambda subject: "clockwise" not in subject.motion), seeds)
def test_opposites_show_the_same_places_in_reverse(subject: Subject, seed: int) -> None:
    """Moves and growth played backwards are the opposite motion of the same scene."""
    scene = drawn(subject, seed)
    opposite = replace(scene, subject=replace(subject, motion=OPPOSITE[subject.motion]))
    for forwards, backwards in zip(place(scene, TIMES), place(opposite, TIMES), strict=True):
        np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-6)


@given(subjects, seeds)
def test_the_motion_is_what_the_word_says(subject: Subject, seed: int) -> None:
    """x runs right and y down, radii grow or shrink, and circling turns the way it is called."""
    x, y, radius = place(drawn(subject, seed), np.linspace(0, 1, 200))
    heading = np.unwrap(np.arctan2(np.diff(y), np.diff(x)))
    steps = {
        "left": -np.diff(x),
        "right": np.diff(x),
        "up": -np.diff(y),
        "down": np.diff(y),
        "grow": np.diff(radius),
        "shrink": -np.diff(radius),
        "clockwise": np.diff(heading),
        "anticlockwise": -np.diff(heading),
    }[subject.motion]
    assert np.mean(steps > 0) > 0.99


@given(subjects, seeds)
def test_the_shape_stays_in_the_centred_square(subject: Subject, seed: int) -> None:
    """What a model's centre crop keeps always holds the whole shape."""
    x, y, radius = place(drawn(subject, seed), TIMES)
    for centre in (x, y):
        assert np.all(centre - radius > -0.03)
        assert np.all(centre + radius < 1.03)


@given(subjects, seeds)
def test_a_frame_is_a_function_of_its_seed(subject: Subject, seed: int) -> None:
    """The same scene and seed draw the same bytes; the grain differs with another seed."""
    scene = replace(drawn(subject, seed), noise=5.0)
    first, again, other = (
        render(scene, TIMES[:2], 24, 16, np.random.default_rng(number)) for number in (1, 1, 2)
    )
    assert first.shape == (2, 16, 24, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@given(subjects, seeds)
def test_the_shape_is_drawn_where_it_is_placed(subject: Subject, seed: int) -> None:
    """The pixels of the shape's colour centre on its place, in every frame."""
    scene = replace(drawn(subject, seed), noise=0.0, tint=(0, 0, 0))
    frames = render(scene, TIMES, 96, 64, np.random.default_rng(0))
    x, y, radius = place(scene, TIMES)
    far = np.abs(frames.astype(int) - COLOURS[subject.colour]).max(axis=-1)
    for frame, column, row, size in zip(far, x, y, radius, strict=True):
        rows, columns = np.nonzero(frame < 3)
        assert abs((columns.mean() + 0.5 - 16) / 64 - column) < 0.3 * size
        assert abs((rows.mean() + 0.5) / 64 - row) < 0.3 * size


@pytest.mark.parametrize("shape", SHAPES)
def test_no_two_shapes_look_alike(shape: str) -> None:
    """Each shape covers other pixels than any other of the same size and place."""
    scene = replace(drawn(Subject("white", shape, "grow"), 0), noise=0.0, tilt=0.0)
    images = {
        other: render(
            replace(scene, subject=Subject("white", other, "grow")),
            TIMES[-1:],
            64,
            64,
            np.random.default_rng(0),
        )
        for other in SHAPES
    }
    for other in SHAPES:
        different = np.any(images[shape] != images[other], axis=-1).sum()
        assert (different > 40) == (other != shape)
