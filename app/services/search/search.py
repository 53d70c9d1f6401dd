"""Search pipeline: encode, filter, recall, rerank, arrange, page.

Each stage is a method of `Search`, in this order, and `StageTimer` times it under its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from prometheus_client import Histogram

from app.catalog import Catalog
from app.catalog.errors import SegmentNotFound
from app.catalog.filters import EVERYTHING
from app.catalog.records import Collection, Segment, SegmentOfVideo
from app.clock import Clock
from app.errors import ModelMismatch, NotCalibrated, VideoNotReady
from app.model_api.client import WorkerClient
from app.services.filter_keys import counted_keys
from app.services.search import moments
from app.services.search.cursors import LIFETIME_S, Position, Signer, digest, near_end, page_after
from app.services.search.query import (
    COSINE,
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
from app.services.search.stage_timer import StageTimer
from app.services.text_use import TextUse
from app.services.vectors.damage import Damage
from app.services.vectors.port import Recall, VectorPort
from index import Ids, Vectors

# A segment that is deleted after the recall leaves room for another that was not recalled.
TRIES = 3
CURSOR_SECRET = "search-cursors"  # noqa: S105  the name of a secret, not one

# Scores that differ by less than this are as good as equal: a logit of 1 is odds of e to 1.
LOGIT_NOISE = 1.0
COSINE_NOISE = 0.05


@dataclass(frozen=True, slots=True)
class _Encoded:
    """The vectors to recall by, what a score for the probe is, and whether it is a segment's.

    score_kind : the encoder's, or `COSINE` where the index scores
    own_row : of the segment the vectors come from, if they come from one
    text_use : how much of the probe's texts was read
    """

    directions: Sequence[Vectors]
    score_kind: str = COSINE
    own_row: int | None = None
    text_use: TextUse = field(default_factory=TextUse)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The rows that the search may find: those of `allowed` up to `last_row`; None is no limit."""

    allowed: Ids | None
    last_row: int | None


