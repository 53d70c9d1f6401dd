"""Sprite sheets: one file of small pictures, and a WebVTT that says which shows what."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, Stack, assert_problem
from tests.app.stored_files import sprite_files

CUE = re.compile(r"(\S+) --> (\S+)\nsprite#xywh=(\d+),(\d+),(\d+),(\d+)\n")


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_every_moment_has_its_tile_on_the_sheet(library: Stack):
    """Cues follow each other from 0 to the end, and each tile is the picture of its moment."""
    video = library.api.get(VIDEOS, params={"limit": 1}).json()["items"][0]
    base = f"{VIDEOS}/{video['id']}"
    index, sheet = library.api.get(f"{base}/sprite.vtt"), library.api.get(f"{base}/sprite")
    assert index.headers["content-type"].startswith("text/vtt")
    assert sheet.headers["content-type"] == "image/webp"
    assert index.text.startswith("WEBVTT\n\n")
    cues = CUE.findall(index.text)
    assert len(cues) == 7
    edges = [seconds(start) for start, *_ in cues] + [seconds(cues[-1][1])]
    assert (edges[0], edges[-1]) == (0.0, video["duration_s"])
    assert [seconds(end) for _, end, *_ in cues] == edges[1:]
    with Image.open(io.BytesIO(sheet.content)) as picture:
        for start, end, *box in cues:
            left, top, width, height = map(int, box)
            tile = np.asarray(picture.crop((left, top, left + width, top + height)), float)
            moment = (seconds(start) + seconds(end)) / 2
            shown = library.api.get(f"{base}/thumbnail?t={moment}").content
            with Image.open(io.BytesIO(shown)) as thumbnail:
                small = np.asarray(thumbnail.convert("RGB").resize((width, height)), float)
            assert np.abs(tile - small).mean() < 6


def test_a_long_videos_tiles_are_spread_evenly(stack: Stack, make_clip: MakeClip):
    """At most a hundred, however many segments there are."""
    stack.api.put("/v1/collections/fine", json={"window_s": 0.1, "stride_s": 0.1})
    url = "/v1/collections/fine/videos"
    video = stack.ingest(make_clip(seconds=10.5), url)
    cues = CUE.findall(stack.api.get(f"{url}/{video['id']}/sprite.vtt").text)
    assert 50 <= len(cues) <= 100
    lengths = [seconds(end) - seconds(start) for start, end, *_ in cues]
    assert max(lengths[1:-1]) - min(lengths[1:-1]) < 0.003
    sheet = stack.api.get(f"{url}/{video['id']}/sprite").content
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.width == 10 * 64
    assert len(sheet) < 100_000


def test_there_is_no_sheet_before_the_ingest_nor_after_the_deletion(
    stack: Stack, make_clip: MakeClip
):
    """404 with the code of pictures; a deletion takes it along."""
    video = stack.upload(make_clip(seconds=1))["video"]
    url = f"{VIDEOS}/{video['id']}"
    for path in ("sprite", "sprite.vtt"):
        assert_problem(stack.api.get(f"{url}/{path}"), 404, "thumbnail_not_found")
    while stack.puller.run_one():
        pass
    files = sprite_files(stack.media, video["id"])
    assert all(path.is_file() for path in files)
    assert stack.api.delete(url).status_code == 204
    assert not any(path.exists() for path in files)
