"""Rerank: the second stage of a search scores what the index recalled, exactly.

K segments, S texts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.catalog import Catalog
from app.catalog.records import Collection, SegmentOfVideo
from app.model_api.client import WorkerClient
from app.model_api.messages import MAX_SCORES, ConfidenceKind, ConfidenceRequest, Scores
from app.services.search.query import COSINE, Moment, RankedSegment, SequenceQuery, TextQuery
from app.services.search.sequences import Chain, chains, followers
from app.services.vectors.damage import Damage
from app.services.vectors.port import Recall
from index import Ids
from xclip.confidence.calibration import share_among, sigmoid

# A chain needs every window of a video, however many there are. No more than this many windows of
# the candidates' videos are scored, the most promising videos first.
MAX_SEQUENCE_SEGMENTS = 5_000
MAX_CHAINS = 200  # of one video: each takes a pass over its windows


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was scored, best first. Chains are moments already, segments still have to be arranged.

    scored : number of segments; complete : no recalled segment was deleted meanwhile
    damaged : number of further segments whose tensors cannot be read
    """

    kind: str
    segments: list[RankedSegment] = field(default_factory=list)
    chains: list[Moment] = field(default_factory=list)
    scored: int = 0
    complete: bool = True
    confidence_kind: ConfidenceKind | None = None
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """The segments that could be read, in the order given, and their scores.

    damaged : how many could not be read; gone : how many were deleted meanwhile
    """

    found: Sequence[SegmentOfVideo]
    scores: Scores
    damaged: int
    gone: int


class Reranker:
    """Has the worker score segments exactly, and leaves out what was deleted meanwhile."""

    def __init__(self, catalog: Catalog, worker: WorkerClient, damage: Damage) -> None:
        self._catalog = catalog
        self._worker = worker
        self._damage = damage

    def by_text(
        self, collection: Collection, probe: TextQuery, recall: Recall, score_kind: str
    ) -> Ranking:
        """Recalled segments by their logit for the text.

        A negative text N lowers the logit of the text T by -log P(T | T or N): by nothing where T
        fits far better, by the whole difference where N does.
        """
        kind = score_kind if probe.negative is None else f"{score_kind}_contrast"
        found = self._catalog.segments_by_rows(recall.rows.tolist())
        complete = len(found) == len(recall.rows)
        if not found or collection.fingerprint is None:
            return Ranking(kind, complete=complete)
        texts = [probe.text] if probe.negative is None else [probe.text, probe.negative]
        scored = self.score(collection, texts, found, recall.eligible)
        scores = scored.scores
        logits = scores.logits[:, 0].astype(np.float64)
        confidence = None if scores.confidence is None else scores.confidence[:, 0]
        if probe.negative is not None:
            lead = logits - scores.logits[:, 1]
            logits = logits - np.logaddexp(0, -lead)
            confidence = None if confidence is None else confidence * sigmoid(lead)
        return Ranking(
            kind,
            _ranked(scored.found, logits, confidence),
            scored=len(scored.found),
            complete=complete and not scored.gone,
            confidence_kind=scores.confidence_kind,
            damaged=scored.damaged,
        )

    def by_similarity(self, recall: Recall) -> Ranking:
        """Recalled segments by the cosine that the index computed."""
        found = self._catalog.segments_by_rows(recall.rows.tolist())
        cosine = dict(zip(recall.rows.tolist(), recall.scores.tolist(), strict=True))
        scores = np.array([cosine[item.segment.row] for item in found], dtype=np.float64)
        ranked = _ranked(found, scores, None)
        return Ranking(COSINE, ranked, [], len(found), len(found) == len(recall.rows))

    def by_sequence(
        self,
        collection: Collection,
        probe: SequenceQuery,
        recalls: Sequence[Recall],
        allowed: Ids | None,
        score_kind: str,
    ) -> Ranking:
        """The chains of the recalled segments' videos that do not overlap."""
        kind = f"{score_kind}_sequence"
        found: Sequence[SegmentOfVideo] = self._of_promising_videos(collection, recalls, allowed)
        if not found or collection.fingerprint is None:
            return Ranking(kind)
        scored = self.score(collection, probe.texts, found, recalls[0].eligible)
        found, scores = scored.found, scored.scores
        by_video: defaultdict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(found):
            by_video[item.video.id].append(index)
        eligible = recalls[0].eligible
        ranked = sorted(
            (
                moment
                for some in by_video.values()
                for moment in _sequences(probe, found, scores, some, eligible)
            ),
            key=lambda one: rank_key(one.best),
        )
        return Ranking(
            kind,
            chains=ranked,
            scored=len(found),
            confidence_kind=scores.confidence_kind,
            damaged=scored.damaged,
        )

    def score(
        self,
        collection: Collection,
        texts: Sequence[str],
        found: Sequence[SegmentOfVideo],
        eligible: int,
    ) -> Scored:
        """Logits and confidence of at least one segment, of a collection that has a model."""
        assert collection.fingerprint is not None
        step = MAX_SCORES // len(texts)
        segments = [item.segment for item in found]
        parts = [
            self._worker.score(
                texts,
                [segment.tensor for segment in segments[start : start + step]],
                fingerprint=collection.fingerprint,
                confidence=ConfidenceRequest(collection.calibration, eligible),
            )
            for start in range(0, len(segments), step)
        ]
        scores = Scores.joined(parts, len(texts))
        if scores.damaged is None:
            return Scored(found, scores, 0, 0)
        damaged = self._damage.count(found, scores.damaged)
        whole = [item for item, bad in zip(found, scores.damaged, strict=True) if not bad]
        return Scored(whole, scores, damaged, len(found) - len(whole) - damaged)

    def _of_promising_videos(
        self, collection: Collection, recalls: Sequence[Recall], allowed: Ids | None
    ) -> list[SegmentOfVideo]:
        """The eligible segments of the recalled segments' videos, in order of time."""
        recalled = self._catalog.segments_by_rows(
            {row for recall in recalls for row in recall.rows.tolist()}
        )
        video_of = {item.segment.row: item.video.id for item in recalled}
        rows = self._catalog.rows_by_video(collection.name, sorted(set(video_of.values())))
        chosen: list[int] = []
        for video_id in _by_promise(recalls, video_of):
            eligible = _eligible(rows.get(video_id, np.empty(0, np.int64)), recalls[0], allowed)
            if chosen and len(chosen) + len(eligible) > MAX_SEQUENCE_SEGMENTS:
                break
            chosen += eligible.tolist()
        return self._catalog.segments_by_rows(chosen)