class Search:
    """Finds the moments of a collection that match a query."""

    def __init__(
        self,
        catalog: Catalog,
        vectors: VectorPort,
        worker: WorkerClient,
        clock: Clock,
        damage: Damage,
        stage_seconds: Histogram,
        *,
        recall_candidates: int,
        decode_timeout_s: float,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._worker = worker
        self._clock = clock
        self._reranker = Reranker(catalog, worker, damage)
        self._stage_seconds = stage_seconds
        self._recall_candidates = recall_candidates
        self._decode_timeout_s = decode_timeout_s
        self._signer = Signer(catalog.secret(CURSOR_SECRET))

    def encode_ahead(self, name: str, texts: Sequence[str]) -> None:
        """Encode texts in one turn of the model, so that the searches that follow find them cached.

        name : of the collection that they search. Raises CollectionNotFound, WorkerUnavailable,
        WorkerFailed.
        """
        fingerprint = self._catalog.get_collection(name).fingerprint
        self._worker.encode_text(texts, fingerprint=fingerprint)

    def find(self, name: str, query: MomentQuery) -> SearchPage:
        """The best moments of collection `name`, best first.

        Raises CollectionNotFound, SegmentNotFound, InvalidCursor, CursorExpired, NotCalibrated
        (min_confidence without a known confidence), ModelMismatch, WorkerUnavailable, WorkerFailed.
        """
        timer = StageTimer(self._clock)
        with timer.stage("encode"):
            collection = self._catalog.get_collection(name)
            count = max(collection.recall_candidates or self._recall_candidates, query.top_k)
            position = self._position(collection, query, count)
            encoded = self._encode(collection, query.probe)
        with timer.stage("filter"):
            scope = self._filter(collection, query, position)
        for _ in range(TRIES):
            with timer.stage("recall"):
                # Read it again, so that the index knows at least the rows that are allowed.
                collection = self._catalog.get_collection(name)
                recalls = self._recall(collection, encoded, count, scope.allowed)
            with timer.stage("rerank"):
                ranking = self._rerank(collection, query.probe, encoded, recalls, scope.allowed)
            if ranking.complete:
                break
        with timer.stage("arrange"):
            entries, abstained = self._arrange(query, ranking)
        recall = _pinned(recalls[0], scope, position)
        with timer.stage("page"):
            state = _state(collection, count)
            page, cursor = self._page(query, entries, position, recall, state)
        damaged = ranking.damaged + recall.damaged
        seconds = self._observed(timer)
        return SearchPage(
            moments=[moment for entry in page for moment in entry],
            next_cursor=cursor,
            recall=recall,
            exact=not damaged and _is_exact(ranking, recall),
            damaged=damaged,
            score_kind=ranking.kind,
            confidence_kind=ranking.confidence_kind,
            abstained=abstained,
            model=collection.model,
            seconds=seconds,
            text_use=encoded.text_use,
            filter_keys=counted_keys(self._catalog, name, query.condition, recall.eligible),
        )

    def heatmap(self, name: str, video_id: str, text: str) -> moments.Heatmap:
        """The scores of a text over a video. Raises VideoNotFound, VideoNotReady, …"""
        collection = self._catalog.get_collection(name)
        video = self._catalog.get_video(name, video_id)
        segments = self._catalog.list_segments(name, video_id)
        if not segments:
            raise VideoNotReady(f"The video {video.id} is {video.status}, not ready.")
        use = TextUse.of([text], self._worker.read_texts([text]))
        scored = self._reranker.score(
            collection, [text], [SegmentOfVideo(one, video) for one in segments], len(segments)
        )
        if not scored.found:
            raise VideoNotReady(f"The stored data of {video.id} is damaged and must be rebuilt.")
        scores = scored.scores
        starts, ends = _bounds([item.segment for item in scored.found])
        curve = moments.score_curve(starts, ends, scores.logits[:, 0].astype(np.float64))
        confidence = None
        if scores.confidence is not None:
            confidence = moments.highest(curve, starts, ends, scores.confidence[:, 0])
        return moments.Heatmap(video, curve, confidence, scores.confidence_kind, use)

    def _encode(self, collection: Collection, probe: Probe) -> _Encoded:
        """Stage 1: turn the probe into vectors of length 1."""
        if isinstance(probe, SimilarSegmentQuery):
            return self._stored_vector(collection, probe.segment_id)
        if isinstance(probe, ClipQuery):
            embeddings, fingerprint = self._worker.embed_clip(
                probe.path.name,
                window_s=collection.window_s,
                stride_s=collection.stride_s,
                timeout_s=self._decode_timeout_s,
                fingerprint=collection.fingerprint,
            )
            require_model(collection, fingerprint)
            return _Encoded([_direction(embeddings.mean(axis=0))])
        texts = [probe.text] if isinstance(probe, TextQuery) else list(probe.texts)
        # A negative text has no direction, but one turn of the model prepares it for its score.
        negative = [probe.negative] if isinstance(probe, TextQuery) and probe.negative else []
        encoded = self._worker.encode_text(texts + negative, fingerprint=collection.fingerprint)
        require_model(collection, encoded.fingerprint)
        directions = [_direction(embedding) for embedding in encoded.embeddings[: len(texts)]]
        use = TextUse.of(texts + negative, encoded.read)
        return _Encoded(directions, encoded.score_kind, text_use=use)

    def _stored_vector(self, collection: Collection, segment_id: str) -> _Encoded:
        row = self._catalog.segments_by_ids(collection.name, [segment_id])[0].segment.row
        directions = list(self._catalog.embeddings_by_rows([row]))
        if not directions:
            if self._catalog.existing_segments([row]):
                raise VideoNotReady(f"{segment_id} is damaged and must be rebuilt.")
            # deleted since it was looked up
            raise SegmentNotFound(f"no segment {segment_id!r} in {collection.name!r}")
        return _Encoded(directions, own_row=row)

    def _filter(
        self, collection: Collection, query: MomentQuery, position: Position | None
    ) -> _Scope:
        """Stage 2: read the rows that the filter allows.

        The filter is read before the vectors are. Without a bound, segments that come in between
        would be missing on the first page and appear on the next.
        """
        last_row: int | None = None
        if position is not None:
            last_row = position.last_row
        elif query.condition not in (None, EVERYTHING):
            last_row = self._vectors.last_row(collection)
        allowed = self._catalog.eligible_rows(collection.name, query.condition, last_row=last_row)
        return _Scope(allowed, last_row)

    def _recall(
        self, collection: Collection, encoded: _Encoded, count: int, allowed: Ids | None
    ) -> list[Recall]:
        """Stage 3: the nearest rows of each vector, without the segment that is the query."""
        own_row = encoded.own_row
        if own_row is not None:
            recall = self._vectors.recall(collection, encoded.directions[0], count + 1, allowed)
            return [_without(recall, own_row, count)]
        return [
            self._vectors.recall(collection, direction, count, allowed)
            for direction in encoded.directions
        ]

    def _rerank(
        self,
        collection: Collection,
        probe: Probe,
        encoded: _Encoded,
        recalls: Sequence[Recall],
        allowed: Ids | None,
    ) -> Ranking:
        """Stage 4: score the recalled segments exactly."""
        if isinstance(probe, SimilarSegmentQuery | ClipQuery):
            return self._reranker.by_similarity(recalls[0])
        if isinstance(probe, TextQuery):
            return self._reranker.by_text(collection, probe, recalls[0], encoded.score_kind)
        return self._reranker.by_sequence(collection, probe, recalls, allowed, encoded.score_kind)

    def _arrange(self, query: MomentQuery, ranking: Ranking) -> tuple[list[list[Moment]], bool]:
        """Stage 5: entries of pages, best first, and whether min_confidence left none of them."""
        least = query.min_confidence
        if least is not None and ranking.scored and ranking.confidence_kind is None:
            raise NotCalibrated(
                "No confidence is known for this collection's model; fit one with "
                "`xclip-search calibrate`, or search without min_confidence."
            )
        kept = [one for one in ranking.segments if least is None or (one.confidence or 0) >= least]
        if query.merge:
            noise = COSINE_NOISE if ranking.kind == COSINE else LOGIT_NOISE
            arranged = moments.merged(kept, ranking.segments, noise)
        else:
            arranged = moments.single(kept)
        arranged += [
            chain
            for chain in ranking.chains
            if least is None or (chain.best.confidence or 0) >= least
        ]
        abstained = bool(ranking.segments or ranking.chains) and not arranged
        return _grouped(arranged, query.max_per_video), abstained

    def _page(
        self,
        query: MomentQuery,
        entries: Sequence[Sequence[Moment]],
        position: Position | None,
        recall: Recall,
        state: str,
    ) -> tuple[Sequence[Sequence[Moment]], str | None]:
        """Stage 6: the next `top_k` entries, and the cursor of the page after; None on the last."""
        rest = page_after(entries, position)
        page = rest[: query.top_k]
        if len(rest) == len(page):
            return page, None
        score, given = near_end(page, position)
        cursor = self._signer.write(
            Position(
                query=_digest(query),
                state=state,
                snapshot=recall.sequence,
                last_row=recall.last_row,
                score=score,
                given=given,
                expires_at=int(self._clock.now().timestamp()) + LIFETIME_S,
            )
        )
        return page, cursor

    def _observed(self, timer: StageTimer) -> Stages:
        """The times that an answer shows, which the metrics count as well.

        It has no field for arranging and paging, which are short.
        """
        stages = Stages(
            encode=timer.seconds("encode"),
            filter=timer.seconds("filter"),
            recall=timer.seconds("recall"),
            score=timer.seconds("rerank"),
            total=timer.seconds("encode", "filter", "recall", "rerank"),
        )
        for name, seconds in asdict(stages).items():
            self._stage_seconds.labels(name).observe(seconds)
        return stages

    def _position(self, collection: Collection, query: MomentQuery, count: int) -> Position | None:
        """The end of the page before; None for the first page."""
        if query.cursor is None:
            return None
        return self._signer.read(
            query.cursor,
            query=_digest(query),
            state=_state(collection, count),
            now=self._clock.now().timestamp(),
        )


def require_model(collection: Collection, fingerprint: str) -> None:
    """Raise ModelMismatch unless the collection is empty or was built with this model."""
    if collection.fingerprint not in (None, fingerprint):
        raise ModelMismatch(
            f"The collection {collection.name!r} was built with model {collection.fingerprint}, "
            f"but the worker runs {fingerprint}; ingest its videos again in a new collection."
        )


def _without(recall: Recall, row: int, count: int) -> Recall:
    """The recall without this row, and without what is more than `count`."""
    others = recall.rows != row
    return replace(
        recall,
        rows=recall.rows[others][:count],
        scores=recall.scores[others][:count],
        eligible=recall.eligible - int(np.count_nonzero(~others)),
    )


def _pinned(recall: Recall, scope: _Scope, position: Position | None) -> Recall:
    """The recall, with the snapshot that the first page was made from."""
    last_row = recall.last_row if scope.last_row is None else scope.last_row
    sequence = recall.sequence if position is None else position.snapshot
    return replace(recall, last_row=last_row, sequence=sequence)


def _grouped(arranged: Sequence[Moment], max_per_video: int | None) -> list[list[Moment]]:
    """Each moment by itself, or the best of each video together, in the order of their best."""
    if max_per_video is None:
        return [[moment] for moment in arranged]
    by_video: defaultdict[str, list[Moment]] = defaultdict(list)
    for moment in arranged:
        by_video[moment.best.found.video.id].append(moment)
    return [found[:max_per_video] for found in by_video.values()]


def _is_exact(ranking: Ranking, recall: Recall) -> bool:
    """Whether no segment that could rank higher was left out."""
    compared = ranking.kind == COSINE and recall.measured is None
    return compared or ranking.scored >= recall.eligible


def _state(collection: Collection, count: int) -> str:
    return digest(collection.id, collection.fingerprint, collection.calibration, count)


def _digest(query: MomentQuery) -> str:
    probe = query.probe
    content = probe.sha256 if isinstance(probe, ClipQuery) else repr(probe)
    return digest(content, replace(query, probe=TextQuery(""), cursor=None))


def _direction(embedding: Vectors) -> Vectors:
    length = np.linalg.norm(embedding).clip(np.finfo(np.float32).tiny)
    return np.asarray(embedding / length)


def _bounds(segments: Sequence[Segment]) -> tuple[moments.Floats, moments.Floats]:
    starts = np.array([segment.start_s for segment in segments])
    return starts, np.array([segment.end_s for segment in segments])
