"""Search: encode, filter, recall, rerank, arrange and page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.catalog import Catalog
from app.catalog.errors import SegmentNotFound
from app.catalog.filters import EVERYTHING
from app.catalog.records import Collection, Segment, SegmentOfVideo, Video
from app.clock import Clock
from app.errors import ModelMismatch, NotCalibrated, VideoNotReady
from app.model_api.client import WorkerClient
from app.model_api.messages import ConfidenceKind
from app.services.search import moments
from app.services.search.cursors import LIFETIME_S, Position, Signer, digest, near_end, page_after
from app.services.search.query import (
    ClipQuery,
    Moment,
    MomentQuery,
    Probe,
    SearchPage,
    SimilarSegmentQuery,
    Stages,
    TextQuery,
)
from app.services.search.rerank import Ranking, Reranker
from app.services.vectors.damage import Damage
from app.services.vectors.port import Recall, VectorPort
from index import Ids, Vectors

# Segments deleted between the two stages leave places that others may deserve.
TRIES = 3
CURSOR_SECRET = "search-cursors"  # noqa: S105  the name of a secret, not one

# What two scores may differ by and still say the same: a logit of 1 is odds of e to 1.
LOGIT_NOISE = 1.0
COSINE_NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Heatmap:
    """One text over one video. Piece i lasts from edges[i] to edges[i + 1].

    confidence : of the surest window over the piece; None when no confidence is known
    """

    video: Video
    line: moments.Curve
    confidence: moments.Floats | None
    confidence_kind: ConfidenceKind | None


class Search:
    """Answers questions over a collection's segments."""

    def __init__(
        self,
        catalog: Catalog,
        vectors: VectorPort,
        worker: WorkerClient,
        clock: Clock,
        damage: Damage,
        *,
        recall_candidates: int,
        decode_timeout_s: float,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._worker = worker
        self._clock = clock
        self._ranker = Reranker(catalog, worker, damage)
        self._recall_candidates = recall_candidates
        self._decode_timeout_s = decode_timeout_s
        self._signer = Signer(catalog.secret(CURSOR_SECRET))

    def ask(self, name: str, question: MomentQuery) -> SearchPage:
        """The best moments of collection `name`, best first.

        Raises CollectionNotFound, SegmentNotFound, InvalidCursor, CursorExpired, NotCalibrated
        (a least confidence where none is known), ModelMismatch, WorkerUnavailable, WorkerFailed.
        """
        times = [self._clock.monotonic()]
        collection = self._catalog.get_collection(name)
        count = max(collection.recall_candidates or self._recall_candidates, question.top_k)
        position = self._position(collection, question, count)
        directions, itself = self._encode(collection, question.probe)
        times.append(self._clock.monotonic())
        last_row = self._last_row(collection, question, position)
        allowed = self._catalog.eligible_rows(name, question.condition, last_row=last_row)
        times.append(self._clock.monotonic())
        for _ in range(TRIES):
            # Read again, so that the index goes at least as far as the rows that are allowed.
            collection = self._catalog.get_collection(name)
            recalls = [self._recall(collection, one, count, allowed, itself) for one in directions]
            recalled = self._clock.monotonic()
            ranking = self._rank(collection, question.probe, recalls, allowed)
            if ranking.complete:
                break
        times += [recalled, self._clock.monotonic()]
        recall = recalls[0]
        damaged = ranking.damaged + recall.damaged
        entries, abstained = _arrange(question, ranking)
        rest = page_after(entries, position)
        page = rest[: question.top_k]
        cursor = None
        if len(rest) > len(page):
            state = self._state(collection, count)
            cursor = self._cursor(
                question,
                state,
                replace(recall, last_row=last_row or recall.last_row),
                page,
                position,
            )
        return SearchPage(
            moments=[moment for entry in page for moment in entry],
            next_cursor=cursor,
            recall=recall if position is None else replace(recall, sequence=position.snapshot),
            exact=not damaged and _is_exact(ranking, recall),
            damaged=damaged,
            score_kind=ranking.kind,
            confidence_kind=ranking.confidence_kind,
            abstained=abstained,
            model=collection.model,
            seconds=_stages(times),
        )

    def heatmap(self, name: str, video_id: str, text: str) -> Heatmap:
        """What a video scores for a text over time. Raises VideoNotFound, VideoNotReady, …"""
        collection = self._catalog.get_collection(name)
        video = self._catalog.get_video(name, video_id)
        segments = self._catalog.list_segments(name, video_id)
        if not segments:
            raise VideoNotReady(f"The video {video.id} is {video.status}, not ready.")
        scored = self._ranker.score(
            collection, [text], [SegmentOfVideo(one, video) for one in segments], len(segments)
        )
        if not scored.found:
            raise VideoNotReady(f"What is stored of {video.id} is damaged and has to be remade.")
        scores = scored.scores
        starts, ends = _bounds([item.segment for item in scored.found])
        line = moments.curve(starts, ends, scores.logits[:, 0].astype(np.float64))
        surest = None
        if scores.confidence is not None:
            surest = moments.highest(line, starts, ends, scores.confidence[:, 0])
        return Heatmap(video, line, surest, scores.confidence_kind)

    def _encode(self, collection: Collection, probe: Probe) -> tuple[list[Vectors], int | None]:
        """Directions to recall by, and the row of the segment that is asked with, if one is."""
        if isinstance(probe, SimilarSegmentQuery):
            row = self._catalog.segments_by_ids(collection.name, [probe.segment_id])[0].segment.row
            directions = list(self._catalog.embeddings_by_rows([row]))
            if not directions:
                if self._catalog.existing_segments([row]):
                    raise VideoNotReady(f"{probe.segment_id} is damaged and has to be remade.")
                # deleted since it was looked up
                raise SegmentNotFound(f"no segment {probe.segment_id!r} in {collection.name!r}")
            return directions, row
        if isinstance(probe, ClipQuery):
            embeddings, fingerprint = self._worker.embed_clip(
                probe.path,
                window_s=collection.window_s,
                stride_s=collection.stride_s,
                timeout_s=self._decode_timeout_s,
            )
            require_model(collection, fingerprint)
            return [_direction(embeddings.mean(axis=0))], None
        texts = [probe.text] if isinstance(probe, TextQuery) else list(probe.texts)
        embeddings, fingerprint = self._worker.encode_text(texts)
        require_model(collection, fingerprint)
        return [_direction(embedding) for embedding in embeddings], None

    def _recall(
        self,
        collection: Collection,
        direction: Vectors,
        count: int,
        allowed: Ids | None,
        itself: int | None,
    ) -> Recall:
        if itself is None:
            return self._vectors.recall(collection, direction, count, allowed)
        recall = self._vectors.recall(collection, direction, count + 1, allowed)
        others = recall.rows != itself
        return replace(
            recall,
            rows=recall.rows[others][:count],
            scores=recall.scores[others][:count],
            eligible=recall.eligible - int(np.count_nonzero(~others)),
        )

    def _rank(
        self,
        collection: Collection,
        probe: Probe,
        recalls: Sequence[Recall],
        allowed: Ids | None,
    ) -> Ranking:
        if isinstance(probe, SimilarSegmentQuery | ClipQuery):
            return self._ranker.likeness(recalls[0])
        if isinstance(probe, TextQuery):
            return self._ranker.words(collection, probe, recalls[0])
        return self._ranker.sequence(collection, probe, recalls, allowed)

    def _last_row(
        self, collection: Collection, question: MomentQuery, position: Position | None
    ) -> int | None:
        """The highest row that is searched; None leaves it to the moment of the recall.

        A filter is read before the vectors are: without a bound, segments that come in between
        would be missing on the first page and there on the next.
        """
        if position is not None:
            return position.last_row
        if question.condition in (None, EVERYTHING):
            return None
        return self._vectors.last_row(collection)

    def _position(
        self, collection: Collection, question: MomentQuery, count: int
    ) -> Position | None:
        if question.cursor is None:
            return None
        return self._signer.read(
            question.cursor,
            question=_digest(question),
            state=self._state(collection, count),
            now=self._clock.now().timestamp(),
        )

    def _cursor(
        self,
        question: MomentQuery,
        state: str,
        recall: Recall,
        page: Sequence[Sequence[Moment]],
        position: Position | None,
    ) -> str:
        score, given = near_end(page, position)
        return self._signer.write(
            Position(
                question=_digest(question),
                state=state,
                snapshot=recall.sequence if position is None else position.snapshot,
                last_row=recall.last_row if position is None else position.last_row,
                score=score,
                given=given,
                expires_at=int(self._clock.now().timestamp()) + LIFETIME_S,
            )
        )

    def _state(self, collection: Collection, count: int) -> str:
        return digest(collection.id, collection.fingerprint, collection.calibration, count)


def require_model(collection: Collection, fingerprint: str) -> None:
    """Raise ModelMismatch unless the collection is empty or was built with this model."""
    if collection.fingerprint not in (None, fingerprint):
        raise ModelMismatch(
            f"The collection {collection.name!r} was built with model {collection.fingerprint}, "
            f"but the worker runs {fingerprint}; ingest its videos again in a new collection."
        )


def _arrange(question: MomentQuery, ranking: Ranking) -> tuple[list[list[Moment]], bool]:
    """Entries of a page, best first, and whether nothing was certain enough."""
    least = question.min_confidence
    if least is not None and ranking.scored and ranking.confidence_kind is None:
        raise NotCalibrated(
            "No confidence is known for this collection's model; fit one with "
            "`xclip-search calibrate`, or ask without min_confidence."
        )
    sure = [one for one in ranking.segments if least is None or (one.confidence or 0) >= least]
    if question.merge:
        noise = COSINE_NOISE if ranking.kind == "cosine" else LOGIT_NOISE
        arranged = moments.merged(sure, ranking.segments, noise)
    else:
        arranged = moments.single(sure)
    arranged += [
        chain for chain in ranking.chains if least is None or (chain.best.confidence or 0) >= least
    ]
    abstained = bool(ranking.segments or ranking.chains) and not arranged
    if question.max_per_video is None:
        return [[moment] for moment in arranged], abstained
    by_video: defaultdict[str, list[Moment]] = defaultdict(list)
    for moment in arranged:
        by_video[moment.best.found.video.id].append(moment)
    return [found[: question.max_per_video] for found in by_video.values()], abstained


def _is_exact(ranking: Ranking, recall: Recall) -> bool:
    """Whether no segment that could rank higher was left out."""
    compared = ranking.kind == "cosine" and recall.measured is None
    return compared or ranking.scored >= recall.eligible


def _digest(question: MomentQuery) -> str:
    probe = question.probe
    asked = probe.sha256 if isinstance(probe, ClipQuery) else repr(probe)
    return digest(asked, replace(question, probe=TextQuery(""), cursor=None))


def _direction(embedding: Vectors) -> Vectors:
    length = np.linalg.norm(embedding).clip(np.finfo(np.float32).tiny)
    return np.asarray(embedding / length)


def _stages(times: Sequence[float]) -> Stages:
    """times : when the first stage began and each of the four ended"""
    encode, filtering, recall, score = np.diff(times).tolist()
    return Stages(encode, filtering, recall, score, times[-1] - times[0])


def _bounds(segments: Sequence[Segment]) -> tuple[moments.Floats, moments.Floats]:
    starts = np.array([segment.start_s for segment in segments])
    return starts, np.array([segment.end_s for segment in segments])
