"""Clip loader: decodes the clips of a list a few ahead, and sets broken ones aside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xclip.errors import VideoError
from xclip.evaluation.errors import EvaluationError
from xclip.training.readers.clips import AnnotatedClip

ClipInterval = tuple[Path, float, float | None]


def interval_of(clip: AnnotatedClip) -> ClipInterval:
    """The file and the seconds that a clip covers; annotations that share them differ in text."""
    return clip.path, clip.start or 0.0, clip.end


class ClipViews(Protocol):
    """Turns a clip into what a model takes, as `Viewing` does."""

    def views_of(self, clip: AnnotatedClip) -> NDArray[np.uint8]:
        """uint8 RGB, shape = (V, T, S, S, 3). Raises OSError and the leaves of VideoError."""
        ...


@dataclass(frozen=True, slots=True)
class BrokenClip:
    """A clip that could not be decoded, and why."""

    clip: AnnotatedClip
    reason: str


@dataclass(slots=True)
class Footage:
    """The distinct clips of a list.

    at_once : clips that are decoded at the same time
    broken : what could not be decoded so far
    """

    annotated: Sequence[AnnotatedClip]
    viewing: ClipViews
    at_once: int = 2
    broken: list[BrokenClip] = field(default_factory=list)

    @property
    def clips(self) -> list[AnnotatedClip]:
        """One annotation of each distinct clip, the first, in the order of the list."""
        first: dict[ClipInterval, AnnotatedClip] = {}
        for clip in self.annotated:
            first.setdefault(interval_of(clip), clip)
        return list(first.values())

    def views(self) -> Iterator[tuple[AnnotatedClip, NDArray[np.uint8]]]:
        """Each clip that can be decoded with its views, uint8 of shape (V, T, S, S, 3).

        Raises EvaluationError at the end if there was none.
        """
        clips, seen = self.clips, 0
        for clip, decoded in self._decoded(clips):
            try:
                views = decoded.result()
            except VideoError as error:
                self.broken.append(BrokenClip(clip, str(error)))
            except OSError as error:
                self.broken.append(BrokenClip(clip, error.strerror or str(error)))
            else:
                seen += 1
                yield clip, views
        if not seen:
            raise EvaluationError(
                f"none of the {len(clips)} clips could be decoded; "
                f"the first, {self.broken[0].clip.path}, failed: {self.broken[0].reason}"
            )

    def _decoded(
        self, clips: Sequence[AnnotatedClip]
    ) -> Iterator[tuple[AnnotatedClip, Future[NDArray[np.uint8]]]]:
        """Clips in order, each being decoded while those before it are used."""
        ahead: deque[tuple[AnnotatedClip, Future[NDArray[np.uint8]]]] = deque()
        with ThreadPoolExecutor(self.at_once) as decoders:
            for clip in clips:
                ahead.append((clip, decoders.submit(self.viewing.views_of, clip)))
                if len(ahead) > self.at_once:
                    yield ahead.popleft()
            yield from ahead
