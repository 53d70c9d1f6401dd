"""Recall calibration: how many candidates to rerank to find what scoring everything would find.

K segments, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as count_from
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.calibration.stored_collection import CalibrationError, StoredCollection
from app.model_api.tensor_records import stack_records
from app.services.vectors.factory import open_vectors
from index import Ids, Vectors
from xclip.errors import TextFileError
from xclip.text_file import read_lines

MOST_CANDIDATES = 10_000  # as the setting: beyond it every search would be slow

Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Line:
    """Mean recall among the first `candidates`: of the best segment, and of the best `top`."""

    candidates: int
    of_best: float
    of_top: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Recall for more and more candidates; the last line is all `segments`."""

    lines: tuple[Line, ...]
    segments: int
    queries: int
    top: int

    def enough(self, target: float) -> int:
        """The fewest candidates with that recall of the best `top`. Raises CalibrationError."""
        fewest = next(line.candidates for line in self.lines if line.of_top >= target)
        if fewest > MOST_CANDIDATES:
            raise CalibrationError(
                f"{MOST_CANDIDATES} candidates, the most that can be set, do not recall "
                f"{target:.0%} of the best {self.top}"
            )
        return fewest


def draw_queries(bank: Sequence[str], count: int, seed: int) -> list[str]:
    """That many texts of the bank, or all if it has fewer."""
    order = np.random.default_rng(seed).permutation(len(bank))[:count]
    return [bank[index] for index in order]


def read_queries(path: Path) -> list[str]:
    """One text a line, each once. Raises CalibrationError, OSError."""
    try:
        lines = read_lines(path)
    except TextFileError as error:
        raise CalibrationError(str(error)) from None
    texts = [*dict.fromkeys(line for _, line in lines)]
    if not texts:
        raise CalibrationError(f"{path} holds no text")
    return texts


def measure_recall(
    footage: StoredCollection, texts: Sequence[str], top: int, threads: int | None
) -> Measured:
    """Score every segment for each text, and see how far down the index has the best of them."""
    embeddings = footage.encoder.encode_text(texts)
    rows, best = exact_best(footage, embeddings, top)
    vectors = open_vectors(footage.catalog, threads=threads)
    found = np.empty_like(best)
    for query, embedding in enumerate(embeddings):
        direction = embedding / np.linalg.norm(embedding).clip(np.finfo(np.float32).tiny)
        recall = vectors.recall(footage.collection, direction, len(rows), rows)
        found[query] = ranks(recall.rows, best[query])
    return Measured(curve(found, len(rows)), len(rows), len(texts), found.shape[1])


def exact_best(footage: StoredCollection, embeddings: Vectors, top: int) -> tuple[Ids, Ids]:
    """Every row, (K,), and the `top` with the highest logits of each text, best first, (Q, top).

    Of equal logits the lower row comes first. Holds a batch of segments in memory, not all.
    """
    rows: list[int] = []
    best_rows = np.empty((len(embeddings), 0), np.int64)
    best_logits = np.empty((len(embeddings), 0), np.float32)
    for segments, records in footage.read(footage.rows()):
        some = [segment.row for segment in segments]
        rows += some
        logits = footage.encoder.score(embeddings, stack_records(records)).T  # (Q, k)
        best_logits = np.concatenate([best_logits, logits], axis=1)
        best_rows = np.concatenate([best_rows, np.broadcast_to(some, logits.shape)], axis=1)
        order = np.argsort(-best_logits, axis=1, kind="stable")[:, :top]
        best_logits = np.take_along_axis(best_logits, order, axis=1)
        best_rows = np.take_along_axis(best_rows, order, axis=1)
    return np.array(rows, np.int64), best_rows


def ranks(order: Ids, wanted: Ids) -> Counts:
    """How many candidates reach each wanted row: 1 for the first of `order`.

    A row that is not in it was deleted meanwhile and counts as the last.
    """
    rank_of = {row: rank for rank, row in enumerate(order.tolist(), start=1)}
    return np.array([rank_of.get(row, len(order)) for row in wanted.tolist()], np.int64)


def curve(found: Counts, segments: int) -> tuple[Line, ...]:
    """found : the candidates that reach each query's best rows, best first, shape = (Q, top)"""
    return tuple(
        Line(
            candidates,
            of_best=float((found[:, 0] <= candidates).mean()),
            of_top=float((found <= candidates).mean()),
        )
        for candidates in ladder(segments)
    )


def ladder(segments: int) -> list[int]:
    """10, 20, 50, 100, … and at last all segments."""
    steps = (digit * 10**power for power in count_from(1) for digit in (1, 2, 5))
    return [*takewhile(lambda step: step < segments, steps), segments]
