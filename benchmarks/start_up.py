"""How soon the index answers after a start, beside reading its vectors once from the catalog.

A catalog with a million segments of 512 numbers, written straight into its tables. Each round reads
every vector with SQLite alone, in the order of its rows, and opens the catalog, fills the index
and searches it once, as the API does when it starts. The files are in the page cache for both. Then
how long it is until codes take over: until then searches are exact scans, which are timed too.

python -m benchmarks.start_up [--segments 1000000] [--rounds 5] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.catalog import Catalog
from app.services.vectors.factory import open_vectors
from app.services.vectors.port import VectorPort
from app.settings import Settings
from benchmarks.random_model import unit_vectors

DIM, CLUSTERS = 512, 4_000
CENTRES = unit_vectors(np.random.default_rng(0), CLUSTERS, DIM)
SEGMENTS_OF_A_VIDEO = 200
AT_ONCE = 10_000
SIZES = (16, 4, 1)  # growth: a sixteenth, a quarter and all of the segments
BAR = 2.0
LONGEST_WAIT_S = 600.0


@dataclass(frozen=True)
class Result:
    """One size: medians of seconds, but milliseconds for searches."""

    segments: int
    reading_s: float
    answering_s: float
    ratio: float
    coded_after_s: float | None
    exact_search_ms: float


def main() -> None:
    """Fill, measure and print, a size at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    for part in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "catalog.sqlite"
            fill(file, arguments.segments // part)
            results.append(measure(file, arguments.rounds, arguments.threads))
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_table(results, arguments.rounds)


def fill(file: Path, segments: int) -> None:
    """Write a collection of ready videos into a new catalog."""
    with Catalog.open(f"sqlite:///{file}") as catalog:
        made, _ = catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "UPDATE collections SET fingerprint = 'f', dim = ?, sequence = ?", (DIM, segments)
        )
        for start in range(0, segments, SEGMENTS_OF_A_VIDEO):
            add_video(connection, start // SEGMENTS_OF_A_VIDEO)
        for rows, vectors in batches(segments):
            add_segments(connection, made.id, rows, vectors)


def batches(segments: int) -> Iterator[tuple[range, NDArray[np.float32]]]:
    """Yield row numbers, from 1, and their vectors, each as near a centre as chance has it."""
    random = np.random.default_rng(1)
    for first in range(1, segments + 1, AT_ONCE):
        rows = range(first, min(first + AT_ONCE, segments + 1))
        vectors = CENTRES[random.integers(0, CLUSTERS, len(rows))]
        vectors += unit_vectors(random, len(rows), DIM)
        yield rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def add_video(connection: sqlite3.Connection, number: int) -> None:
    """One video that is ready."""
    connection.execute(
        "INSERT INTO videos (id, collection, filename, content_type, size_bytes, sha256, status,"
        " metadata, created_at, job_id) VALUES (?, 'default', 'a.mp4', 'video/mp4', 1, ?, 'ready',"
        " '{}', '2026-01-01 00:00:00.000000', 'job_0')",
        (f"vid_{number}", f"{number:064x}"),
    )


def add_segments(
    connection: sqlite3.Connection, collection: str, rows: range, vectors: NDArray[np.float32]
) -> None:
    """Segments, their vectors, and the changes that brought them."""
    places = [divmod(row - 1, SEGMENTS_OF_A_VIDEO) for row in rows]
    connection.executemany(
        "INSERT INTO segments VALUES (?, ?, 'default', ?, ?, ?, ?, 't', ?, 100, 0)",
        (
            (row, f"seg_{row:022}", f"vid_{video}", place, 2.5 * place, 2.5 * place + 5, 100 * row)
            for row, (video, place) in zip(rows, places, strict=True)
        ),
    )
    connection.executemany(
        "INSERT INTO embeddings VALUES (?, ?)",
        ((row, vector.tobytes()) for row, vector in zip(rows, vectors, strict=True)),
    )
    connection.executemany(
        "INSERT INTO changes VALUES (?, ?, 'add', ?)", ((collection, row, row) for row in rows)
    )


def measure(file: Path, rounds: int, threads: int) -> Result:
    """Time both, taking turns; then wait for the codes, searching meanwhile."""
    reading, answering = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        segments = read(file)
        reading.append(time.perf_counter() - began)
        began = time.perf_counter()
        with Catalog.open(f"sqlite:///{file}") as catalog, opened(catalog, threads) as vectors:
            assert search(catalog, vectors) is None
            answering.append(time.perf_counter() - began)
    with Catalog.open(f"sqlite:///{file}") as catalog, opened(catalog, threads) as vectors:
        coded_after, exact = wait_for_codes(catalog, vectors)
    ratio = median(a / r for a, r in zip(answering, reading, strict=True))
    return Result(segments, median(reading), median(answering), ratio, coded_after, exact)


def read(file: Path) -> int:
    """Read all vectors as arrays and let go of them; return how many there were."""
    count = 0
    with closing(sqlite3.connect(file)) as connection:
        cursor = connection.execute("SELECT row, vector FROM embeddings ORDER BY row")
        while found := cursor.fetchmany(AT_ONCE):
            vectors = np.frombuffer(b"".join([blob for _, blob in found]), np.float32)
            count += len(vectors) // DIM
    return count


def opened(catalog: Catalog, threads: int) -> closing[VectorPort]:
    """Fill the index from the catalog, as the API does."""
    vectors = open_vectors(catalog, threads=threads, exact_up_to=Settings().exact_up_to)
    vectors.prepare()
    return closing(vectors)


def search(catalog: Catalog, vectors: VectorPort, seed: int = 2) -> float | None:
    """Recall once, as near a centre as the rows; the measured recall, None after an exact scan."""
    random = np.random.default_rng(seed)
    query = CENTRES[random.integers(0, CLUSTERS)] + unit_vectors(random, 1, DIM)[0]
    collection = catalog.get_collection("default")
    found = vectors.recall(collection, query, Settings().recall_candidates, None)
    assert len(found.rows) == Settings().recall_candidates
    return found.measured


def wait_for_codes(catalog: Catalog, vectors: VectorPort) -> tuple[float | None, float]:
    """Seconds until a search goes by codes, and the median milliseconds of those before it.

    None where codes recall too little to be used, or are not made in time.
    """
    began, exact = time.perf_counter(), list[float]()
    small = catalog.count_segments("default") <= Settings().exact_up_to
    while time.perf_counter() - began < LONGEST_WAIT_S:
        asked = time.perf_counter()
        if search(catalog, vectors, seed=len(exact)) is not None:
            return time.perf_counter() - began, median(exact)
        exact.append(1_000 * (time.perf_counter() - asked))
        if small and len(exact) >= 20:
            break
        time.sleep(0.2)
    return None, median(exact)


def print_table(results: Sequence[Result], rounds: int) -> None:
    """Print a row a size."""
    table = Table(title=f"start-up, {DIM} numbers a segment, medians of {rounds}")
    for column in (
        "segments",
        "reading once",
        "until it answers",
        f"ratio (bar {BAR:g})",
        "codes after",
        "exact search meanwhile",
    ):
        table.add_column(column, justify="right")
    for result in results:
        table.add_row(
            f"{result.segments:,}",
            f"{result.reading_s:.2f} s",
            f"{result.answering_s:.2f} s",
            f"{result.ratio:.2f}",
            codes_after(result),
            f"{result.exact_search_ms:.1f} ms",
        )
    Console(width=120).print(table)


def codes_after(result: Result) -> str:
    """When codes took over; a size that has none is told from codes that were waited for."""
    if result.coded_after_s is not None:
        return f"{result.coded_after_s:.0f} s"
    wanted = result.segments > Settings().exact_up_to
    return f"not in {LONGEST_WAIT_S:.0f} s" if wanted else "—"


if __name__ == "__main__":
    main()
