"""Dataset readers: annotations of known data sets as clips with times and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import AnnotatedClip
from xclip.training.readers.dense import read_activitynet, read_msrvtt
from xclip.training.readers.kinetics import read_kinetics
from xclip.training.readers.splits import read_hmdb51, read_ucf101
from xclip.training.readers.table import read_table

# annotations, folder of videos, name of the split -> clips
READERS: dict[str, Callable[[Path, Path, str], Iterable[AnnotatedClip]]] = {
    "table": read_table,
    "kinetics": read_kinetics,
    "hmdb51": read_hmdb51,
    "ucf101": read_ucf101,
    "msrvtt": read_msrvtt,
    "activitynet": read_activitynet,
}


def read_clips(kind: str, annotations: Path, videos: Path, split: str) -> list[AnnotatedClip]:
    """All clips of a split, in the order of the annotations; files are not looked at.

    Raises TrainingError where the annotations are missing, not of that kind, or empty.
    """
    try:
        clips = list(READERS[kind](annotations, videos, split))
    except TrainingError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise TrainingError(
            f"{annotations} holds no annotations of kind {kind}: {type(error).__name__}: {error}"
        ) from error
    if not clips:
        raise TrainingError(f"{annotations} holds no clip of the split {split!r}")
    return clips
