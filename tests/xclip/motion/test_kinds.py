"""The kinds of the wider world: captions, what is held back, and frames that are as called."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.motion.composition import TEXTURES, Actor
from xclip.motion.kinds import (
    APPROACHES,
    DIRECTIONS,
    HELD_OUT_KINDS,
    HELD_OUT_PAIRS,
    HELD_OUT_PANS,
    LOOKS,
    NUMBERS,
    PACES,
    PAIRS,
    PANS,
    RELATIONS,
    TRAINING_PAIRS,
    TRAINING_PANS,
    Alone,
    Approach,
    Count,
    Kind,
    Look,
    Paced,
    Pan,
    Relation,
    Textured,
    Then,
    wider_vocabulary,
)
from xclip.motion.world import HELD_OUT, TRAINING, Subject, place, vocabulary

TIMES = np.linspace(0, 1, 9)
SUBJECTS = st.sampled_from(TRAINING)
STRAIGHT = st.sampled_from([subject for subject in TRAINING if subject.motion in DIRECTIONS])
ANY_LOOK = st.sampled_from(LOOKS)
RANDOM = st.builds(np.random.default_rng, st.integers(0, 2**32 - 1))
KINDS: st.SearchStrategy[Kind] = st.one_of(
    st.builds(Alone, SUBJECTS),
    st.builds(Then, SUBJECTS, SUBJECTS),
    st.builds(Count, st.sampled_from(list(NUMBERS)), SUBJECTS),
    st.builds(Paced, STRAIGHT, st.sampled_from(list(PACES))),
    st.builds(Textured, st.sampled_from(TEXTURES), SUBJECTS),
    st.builds(Relation, ANY_LOOK, st.sampled_from(list(RELATIONS)), ANY_LOOK),
    st.builds(Approach, ANY_LOOK, st.sampled_from(APPROACHES), ANY_LOOK),
    st.sampled_from(PANS),
)


def centre(actor: Actor, time: float) -> np.ndarray:
    x, y, _ = place(actor.scene, np.array([time], dtype=np.float32))
    return np.array([x[0], y[0]])


@pytest.mark.parametrize(
    ("kind", "caption", "contrast"),
    [
        (
            Then(Subject("red", "circle", "left"), Subject("orange", "ring", "grow")),
            "a red circle moving left then an orange ring growing",
            "an orange ring growing then a red circle moving left",
        ),
        (
            Count(3, Subject("blue", "star", "up")),
            "three blue stars moving up",
            "four blue stars moving up",
        ),
        (
            Paced(Subject("red", "ring", "down"), "slowly"),
            "a red ring moving down slowly",
            "a red ring moving down quickly",
        ),
        (
            Textured("striped", Subject("orange", "star", "shrink")),
            "a striped orange star shrinking",
            "a dotted orange star shrinking",
        ),
        (
            Relation(Look("red", "ring"), "above", Look("blue", "star")),
            "a red ring above a blue star",
            "a red ring below a blue star",
        ),
        (
            Approach(Look("red", "ring"), "towards", Look("blue", "star")),
            "a red ring moving towards a blue star",
            "a red ring moving away from a blue star",
        ),
        (
            Pan("left", Look("red", "ring")),
            "the camera pans left past a red ring",
            "the camera pans right past a red ring",
        ),
    ],
)
def test_captions_and_their_contrasts(kind: Kind, caption: str, contrast: str) -> None:
    """The one word, or the order, that a kind is about."""
    assert (kind.caption, kind.contrast.caption) == (caption, contrast)


@given(KINDS, RANDOM)
def test_every_word_is_in_the_vocabulary(kind: Kind, random: np.random.Generator) -> None:
    """Of plain captions and of all ways to say it."""
    words = {*vocabulary(), *wider_vocabulary()}
    for text in (kind.caption, kind.contrast.caption, kind.phrase(random), kind.phrase(random)):
        assert words.issuperset(text.split())


@given(KINDS, RANDOM)
def test_every_shape_is_in_the_frame_while_it_is_seen(
    kind: Kind, random: np.random.Generator
) -> None:
    """Centres stay inside the centred square, whatever the camera does, and radii are positive."""
    composition = kind.compose(random)
    for actor in composition.actors:
        begin, end = actor.part
        x, y, radius = place(actor.scene, (begin + (end - begin) * TIMES).astype(np.float32))
        shown = TIMES - 0.5
        x, y = x + shown * composition.pan[0], y + shown * composition.pan[1]
        assert (radius > 0.02).all()
        assert 0 < x.min() <= x.max() < 1
        assert 0 < y.min() <= y.max() < 1


@given(SUBJECTS, SUBJECTS, RANDOM)
def test_one_event_ends_before_the_next_begins(
    first: Subject, second: Subject, random: np.random.Generator
) -> None:
    """No moment shows both, so only time reveals their order."""
    before, after = Then(first, second).compose(random).actors
    assert (before.scene.subject, after.scene.subject) == (first, second)
    assert before.seen[0] == 0.0 < before.seen[1] == after.seen[0] < after.seen[1] == 1.0


@given(st.sampled_from(list(NUMBERS)), SUBJECTS, RANDOM)
def test_counted_shapes_are_as_many_and_apart(
    number: int, subject: Subject, random: np.random.Generator
) -> None:
    """At every moment none touches another."""
    actors = Count(number, subject).compose(random).actors
    assert len(actors) == number
    for one, other in itertools.combinations(actors, 2):
        for time in TIMES:
            distance = np.abs(centre(one, time) - centre(other, time)).max()
            assert distance > 2 * one.scene.radius * 1.25 - 1e-6


@given(STRAIGHT, RANDOM)
def test_quick_shapes_go_twice_as_far_as_slow_ones(
    subject: Subject, random: np.random.Generator
) -> None:
    """Over the same time."""
    far = [Paced(subject, pace).compose(random).actors[0] for pace in ("quickly", "slowly")]
    quick, slow = (np.abs(centre(actor, 1.0) - centre(actor, 0.0)).max() for actor in far)
    assert quick > 2 * slow > 0


@given(ANY_LOOK, st.sampled_from(list(RELATIONS)), RANDOM)
def test_shapes_stand_as_the_word_says(look: Look, word: str, random: np.random.Generator) -> None:
    """Much further apart in the direction that is named than in the other."""
    actors = Relation(look, word, Look("red", "ring")).compose(random).actors
    first, second = (centre(actor, 0.5) for actor in actors)
    across, down = second - first
    named, other = (across, down) if word in ("left of", "right of") else (down, across)
    assert (named > 0) == (word in ("left of", "above"))
    assert abs(named) > 2 * abs(other)


@given(ANY_LOOK, st.sampled_from(APPROACHES), RANDOM)
def test_shapes_come_nearer_or_go_away(look: Look, word: str, random: np.random.Generator) -> None:
    """The distance only shrinks, or only grows."""
    moving, resting = Approach(look, word, Look("red", "ring")).compose(random).actors
    distances = [float(np.linalg.norm(centre(moving, t) - centre(resting, t))) for t in TIMES]
    steps = np.diff(distances)
    assert (steps < 0).all() if word == "towards" else (steps > 0).all()


@given(st.sampled_from(PANS), RANDOM)
def test_the_frame_moves_against_the_camera(pan: Pan, random: np.random.Generator) -> None:
    """A camera that pans left makes everything go right; there is something to see it by."""
    composition = pan.compose(random)
    across, down = composition.pan
    expected = {"left": across > 0, "right": across < 0, "up": down > 0, "down": down < 0}
    assert expected[pan.direction]
    assert composition.waves


def test_an_eighth_of_what_has_no_event_is_held_out() -> None:
    """Pairs of looks and pans, none in both halves, a pan with its opposite."""
    assert set(TRAINING_PAIRS) | set(HELD_OUT_PAIRS) == set(PAIRS)
    assert not set(TRAINING_PAIRS) & set(HELD_OUT_PAIRS)
    assert len(HELD_OUT_PAIRS) / len(PAIRS) == pytest.approx(1 / 8, abs=0.02)
    assert not set(TRAINING_PANS) & set(HELD_OUT_PANS)
    assert len(HELD_OUT_PANS) * 8 == len(PANS)
    assert all(pan.contrast in HELD_OUT_PANS for pan in HELD_OUT_PANS)


@pytest.mark.parametrize("name", HELD_OUT_KINDS)
def test_held_out_kinds_are_made_of_held_out_things(name: str) -> None:
    """Events of held-out subjects, pairs and pans that training never shows."""
    random = np.random.default_rng(0)
    kinds = [HELD_OUT_KINDS[name](random) for _ in range(60)]
    for kind in kinds:
        match kind:
            case Then(first, second):
                assert {first, second} <= set(HELD_OUT)
            case Count(_, subject) | Paced(subject, _) | Textured(_, subject):
                assert subject in HELD_OUT
            case Relation(first, _, second) | Approach(first, _, second):
                assert (first, second) in HELD_OUT_PAIRS
            case Pan():
                assert kind in HELD_OUT_PANS
    assert len({kind.caption for kind in kinds}) > 15
