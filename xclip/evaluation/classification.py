"""Classification: top-1 and top-5 of clips with one label each, zero-shot or fine-tuned.

The two differ in the checkpoint and the list alone: in both the labels are texts that the model
scores. V views, L labels, B clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip.confidence.calibration import expected_calibration_error
from xclip.encoder import Encoder
from xclip.evaluation.clip_loader import ClipInterval, Footage, interval_of
from xclip.evaluation.errors import EvaluationError
from xclip.evaluation.metrics import (
    Floats,
    Ties,
    best_ranks,
    confusion,
    found_at,
    mean_class_accuracy,
)
from xclip.labels import first_alike, told_alike
from xclip.training.readers.clips import AnnotatedClip


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels that the model gave to B clips.

    labels : L texts; truth : int64, shape = (B,), which of them is right
    shares : float64, shape = (B, L), the softmax over the labels, averaged over the views
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    shares: Floats

    def top(self, k: int, ties: Ties = "average") -> float:
        """The share of clips whose label is among the first k; 1.0 where there are not more."""
        right = self.truth[:, None] == np.arange(len(self.labels))
        return found_at(best_ranks(self.shares, right, ties), k)

    @property
    def counts(self) -> Floats:
        """How many clips of each label were taken for which; shape = (L, L), truth in rows."""
        return confusion(self.truth, self.shares.argmax(axis=1), len(self.labels))

    @property
    def class_mean(self) -> float:
        """Top-1 averaged over the labels that occur."""
        return mean_class_accuracy(self.counts)

    @property
    def confidence(self) -> tuple[Floats, NDArray[np.bool_]]:
        """The share of each clip's first label, and whether it is right; both of shape (B,)."""
        return self.shares.max(axis=1), self.shares.argmax(axis=1) == self.truth

    @property
    def calibration_error(self) -> float:
        """How far the first label's share is from how often it is right, on average."""
        return expected_calibration_error(*self.confidence)


def classify_footage(
    encoder: Encoder,
    footage: Footage,
    labels: Sequence[str],
    template: str,
    seen: Callable[[AnnotatedClip], None],
) -> Classification:
    """Classify all clips of a footage over all their views.

    template : the text that the model reads, where the label replaces {}
    seen : called with each clip that is done

    Raises EvaluationError for a template without {}, a label twice or two that the model cannot
    tell apart, a clip whose label is unknown or that has two, and where no clip can be decoded.
    """
    index_of = _label_indices(footage.annotated, labels, template)
    texts = encoder.encode_text([template.replace("{}", label) for label in labels])
    if (alike := first_alike(texts)) is not None:
        raise EvaluationError(told_alike(labels, alike))
    truth: list[int] = []
    shares: list[Floats] = []
    for clip, views in footage.views():
        logits = encoder.score(texts, encoder.encode_video(views))  # (V, L)
        truth.append(index_of[clip.text])
        shares.append(mean_softmax(logits))
        seen(clip)
    return Classification(tuple(labels), np.array(truth, np.int64), np.stack(shares))


def mean_softmax(logits: NDArray[np.float32]) -> Floats:
    """The published fusion of views: their softmax added up, here divided by V; (V, L) -> (L,)."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).mean(axis=0))


def labels_of(clips: Sequence[AnnotatedClip]) -> list[str]:
    """The labels of a list, each once, in alphabetical order."""
    return sorted({clip.text for clip in clips})


def _label_indices(
    clips: Sequence[AnnotatedClip], labels: Sequence[str], template: str
) -> dict[str, int]:
    """The index of each label, once the arguments have been checked."""
    if "{}" not in template:
        raise EvaluationError(f"the template {template!r} has no {{}} for the label")
    index_of = {label: index for index, label in enumerate(labels)}
    if len(index_of) != len(labels):
        raise EvaluationError("a label occurs twice")
    unknown = sorted({clip.text for clip in clips} - index_of.keys())
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} labels of the list are unknown, the first is {unknown[0]!r}"
        )
    said: dict[ClipInterval, str] = {}
    for clip in clips:
        first = said.setdefault(interval_of(clip), clip.text)
        if first != clip.text:
            raise EvaluationError(f"{clip.path} has two labels: {first!r} and {clip.text!r}")
    return index_of
