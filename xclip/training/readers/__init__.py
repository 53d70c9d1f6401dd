"""Dataset readers: annotations of known data sets as clips with times and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xclip.errors import TextFileError
from xclip.training.errors import TrainingError
from xclip.training.readers.clips import AnnotatedClip
from xclip.training.readers.dense import read_activitynet, read_msrvtt
from xclip.training.readers.kinetics import read_kinetics
from xclip.training.readers.moments import read_charades_sta, read_qvhighlights
from xclip.training.readers.numbered import read_list
from xclip.training.readers.rows import LeftOut, Row, RowError, clip_of
from xclip.training.readers.split_names import Splits
from xclip.training.readers.splits import read_hmdb51, read_ucf101
from xclip.training.readers.table import read_table

Kind = Literal[
    "table",
    "list",
    "kinetics",
    "hmdb51",
    "ucf101",
    "msrvtt",
    "activitynet",
    "charades-sta",
    "qvhighlights",
]

# annotations, folder of videos, the wanted split -> rows, unchecked
READERS: dict[Kind, Callable[[Path, Path, Splits], Iterable[Row | LeftOut]]] = {
    "table": read_table,
    "list": read_list,
    "kinetics": read_kinetics,
    "hmdb51": read_hmdb51,
    "ucf101": read_ucf101,
    "msrvtt": read_msrvtt,
    "activitynet": read_activitynet,
    "charades-sta": read_charades_sta,
    "qvhighlights": read_qvhighlights,
}

_NAMED = 3  # rows in a message


@dataclass(frozen=True, slots=True)
class Annotations:
    """The clips of a split, in the order of the annotations, and the rows that gave none."""

    clips: list[AnnotatedClip]
    left_out: tuple[LeftOut, ...]


def read_annotations(kind: Kind, annotations: Path, videos: Path, split: str) -> Annotations:
    """All clips of a split; files are not looked at.

    Raises TrainingError where the annotations are missing, not of that kind, or without a row of
    that split that can be used.
    """
    if annotations.exists() and not annotations.is_file() and not annotations.is_dir():
        raise TrainingError(
            f"{annotations} is a pipe or a device, which can be read only once: write it to a file"
        )
    splits = Splits(split)
    clips: list[AnnotatedClip] = []
    left_out: list[LeftOut] = []
    try:
        for row in READERS[kind](annotations, videos, splits):
            if isinstance(row, LeftOut):
                left_out.append(row)
                continue
            try:
                clips.append(clip_of(row))
            except RowError as error:
                left_out.append(LeftOut(row.where, str(error)))
    except (TrainingError, TextFileError) as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(
            f"{error.filename or annotations} cannot be read: {error.strerror or error}"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise TrainingError(
            f"{annotations} holds no annotations of kind {kind}: {type(error).__name__}: {error}"
        ) from error
    if not clips:
        raise TrainingError(f"{annotations} {_nothing(splits, left_out)}")
    return Annotations(clips, tuple(left_out))


def read_clips(kind: Kind, annotations: Path, videos: Path, split: str) -> list[AnnotatedClip]:
    """The clips alone of `read_annotations`."""
    return read_annotations(kind, annotations, videos, split).clips


def _nothing(splits: Splits, left_out: list[LeftOut]) -> str:
    if left_out:
        more = f"; and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        told = "; ".join(str(row) for row in left_out[:_NAMED])
        return f"holds no row that can be used: {told}{more}"
    if splits.seen:
        return f"holds no clip of the split {splits.wanted!r}; its splits are {splits.known}"
    return "holds no clip"