def rank_key(ranked: RankedSegment) -> tuple[float, str, float]:
    """Order of results: score, then video, then start."""
    segment = ranked.found.segment
    return (-ranked.score, segment.video_id, segment.start_s)


def _ranked(
    found: Sequence[SegmentOfVideo],
    scores: npt.NDArray[np.float64],
    confidence: npt.NDArray[np.float64] | None,
) -> list[RankedSegment]:
    confidences: Iterable[float | None]
    confidences = [None] * len(found) if confidence is None else confidence.tolist()
    ranked = map(RankedSegment, found, scores.tolist(), confidences)
    return sorted(ranked, key=rank_key)


def _by_promise(recalls: Sequence[Recall], video_of: dict[int, str]) -> list[str]:
    """Videos by the sum over the texts of their best recalled score, the highest first."""
    promise: defaultdict[str, float] = defaultdict(float)
    for recall in recalls:
        lowest = float(recall.scores.min(initial=0))
        best: dict[str, float] = {}
        for row, score in zip(recall.rows.tolist(), recall.scores.tolist(), strict=True):
            if row in video_of:
                best.setdefault(video_of[row], score)  # rows come best first
        for video_id in set(video_of.values()):
            promise[video_id] += best.get(video_id, lowest)
    return sorted(promise, key=lambda video_id: (-promise[video_id], video_id))


def _eligible(rows: Ids, recall: Recall, allowed: Ids | None) -> Ids:
    rows = rows[rows <= recall.last_row]
    return rows if allowed is None else rows[np.isin(rows, allowed)]


def _sequences(
    probe: SequenceQuery,
    found: Sequence[SegmentOfVideo],
    scores: Scores,
    of_video: list[int],
    eligible: int,
) -> list[Moment]:
    """The chains of one video's segments, which are in order of time, none over another."""
    windows = [found[index].segment for index in of_video]
    logits = scores.logits[of_video].astype(np.float64).T  # (S, n)
    starts = np.array([window.start_s for window in windows])
    ends = np.array([window.end_s for window in windows])
    return [
        _sequence(
            chain,
            found,
            scores,
            of_video,
            [eligible, *(followers(starts, ends, w, probe.within_s) for w in chain.windows)],
        )
        for chain in chains(logits, starts, ends, probe.within_s, MAX_CHAINS)
    ]


def _sequence(
    chain: Chain,
    found: Sequence[SegmentOfVideo],
    scores: Scores,
    of_video: list[int],
    choices: Sequence[int],
) -> Moment:
    """A chain as a moment, whose confidence is the product of its steps'.

    choices : among how many segments each step was chosen: the first among all eligible ones, each
        later one only among those that may follow the step before it
    """
    eligible = choices[0]
    steps = []
    for event, window in enumerate(chain.windows):
        index, confidence = of_video[window], None
        if scores.confidence is not None:
            alone = float(scores.confidence[index, event])
            confidence = share_among(alone, eligible, choices[event])
        steps.append(RankedSegment(found[index], float(scores.logits[index, event]), confidence))
    known = [step.confidence for step in steps if step.confidence is not None]
    return Moment(
        best=RankedSegment(steps[0].found, chain.score, math.prod(known) if known else None),
        start=steps[0].found.segment.start_s,
        end=steps[-1].found.segment.end_s,
        segments=tuple(step.found.segment for step in steps),
        steps=tuple(steps),
    )
