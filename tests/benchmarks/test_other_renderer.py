"""The second renderer: the same words, none of the first one's code, one change at a time."""

from __future__ import annotations

import ast
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import other_renderer
from benchmarks.other_renderer import (
    BRIGHT,
    EVERYTHING,
    LEAST_CONTRAST,
    ONE_AT_A_TIME,
    PLAIN,
    SMALL,
    TEXTURED,
    Course,
    Drawing,
    OtherClip,
)
from benchmarks.retrieval import with_near_misses
from xclip.motion.world import COLOURS, MOTIONS, SHAPES

SIZE = (144, 144)


def clip(conditions=PLAIN, *, shape="square", motion="right", seed=5) -> OtherClip:
    return OtherClip("clip.mp4", "orange", shape, motion, conditions, seed)


def pictures(plan: OtherClip, times=(0.0, 0.5, 1.0)) -> np.ndarray:
    drawing = Drawing(plan, SIZE, 4.0)
    return np.stack([drawing.frame(time).astype(float) for time in times])


def orange(picture: np.ndarray) -> np.ndarray:
    """Where the picture is orange, on a plain dark background."""
    return (picture[..., 0] > 150) & (picture[..., 2] < 120)


def test_it_shares_no_code_with_the_first_renderer() -> None:
    """The module imports nothing of the project."""
    tree = ast.parse(Path(other_renderer.__file__).read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert not {name.split(".")[0] for name in modules} & {"xclip", "app", "index", "benchmarks"}


def test_it_knows_the_same_words() -> None:
    """Colours, shapes and motions are those of the captions."""
    motions = {*other_renderer.STEPS, *other_renderer.TURNS, "grow", "shrink"}
    assert set(other_renderer.SHADES) == set(COLOURS)
    assert set(other_renderer.SHAPES) == set(SHAPES)
    assert motions == set(MOTIONS)


def test_a_clip_is_a_video_that_decodes(tmp_path: Path) -> None:
    """The file is H.264, 3 to 6 seconds long, its short edge 144 pixels or more."""
    file = clip(EVERYTHING).write(tmp_path)
    with av.open(file) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert min(stream.width, stream.height) >= 144
        assert 3 <= stream.frames / float(stream.average_rate) <= 6
        assert sum(1 for _ in container.decode(stream)) == stream.frames


def test_the_same_plan_makes_the_same_frames() -> None:
    """Grain and blotches too come from the seed, and another seed makes others."""
    plan = clip(EVERYTHING)
    assert np.array_equal(pictures(plan), pictures(plan))
    assert not np.array_equal(pictures(plan), pictures(clip(EVERYTHING, seed=6)))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_drawn(shape: str) -> None:
    """Something orange is there, and only a ring is hollow in its middle."""
    shown = orange(pictures(clip(shape=shape), times=(0.5,))[0])
    assert shown.sum() > 150
    rows, columns = np.nonzero(shown)
    middle = shown[round(rows.mean()), round(columns.mean())]
    assert bool(middle) == (shape != "ring")


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_a_path_moves_as_its_word_says_and_stays_in_sight(motion: str, seed: int) -> None:
    """Steps, sizes and turns have the right sign even as the camera pans; the edge is not met."""
    path = Course.draw(motion, EVERYTHING, np.random.default_rng(seed))
    places, radii = zip(*(path.at(time) for time in np.linspace(0, 1, 33)), strict=True)
    across, down = (places[-1] - places[0]).tolist()
    x, y = np.diff(places, axis=0).T
    turn = float((x[:-1] * y[1:] - y[:-1] * x[1:]).sum())
    signs = {
        "left": -across - abs(down),
        "right": across - abs(down),
        "up": -down - abs(across),
        "down": down - abs(across),
        "grow": radii[-1] - 1.5 * radii[0],
        "shrink": radii[0] - 1.5 * radii[-1],
        "clockwise": turn,
        "anticlockwise": -turn,
    }
    assert signs[motion] > 0
    assert (np.abs(places) + 1.15 * np.array(radii)[:, None]).max() < 0.5


def test_conditions_change_one_thing_each() -> None:
    """Bright is brighter, textured is blotchier, small is half as wide, in the same event."""
    plain, bright, textured, small = (
        pictures(clip(conditions), times=(0.5,))[0]
        for conditions in (PLAIN, BRIGHT, TEXTURED, SMALL)
    )
    assert bright.mean() > plain.mean() + 40
    behind = ~orange(plain)
    assert textured[behind].std() > plain[behind].std() + 5
    assert 0.15 < orange(small).sum() / orange(plain).sum() < 0.35
    assert len({conditions.name for conditions in ONE_AT_A_TIME}) == len(ONE_AT_A_TIME)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_stands_out_from_its_background(colour: str) -> None:
    """The base of the background keeps its distance from the shape's colour, dark or bright."""
    for conditions in (PLAIN, BRIGHT, EVERYTHING):
        for seed in range(10):
            random = np.random.default_rng(seed)
            shade = np.array(other_renderer._shade(colour, random), float)
            base = other_renderer._base(conditions.level, shade, random)
            assert np.linalg.norm(base - shade) >= LEAST_CONTRAST


def test_a_gallery_holds_near_misses_of_every_factor() -> None:
    """Of 100 combinations, each has others that differ in colour, shape or direction alone."""
    subjects = with_near_misses(np.random.default_rng(3))
    assert len(set(subjects)) == len(subjects) == 100
    for subject in subjects:
        assert subject.opposite in subjects
        alike = [(one.shape, one.motion) for one in subjects if one.colour == subject.colour]
        assert {shape for shape, motion in alike if motion == subject.motion} == set(SHAPES)
        colours = {
            one.colour
            for one in subjects
            if (one.shape, one.motion) == (subject.shape, subject.motion)
        }
        assert len(colours) == 5
