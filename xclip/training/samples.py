"""Samples: annotations grouped into intervals of video with all their texts or labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xclip.training.config import DataConfig
from xclip.training.errors import TrainingError
from xclip.training.readers import read_annotations
from xclip.training.readers.clips import AnnotatedClip, is_file
from xclip.training.readers.rows import LeftOut


@dataclass(frozen=True, slots=True)
class Sample:
    """An interval of a video and everything it is called; one of the texts is drawn each time."""

    path: Path
    start: float | None
    end: float | None
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a run draws from.

    labels : the different texts, sorted; a label's number is its index here
    missing : files that annotations name and that are not there
    left_out : rows of the annotations that no sample was made of
    """

    drawn: tuple[Sample, ...]
    labels: tuple[str, ...]
    missing: tuple[Path, ...]
    left_out: tuple[LeftOut, ...] = ()


def collect(config: DataConfig, seed: int) -> Samples:
    """Read the annotations, leave out what is missing, and draw the shots if few are wanted.

    Labels are those of all annotations, also of missing files: a label keeps its number.

    Raises TrainingError where no clip is left, or a label has fewer clips than shots.
    """
    found = read_annotations(config.kind, config.annotations, config.videos, config.split)
    clips = found.clips
    present = {path: is_file(path) for path in dict.fromkeys(clip.path for clip in clips)}
    samples = group(clip for clip in clips if present[clip.path])
    if not samples:
        raise TrainingError(f"none of the {len(present)} annotated files is in {config.videos}")
    if config.shots is not None:
        samples = few_shot(samples, config.shots, seed)
    missing = tuple(path for path, there in present.items() if not there)
    labels = tuple(sorted({clip.text for clip in clips}))
    return Samples(tuple(samples), labels, missing, found.left_out)


def group(clips: Iterable[AnnotatedClip]) -> list[Sample]:
    """Join the texts of the same interval, so that no batch holds it twice."""
    texts: defaultdict[tuple[Path, float | None, float | None], list[str]] = defaultdict(list)
    for clip in clips:
        texts[clip.path, clip.start, clip.end].append(clip.text)
    return [Sample(*interval, tuple(said)) for interval, said in texts.items()]


def few_shot(samples: Sequence[Sample], shots: int, seed: int) -> list[Sample]:
    """Draw `shots` samples of each label; the same seed draws the same."""
    by_label: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_label[sample.texts[0]].append(sample)
    random = np.random.default_rng([seed, shots])
    chosen = []
    for label, candidates in sorted(by_label.items()):
        if len(candidates) < shots:
            raise TrainingError(f"{label!r} has {len(candidates)} clips, fewer than {shots} shots")
        drawn = sorted(random.permutation(len(candidates))[:shots])
        chosen += [candidates[index] for index in drawn]
    return chosen
