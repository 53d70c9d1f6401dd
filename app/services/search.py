"""Search in words, in two stages: the index recalls, the model's own score ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.catalog import Catalog
from app.catalog.records import Collection, Filter, SegmentOfVideo
from app.clock import Clock
from app.errors import ModelMismatch
from app.services.vectors import FollowedVectors, Recall
from app.worker.client import WorkerClient
from index import Vectors


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a collection."""

    text: str
    top_k: int
    filter: Filter


@dataclass(frozen=True, slots=True)
class RankedSegment:
    """A segment and the model's logit for it."""

    found: SegmentOfVideo
    score: float


@dataclass(frozen=True, slots=True)
class Stages:
    """Seconds each stage took."""

    encode_text: float
    recall: float
    score: float
    total: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Ranked segments, what they were chosen from, and how long it took.

    `exact` says that every eligible segment was scored by the model, not only the recalled ones.
    """

    ranked: list[RankedSegment]
    recall: Recall
    exact: bool
    model: str
    seconds: Stages


class Search:
    """Answers questions over a collection's segments."""

    def __init__(
        self,
        catalog: Catalog,
        vectors: FollowedVectors,
        worker: WorkerClient,
        clock: Clock,
        *,
        recall_candidates: int,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._worker = worker
        self._clock = clock
        self._recall_candidates = recall_candidates

    def ask(self, name: str, question: Question) -> Findings:
        """The best `top_k` segments of collection `name`, best first.

        Order: score, then video, then start. Raises CollectionNotFound, InvalidFilter,
        ModelMismatch, WorkerUnavailable, WorkerFailed.
        """
        started = self._clock.monotonic()
        collection = self._catalog.get_collection(name)
        embeddings, fingerprint = self._worker.encode_text([question.text])
        require_model(collection, fingerprint)
        encoded = self._clock.monotonic()
        recall = self._recall(collection, embeddings[0], question)
        recalled = self._clock.monotonic()
        ranked = self._rank(collection, question.text, recall)
        ended = self._clock.monotonic()
        return Findings(
            ranked=ranked[: question.top_k],
            recall=recall,
            exact=recall.eligible <= self._candidates(question),
            model=collection.model,
            seconds=Stages(
                encoded - started, recalled - encoded, ended - recalled, ended - started
            ),
        )

    def _candidates(self, question: Question) -> int:
        return max(self._recall_candidates, question.top_k)

    def _recall(self, collection: Collection, embedding: Vectors, question: Question) -> Recall:
        allowed = self._catalog.eligible_rows(collection.name, question.filter or None)
        direction = embedding / np.linalg.norm(embedding).clip(np.finfo(np.float32).tiny)
        return self._vectors.recall(collection, direction, self._candidates(question), allowed)

    def _rank(self, collection: Collection, text: str, recall: Recall) -> list[RankedSegment]:
        """Exact scores for the recalled rows; the catalog drops rows deleted meanwhile."""
        found = self._catalog.segments_by_rows(recall.rows.tolist())
        if not found or collection.fingerprint is None:
            return []
        references = [item.segment.tensor for item in found]
        scores = self._worker.score([text], references, fingerprint=collection.fingerprint)
        ranked = [
            RankedSegment(item, float(score))
            for item, score in zip(found, scores[:, 0], strict=True)
        ]
        return sorted(ranked, key=_rank_key)


def require_model(collection: Collection, fingerprint: str) -> None:
    """Raise ModelMismatch unless the collection is empty or was built with this model."""
    if collection.fingerprint not in (None, fingerprint):
        raise ModelMismatch(
            f"The collection {collection.name!r} was built with model {collection.fingerprint}, "
            f"but the worker runs {fingerprint}; ingest its videos again in a new collection."
        )


def _rank_key(ranked: RankedSegment) -> tuple[float, str, float]:
    segment = ranked.found.segment
    return (-ranked.score, segment.video_id, segment.start_s)
