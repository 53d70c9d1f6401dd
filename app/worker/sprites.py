"""Sprite sheet: small pictures of a video in one file, for previews along a scrubber."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image

from app.catalog.records import NewSegment
from app.storage.media_store import MediaStore, thumbnail_key

TILE_HEIGHT = 90
MOST_TILES = 100
COLUMNS = 10
QUALITY = 70


def write_sprites(media: MediaStore, video_id: str, segments: Sequence[NewSegment]) -> None:
    """Make a video's sheet, and the WebVTT that says where on it each moment is.

    segments : all of the video's, in order of time, their pictures written before

    A tile is a segment's picture, at most `MOST_TILES` of them evenly spread, each from its
    segment's middle, half way to the tile before, to half way to the next.
    """
    step = -(-len(segments) // MOST_TILES)
    chosen = segments[step // 2 :: step]
    tiles = [_tile(media, video_id, segment) for segment in chosen]
    width = max(tile.width for tile in tiles)
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width, rows * TILE_HEIGHT))
    corners = [
        (number % columns * width, number // columns * TILE_HEIGHT) for number in range(len(tiles))
    ]
    for tile, corner in zip(tiles, corners, strict=True):
        sheet.paste(tile, corner)
    stream = io.BytesIO()
    sheet.save(stream, format="WEBP", quality=QUALITY)
    boxes = [
        f"{x},{y},{tile.width},{tile.height}" for (x, y), tile in zip(corners, tiles, strict=True)
    ]
    media.write_sprites(video_id, stream.getvalue(), _index(chosen, segments[-1].end_s, boxes))


def _tile(media: MediaStore, video_id: str, segment: NewSegment) -> Image.Image:
    """The segment's picture, smaller; read back, for a long video's are too many to be held."""
    webp = media.objects.read(thumbnail_key(video_id, segment.position))
    with Image.open(io.BytesIO(webp), formats=["WEBP"]) as picture:
        scale = min(1.0, TILE_HEIGHT / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _index(chosen: Sequence[NewSegment], end_s: float, boxes: Sequence[str]) -> str:
    """WebVTT whose cues name a part of the sheet, which lies beside it."""
    middles = [(segment.start_s + segment.end_s) / 2 for segment in chosen]
    edges = [0.0, *((one + other) / 2 for one, other in pairwise(middles)), end_s]
    cues = [
        f"{_clock(start)} --> {_clock(end)}\nsprite#xywh={box}\n"
        for (start, end), box in zip(pairwise(edges), boxes, strict=True)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
