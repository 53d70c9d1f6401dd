"""Validation: measures the weights during training on clips apart, and keeps the best checkpoint.

Measured is what would be served: the weights are saved, loaded as the service loads them, and
judged by the code of `evaluate`, with labels by top-1 and with captions by R@1 of the exact score.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.evaluation.classification import classify_footage
from xclip.evaluation.clip_loader import Footage, interval_of
from xclip.evaluation.errors import EvaluationError
from xclip.evaluation.retrieval import retrieval_lines, score_retrieval
from xclip.evaluation.views import Viewing
from xclip.training.config import TrainingConfig, ValidationConfig
from xclip.training.errors import TrainingError
from xclip.training.event_file import EventFile
from xclip.training.frame_cache import FrameCache
from xclip.training.log import EVENTS
from xclip.training.readers import read_annotations
from xclip.training.readers.clips import AnnotatedClip
from xclip.training.samples import Samples

BEST, VALIDATION_FILE = "best", "validation.csv"
_CANDIDATE = ".candidate"


@dataclass(frozen=True, slots=True)
class ValidationFigure:
    """The figure of the weights after a step: `top_1` or `r1`, a share of the validation clips."""

    step: int
    name: str
    figure: float


class Validation:
    """The validation clips of a run and what was measured on them; in one process only.

    measured : in the order of the steps, those of earlier parts of the run included
    """

    def __init__(
        self, config: TrainingConfig, validating: ValidationConfig, samples: Samples, device: str
    ) -> None:
        self._config, self._validating, self._device = config, validating, device
        self._labels = list(samples.labels)
        self._name = "top_1" if config.objective.kind == "labels" else "r1"
        self._clips = _validation_clips(config, validating, samples)
        self._cache = FrameCache(config.run.cache_mib << 20)
        self._file = config.run.output / VALIDATION_FILE
        self._events = EventFile(config.run.output / EVENTS / "validation")
        self.measured: list[ValidationFigure] = []

    @property
    def best(self) -> ValidationFigure | None:
        """The first of the highest figures."""
        return max(self.measured, key=lambda one: one.figure, default=None)

    def resume(self, done: int) -> None:
        """Go on after `done` steps: what was measured later will be measured again."""
        if self._file.exists():
            with self._file.open(encoding="utf-8", newline="") as lines:
                rows = [row for row in list(csv.reader(lines))[1:] if len(row) == 2]
            found = [
                ValidationFigure(int(step), self._name, float(figure)) for step, figure in rows
            ]
            self.measured = [one for one in found if one.step <= done]
        self._write()

    def is_due(self, step: int) -> bool:
        """Whether the weights after this step, counted from 1, are to be measured."""
        return step % self._validating.every == 0 or step == self._config.run.steps

    def measure(self, step: int, save: Callable[[Path], None]) -> ValidationFigure:
        """Measure the weights that `save` writes into a folder, and keep them if they are best.

        Raises TrainingError where no validation clip can be decoded.
        """
        output = self._config.run.output
        candidate = output / _CANDIDATE
        shutil.rmtree(candidate, ignore_errors=True)
        save(candidate)
        before = self.best
        try:
            figure = self._figure(load_encoder(str(candidate), device=self._device))
        except EvaluationError as error:
            raise TrainingError(f"validation: {error}") from error
        found = ValidationFigure(step, self._name, figure)
        if before is None or figure > before.figure:
            shutil.rmtree(output / BEST, ignore_errors=True)
            candidate.rename(output / BEST)
        else:
            shutil.rmtree(candidate)
        self.measured.append(found)
        self._events.add(step, {self._name: figure})
        self._write()
        return found

    def _figure(self, encoder: Encoder) -> float:
        viewing = Viewing(
            encoder.num_frames, encoder.geometry, wall_clock_s=self._config.run.decode_s
        )
        footage = Footage(self._clips, _CachedViews(viewing, self._cache), self._config.run.workers)
        if self._name == "top_1":
            return classify_footage(encoder, footage, self._labels, "{}", _ignore).top(1)
        lines = retrieval_lines(score_retrieval(encoder, footage, (), _ignore))
        return next(
            line.figures.r1
            for line in lines
            if (line.method, line.direction) == ("exact", "text→video")
        )

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("w", encoding="utf-8", newline="") as lines:
            rows = csv.writer(lines)
            rows.writerow(("step", self._name))
            rows.writerows((one.step, f"{one.figure:.6g}") for one in self.measured)


@dataclass(frozen=True, slots=True)
class _CachedViews:
    """The views of clips, decoded once as far as the cache has room."""

    viewing: Viewing
    cache: FrameCache

    def views_of(self, clip: AnnotatedClip) -> NDArray[np.uint8]:
        return self.cache.get(interval_of(clip), lambda: self.viewing.views_of(clip))


def _ignore(clip: AnnotatedClip) -> None:
    """What is called with each clip that is done."""


def _validation_clips(
    config: TrainingConfig, validating: ValidationConfig, samples: Samples
) -> Sequence[AnnotatedClip]:
    """The clips apart. Raises TrainingError for those that are trained on, and unknown labels."""
    data = config.data
    annotations = validating.annotations or data.annotations
    clips = read_annotations(data.kind, annotations, data.videos, validating.split).clips
    trained = {(sample.path, sample.start or 0.0, sample.end) for sample in samples.drawn}
    both = {interval for clip in clips if (interval := interval_of(clip)) in trained}
    if both:
        raise TrainingError(
            f"{len(both)} clips of the validation split {validating.split!r} in {annotations} are "
            f"also trained on, the first is {min(both, key=str)[0]}; a figure on them says nothing"
        )
    unknown = sorted({clip.text for clip in clips} - set(samples.labels))
    if config.objective.kind == "labels" and unknown:
        raise TrainingError(
            f"{len(unknown)} labels of the validation split are not among those that are trained, "
            f"the first is {unknown[0]!r}"
        )
    return clips
