"""Labelled pairs: texts, and the segments or intervals of the collection that show each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.calibration.stored_collection import CalibrationError
from app.catalog import Catalog
from app.catalog.errors import NotFound
from app.catalog.records import Segment
from app.validation_words import reason
from xclip.errors import TextFileError
from xclip.text_file import read_lines


class LabelledPair(BaseModel):
    """One line of a file of pairs: a text, and a segment or interval of a video that shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    text: str = Field(min_length=1)
    segment_id: str | None = None
    video_id: str | None = None
    start: float = 0.0
    end: float | None = None

    @model_validator(mode="after")
    def _names_one_interval(self) -> LabelledPair:
        if (self.segment_id is None) == (self.video_id is None):
            raise ValueError("it names a video_id or a segment_id, and not both")
        if self.segment_id is not None and self.model_fields_set & {"start", "end"}:
            raise ValueError("start and end go with a video_id")
        if self.end is not None and self.end <= self.start:
            raise ValueError("end is not after start")
        return self


@dataclass(frozen=True, slots=True)
class RankedPair:
    """A text with the rows of the segments that show it, and of those that show it partly."""

    text: str
    matching: frozenset[int]
    partly: frozenset[int]


def read_pairs(path: Path) -> list[tuple[int, LabelledPair]]:
    """The pairs of a JSONL file with their line numbers. Raises CalibrationError, OSError."""
    found = []
    try:
        lines = read_lines(path)
    except TextFileError as error:
        raise CalibrationError(str(error)) from None
    for number, line in lines:
        try:
            found.append((number, LabelledPair.model_validate(json.loads(line))))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the pair"
            raise CalibrationError(f"line {number} of {path}: {where}: {reason(problem)}") from None
        except ValueError as error:
            raise CalibrationError(f"line {number} of {path} is no JSON: {error}") from None
    return found


def locate(
    catalog: Catalog, collection: str, pairs: Iterable[tuple[int, LabelledPair]]
) -> list[RankedPair]:
    """Each text once, with the rows of all its pairs. Raises CalibrationError."""
    segments_of = cache(lambda video_id: catalog.list_segments(collection, video_id))
    matching: dict[str, set[int]] = {}
    touched: dict[str, set[int]] = {}
    for number, pair in pairs:
        try:
            if pair.segment_id is None:
                interval = (pair.start, math.inf if pair.end is None else pair.end)
                segments = segments_of(pair.video_id)
                showing = {one.row for one in segments if _shows(one, *interval)}
            else:
                named = catalog.segments_by_ids(collection, [pair.segment_id])[0].segment
                interval = (named.start_s, named.end_s)
                segments = segments_of(named.video_id)
                showing = {named.row}
        except NotFound as error:
            raise CalibrationError(f"line {number} of the pairs: {error}") from None
        if not showing:
            raise CalibrationError(f"line {number} of the pairs: no segment shows that interval")
        matching.setdefault(pair.text, set()).update(showing)
        overlapping = {one.row for one in segments if _common_s(one, *interval) > 0}
        touched.setdefault(pair.text, set()).update(overlapping)
    return [
        RankedPair(text, frozenset(rows), frozenset(touched[text] - rows))
        for text, rows in matching.items()
    ]


def _shows(segment: Segment, start: float, end: float) -> bool:
    """Whether more than half of the segment lies in the interval, or of the interval in it."""
    shorter = min(segment.end_s - segment.start_s, end - start)
    return _common_s(segment, start, end) > shorter / 2


def _common_s(segment: Segment, start: float, end: float) -> float:
    return min(segment.end_s, end) - max(segment.start_s, start)
