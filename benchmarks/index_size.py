"""What a search of the index costs and finds as a collection grows, beside bare FAISS calls.

Clustered unit vectors of 512 numbers in the index of the API, codes made and measured as it makes
them. Each round asks the index, for 10 rows and for the 200 of a search, beside one FAISS call for
as many over the same vectors: a flat scan in half precision and a scan of 2-bit codes. Then filters
that allow 50, 10 and 1 %, each beside a flat scan under FAISS's own selector. Recall is the share
of the flat scan's rows that are found.

python -m benchmarks.index_size [--sizes 62500 100000 250000 1000000] [--rounds 30] [--threads 1]
    [--clusters 4000] [--json]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from benchmarks.random_model import unit_vectors
from index import Ids, Vectors
from index.factory import IndexFactory
from index.faiss_common import narrowed_to
from index.maintenance import MaintainedIndex

Answer = TypeVar("Answer")

DIM = 512
AT_ONCE = 50_000
K = (10, 200)
SHARES = (0.5, 0.1, 0.01)
BAR = 1.3
NOISE = 0.7  # of a query beside the row it is near to: the words of a text are no frame of a video


@dataclass(frozen=True)
class Result:
    """One kind of search at one size: medians of milliseconds, and what was found.

    ratio : to the quickest bare call that answers the same: of codes where the index uses codes
    """

    rows: int
    case: str
    k: int
    index_ms: float
    flat_ms: float
    codes_ms: float | None
    ratio: float
    recall: float
    exact: bool


@dataclass(frozen=True)
class Stage:
    """What took how long to make at one size, and the recall that the index measured itself."""

    rows: int
    add_s: float
    codes_s: float
    measured: float | None


def main() -> None:
    """Fill, measure and print, a size at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[62_500, 100_000, 250_000, 1_000_000]
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clusters", type=int, default=4_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    stages, results = [], []
    for rows in arguments.sizes:
        bench = Bench(rows, arguments.threads, arguments.clusters)
        stages.append(bench.stage)
        results += bench.measure(arguments.rounds)
    if arguments.json:
        rows_of = [asdict(each) for each in results]
        print(json.dumps({"stages": [*map(asdict, stages)], "searches": rows_of}, indent=2))
        return
    print_tables(stages, results, arguments.rounds, arguments.threads)


class Bench:
    """The index of the API, and the peers over the same vectors."""

    def __init__(self, rows: int, threads: int, clusters: int) -> None:
        self.random = np.random.default_rng(1)
        self.rows = rows
        self.indexes = IndexFactory(threads=threads, exact_up_to=Settings().exact_up_to)
        self.index = self.indexes.make(DIM, threading.Lock())
        self.flat = faiss.IndexScalarQuantizer(
            DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self.codes: faiss.IndexRaBitQ | None = None
        if rows > Settings().exact_up_to:
            self.codes = faiss.IndexRaBitQ(DIM, faiss.METRIC_INNER_PRODUCT, 2)
        faiss.omp_set_num_threads(threads)
        self.near = np.empty((0, DIM), np.float32)
        adding = self._fill(clusters)
        began = time.perf_counter()
        with_codes(self.index)
        self.indexes.close()
        self.stage = Stage(rows, adding, time.perf_counter() - began, self.index.recall)

    def measure(self, rounds: int) -> list[Result]:
        """Every kind of search."""
        everything = [self._compare("all rows", k, None, rounds) for k in K]
        filtered = []
        for share in SHARES:
            allowed = np.flatnonzero(self.random.random(self.rows) < share).astype(np.int64)
            filtered.append(self._compare(f"{share:.0%} allowed", K[-1], allowed, rounds))
        return everything + filtered

    def _fill(self, clusters: int) -> float:
        centres = unit_vectors(self.random, clusters, DIM)
        taken = 0.0
        for start in range(0, self.rows, AT_ONCE):
            count = min(AT_ONCE, self.rows - start)
            vectors = centres[self.random.integers(0, clusters, count)]
            vectors += unit_vectors(self.random, count, DIM)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            if self.codes is not None and start == 0:
                self.codes.train(vectors)
            for peer in filter(None, (self.flat, self.codes)):
                peer.add(vectors)
            began = time.perf_counter()
            self.index.add(np.arange(start, start + count, dtype=np.int64), vectors)
            taken += time.perf_counter() - began
            self.near = np.concatenate([self.near, vectors[:20]])
        return taken

    def _query(self) -> Vectors:
        row = self.near[self.random.integers(len(self.near))]
        query = row + NOISE * unit_vectors(self.random, 1, DIM)
        return np.asarray(query / np.linalg.norm(query), np.float32)

    def _compare(self, case: str, k: int, allowed: Ids | None, rounds: int) -> Result:
        taken: defaultdict[str, list[float]] = defaultdict(list)
        recalls, exact = [], True
        for _ in range(rounds):
            query = self._query()
            hits, seconds = timed(lambda query=query: self.index.search(query, k, allowed))
            taken["index"].append(seconds)
            (_, best), seconds = timed(lambda query=query: raw(self.flat, query, k, allowed))
            taken["flat"].append(seconds)
            if self.codes is not None:
                _, seconds = timed(lambda query=query: raw(self.codes, query, k, allowed))
                taken["codes"].append(seconds)
            recalls.append(np.isin(best[0], hits.ids[0]).mean())
            exact &= hits.exact
        ms = {name: 1_000 * median(times) for name, times in taken.items()}
        peer = ms["flat"] if exact else ms["codes"]
        return Result(
            self.rows, case, k, ms["index"], ms["flat"], ms.get("codes"), ms["index"] / peer,
            float(np.mean(recalls)), exact,
        )  # fmt: skip


def with_codes(index: MaintainedIndex) -> None:
    """Have codes made and measured as the API does, if the index is large enough."""
    with index.lock:
        index.maintain()
    while index.busy:
        time.sleep(0.05)


def raw(
    peer: faiss.Index, query: Vectors, k: int, allowed: Ids | None
) -> tuple[Vectors, NDArray[np.int64]]:
    """One call of FAISS, with the selector that the index takes too."""
    with narrowed_to(allowed, peer.ntotal - 1) as parameters:
        return peer.search(query, k, params=parameters)


def timed(call: Callable[[], Answer]) -> tuple[Answer, float]:
    """What a call returns, and its seconds."""
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def print_tables(
    stages: Sequence[Stage], results: Sequence[Result], rounds: int, threads: int
) -> None:
    """Print what was made, then what was searched."""
    table = Table(title=f"made, {threads} thread(s)")
    for column in ("rows", "added in", "codes made and measured in", "measured recall@200"):
        table.add_column(column, justify="right")
    for stage in stages:
        coded = stage.measured is not None
        cells = (f"{stage.codes_s:.1f} s", f"{stage.measured:.4f}") if coded else ("—", "—")
        table.add_row(f"{stage.rows:,}", f"{stage.add_s:.1f} s", *cells)
    Console(width=120).print(table)
    table = Table(title=f"searched, medians of {rounds} in ms, {threads} thread(s)")
    for column in (
        "rows", "case", "k", "index", "FAISS flat", "FAISS codes", f"ratio (bar {BAR})", "recall",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for each in results:
        table.add_row(
            f"{each.rows:,}",
            each.case,
            str(each.k),
            f"{each.index_ms:.1f}",
            f"{each.flat_ms:.1f}",
            "—" if each.codes_ms is None else f"{each.codes_ms:.1f}",
            f"{each.ratio:.2f} of {'flat' if each.exact else 'codes'}",
            "exact" if each.exact else f"{each.recall:.4f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
