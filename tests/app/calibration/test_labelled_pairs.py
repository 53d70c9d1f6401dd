"""A file of pairs: what may be written in it, and which segments a pair means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.calibration.labelled_pairs import LabelledPair, locate, read_pairs
from app.calibration.stored_collection import CalibrationError, StoredCollection
from app.catalog.records import Segment
from tests.app.calibration.conftest import footage_in, put, refreshed
from tests.app.planted import random_videos
from xclip.encoder import Encoder


@pytest.fixture(scope="module")
def footage(
    encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoredCollection]:
    """Two videos of five windows each: 0 to 5 s, 2.5 to 7.5 s, … 10 to 15 s."""
    with footage_in(tmp_path_factory.mktemp("pairs"), encoder) as empty:
        for seed in range(2):
            put(empty, random_videos(encoder, 5, np.random.default_rng(seed)))
        yield refreshed(empty)


@pytest.fixture(scope="module")
def segments(footage: StoredCollection) -> list[Segment]:
    """Those of one of the videos."""
    return footage.catalog.list_segments("default", video_ids(footage)[0])


def video_ids(footage: StoredCollection) -> list[str]:
    return [video.id for video in footage.catalog.list_videos("default").items]


def places(
    footage: StoredCollection, segments: list[Segment], **fields: object
) -> tuple[list, list]:
    """Which windows of the video match the pair, and which show a part."""
    given = {"video_id": segments[0].video_id, **fields}
    pair = LabelledPair(
        text="red", **{name: value for name, value in given.items() if value is not None}
    )
    (shown,) = locate(footage.catalog, "default", [(1, pair)])
    found = [
        [place for place, one in enumerate(segments) if one.row in rows]
        for rows in (shown.matching, shown.partly)
    ]
    assert len(shown.matching | shown.partly) == sum(map(len, found))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("interval", "matching", "partly"),
    [
        ({}, [0, 1, 2, 3, 4], []),
        ({"start": 5.0, "end": 10.0}, [2], [1, 3]),
        ({"start": 4.9, "end": 10.0}, [1, 2], [0, 3]),
        ({"start": 0.0, "end": 7.5}, [0, 1], [2]),
        ({"start": 10}, [4], [3]),
        ({"end": 3}, [0], [1]),
        # An event shorter than a window: those that hold more than half of it.
        ({"start": 6.0, "end": 7.0}, [1, 2], []),
        ({"start": 4.0, "end": 5.5}, [0, 1], [2]),
    ],
)
def test_an_interval_means_the_windows_it_fills(footage, segments, interval, matching, partly):
    """More than half of a window, or more than half of the interval; the rest shows a part."""
    assert places(footage, segments, **interval) == (matching, partly)


def test_a_segment_means_itself(footage: StoredCollection, segments: list[Segment]):
    """Those it overlaps show a part of it."""
    assert places(footage, segments, video_id=None, segment_id=segments[2].id) == ([2], [1, 3])


def test_several_lines_of_a_text_add_up(footage: StoredCollection, segments: list[Segment]):
    """What matches one line is no part of another; the texts come in the order of the file."""
    other = video_ids(footage)[1]
    pairs = [
        LabelledPair(text="red", segment_id=segments[0].id),
        LabelledPair(text="blue", video_id=other),
        LabelledPair(text="red", segment_id=segments[1].id),
    ]
    red, blue = locate(footage.catalog, "default", enumerate(pairs, start=1))
    assert (red.text, blue.text) == ("red", "blue")
    assert red.matching == {segments[0].row, segments[1].row}
    assert red.partly == {segments[2].row}
    assert len(blue.matching) == 5


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ({"video_id": "vid_none"}, "line 7 of the pairs: no video 'vid_none'"),
        ({"segment_id": "seg_none"}, "line 7 of the pairs: no segment 'seg_none'"),
        ({"start": 100, "end": 200}, "line 7 of the pairs: no segment shows that interval"),
    ],
)
def test_what_is_not_there_is_said_with_its_line(footage, segments, pair, says):
    """A typing error must not become a missing match."""
    place = {"video_id": segments[0].video_id} if "start" in pair else {}
    with pytest.raises(CalibrationError, match=says):
        locate(footage.catalog, "default", [(7, LabelledPair(text="red", **place, **pair))])


def test_a_file_is_read_line_by_line(tmp_path: Path):
    """Empty lines are passed over but counted."""
    path = tmp_path / "pairs.jsonl"
    lines = [
        '{"text": "rouge", "video_id": "v", "start": 1}',
        "",
        '{"text": "é", "segment_id": "s"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_pairs(path) == [
        (1, LabelledPair(text="rouge", video_id="v", start=1.0)),
        (3, LabelledPair(text="é", segment_id="s")),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"], ids=ascii)
def test_only_a_line_feed_ends_a_line(tmp_path: Path, character: str, newline: str):
    """Other separators may stand in a JSON string as they are, and move no line number."""
    path = tmp_path / "pairs.jsonl"
    pair = json.dumps({"text": f"a{character}b", "video_id": "v"}, ensure_ascii=False)
    path.write_bytes(newline.join([pair, pair, ""]).encode())
    expected = LabelledPair(text=f"a{character}b", video_id="v")
    assert read_pairs(path) == [(1, expected), (2, expected)]


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ({"text": "red"}, "names a video_id or a segment_id"),
        ({"text": "red", "video_id": "v", "segment_id": "s"}, "and not both"),
        ({"text": "red", "segment_id": "s", "start": 1}, "go with a video_id"),
        ({"text": "red", "video_id": "v", "start": 2, "end": 2}, "end is not after start"),
        ({"text": "", "video_id": "v"}, "text: must have 1 characters or more"),
        ({"video_id": "v"}, "text: is missing"),
        ({"text": "red", "video": "v"}, "video: is not known here"),
        ({"text": "red", "video_id": "v", "end": "3"}, "end: .*number"),
        ({"text": "red", "video_id": "v", "end": float("inf")}, "end: .*finite"),
        (["red", "v"], "must be an object"),
    ],
)
def test_a_line_that_says_nothing_clear_is_refused(tmp_path: Path, pair: object, says: str):
    """With its number and the field."""
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"text": "ok", "video_id": "v"}\n' + json.dumps(pair))
    with pytest.raises(CalibrationError, match=rf"line 2 of .*pairs.jsonl.*{says}"):
        read_pairs(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"text": '])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes):
    """As is what is no text."""
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"no JSON|save it as UTF-8"):
        read_pairs(path)
