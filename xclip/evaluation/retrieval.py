"""Retrieval: text→video and video→text over captioned clips, scored in three ways.

plain      cosine of the text and the video as they are encoded, what an index of vectors can do
exact      X-CLIP's own score: each text is conditioned on each video before they are compared
querybank  the exact score after querybank normalisation (Bogolin et al., CVPR 2022)

Every line of the list is a query of its own, and only the clip on its line is right, as published
code counts; a clip with several captions is found by the best of them.

N texts, N0 bank texts, B clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip.confidence.calibration import log_sum_exp
from xclip.encoder import Encoder
from xclip.evaluation.clip_loader import Footage, interval_of
from xclip.evaluation.metrics import Floats, RankFigures, Ties, best_ranks
from xclip.training.readers.clips import AnnotatedClip

BETA = 20.0  # of the publication, for cosines
_CLIPS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """What N texts score on B clips; cosines, so that the ways compare.

    annotated : the lines of the list whose clip could be decoded
    plain, exact : float32, shape = (N, B)
    bank : float32, shape = (N0, B), exact
    relevant : bool, shape = (N, B)
    """

    annotated: tuple[AnnotatedClip, ...]
    plain: NDArray[np.float32]
    exact: NDArray[np.float32]
    bank: NDArray[np.float32]
    relevant: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RetrievalLine:
    """The figures of one way to score in one direction.

    ranks : what they are computed from, counted from 0; float64, shape = (queries,)
    """

    method: str
    direction: str
    figures: RankFigures
    ranks: Floats


def score_retrieval(
    encoder: Encoder,
    footage: Footage,
    bank: Sequence[str],
    seen: Callable[[AnnotatedClip], None],
) -> RetrievalScores:
    """Encode and score all clips of a footage with one view each.

    bank : texts for querybank normalisation; those that are captions of the list too are left out
    seen : called with each clip that is done

    Only a clip's scores are kept. Raises EvaluationError where no clip can be decoded.
    """
    captions = [clip.text for clip in footage.annotated]
    queries = set(captions)
    others = [text for text in bank if text not in queries]
    features = encoder.encode_text(captions + others)  # (N + N0, D)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    clips: list[AnnotatedClip] = []
    plain: list[NDArray[np.float32]] = []
    exact: list[NDArray[np.float32]] = []
    waiting: list[NDArray[np.uint8]] = []

    def score_waiting() -> None:
        stored = encoder.encode_video(np.concatenate(waiting))
        plain.append(stored.embedding @ directions.T)
        exact.append(encoder.score(features, stored) / encoder.logit_scale)
        waiting.clear()

    for clip, views in footage.views():
        clips.append(clip)
        waiting.append(views)
        if len(waiting) == _CLIPS_AT_ONCE:
            score_waiting()
        seen(clip)
    if waiting:
        score_waiting()
    return _of_decoded(footage.annotated, clips, np.concatenate(plain).T, np.concatenate(exact).T)


def _of_decoded(
    annotated: Sequence[AnnotatedClip],
    clips: Sequence[AnnotatedClip],
    plain: NDArray[np.float32],
    exact: NDArray[np.float32],
) -> RetrievalScores:
    """Leave out the texts whose clip is broken. plain, exact : shape = (N + N0, B)"""
    column = {interval_of(clip): number for number, clip in enumerate(clips)}
    rows = [row for row, clip in enumerate(annotated) if interval_of(clip) in column]
    kept = tuple(annotated[row] for row in rows)
    relevant = np.zeros((len(kept), len(clips)), np.bool_)
    relevant[np.arange(len(kept)), [column[interval_of(clip)] for clip in kept]] = True
    return RetrievalScores(kept, plain[rows], exact[rows], exact[len(annotated) :], relevant)


def retrieval_lines(
    scores: RetrievalScores, ties: Ties = "average", beta: float = BETA
) -> list[RetrievalLine]:
    """All figures; querybank normalisation text→video only, since its bank is of texts."""
    found = []
    for method, matrix in (("plain", scores.plain), ("exact", scores.exact)):
        ranks = best_ranks(matrix, scores.relevant, ties)
        found.append(RetrievalLine(method, "text→video", RankFigures.of(ranks), ranks))
        ranks = best_ranks(matrix.T, scores.relevant.T, ties)
        found.append(RetrievalLine(method, "video→text", RankFigures.of(ranks), ranks))
    if len(scores.bank):
        normalised = querybank_normalised(scores.exact, scores.bank, beta)
        ranks = best_ranks(normalised, scores.relevant, ties)
        found.append(RetrievalLine("querybank", "text→video", RankFigures.of(ranks), ranks))
    return found


def querybank_normalised(
    scores: NDArray[np.floating], bank: NDArray[np.floating], beta: float = BETA
) -> Floats:
    """The dynamic inverted softmax of the publication, as logarithms; float64, shape = (N, B).

    scores : cosines, shape = (N, B); bank : cosines, shape = (N0, B)

    Only texts whose best clip is also the best of some bank text are normalised; scores compare
    only within a row.
    """
    values = beta * scores.astype(np.float64)
    hubs = np.unique(bank.argmax(axis=1))
    drawn = np.isin(scores.argmax(axis=1), hubs)
    values[drawn] -= log_sum_exp(beta * bank.astype(np.float64).T)
    return values
