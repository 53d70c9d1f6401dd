"""What one user's searches cost while an ingest keeps the worker busy, beside the same idle.

A real service with a library of clips. One client searches again and again, each time with a new
text: first on an idle service, then while more videos are ingested than get done, then idle
again, since a shared machine is not always as fast. The bar: the 99th percentile beside ingests
is at most twice that of both idle runs together.

python -m benchmarks.search_beside_ingest [--clips FOLDER] [--model MODEL] [--searches 200]
    [--threads 1] [--json]

Without --model it is a network of base-patch32's size with random weights.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.ingest import generate
from benchmarks.random_model import save_random_base
from tests.e2e.service import Service, running, upload, wait_for_job
from xclip.motion.world import TRAINING, phrasing

LIBRARY = "default"
WARM_UP = 10
BAR = 2.0
IDLE, BESIDE, AGAIN = "idle", "beside ingests", "idle again"


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, help="a folder of videos instead of generated ones")
    parser.add_argument("--model", help="as XCLIP_MODEL")
    parser.add_argument("--searches", type=int, default=200, help="of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of the model and the index")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or str(folder / "checkpoint")
        if arguments.model is None:
            save_random_base(folder / "checkpoint", patch_size=32)
        clips = sorted((arguments.clips or generate(folder / "clips", 40)).iterdir())
        settings = {"XCLIP_MODEL": model, "XCLIP_THREADS": str(arguments.threads)}
        with running(folder / "data", **settings) as service:
            figures = measure(service, clips, arguments.searches)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print_figures(figures, arguments.model or "random base-patch32")


def measure(service: Service, clips: Sequence[Path], searches: int) -> dict[str, Any]:
    """Milliseconds of every search, idle, beside ingests and idle again."""
    with service.client() as client:
        for job in send(client, clips, LIBRARY):
            wait_for_job(client, job, 3600)
        texts = new_texts()
        search_in_turn(client, texts, WARM_UP)
        taken = {IDLE: search_in_turn(client, texts, searches)}
        with ingesting(client, clips, "more") as jobs:
            search_in_turn(client, texts, WARM_UP)
            began = time.perf_counter()
            taken[BESIDE] = search_in_turn(client, texts, searches)
            seconds = time.perf_counter() - began
            states = [client.get(f"/v1/jobs/{job}").json()["status"] for job in jobs]
        assert "running" in states, "the ingests were over before the searches; send more clips"
        taken[AGAIN] = search_in_turn(client, texts, searches)
    percentiles = {
        name: {f"p{p}": float(np.percentile(times, p)) for p in (50, 90, 99)}
        for name, times in taken.items()
    }
    idle_p99 = float(np.percentile(taken[IDLE] + taken[AGAIN], 99))
    return {
        "ms": percentiles,
        "ratio of p99": percentiles[BESIDE]["p99"] / idle_p99,
        "searches": searches,
        "ingests meanwhile": states.count("succeeded"),
        "seconds": seconds,
    }


@contextmanager
def ingesting(client: httpx.Client, clips: Sequence[Path], collection: str) -> Iterator[list[str]]:
    """Within the block the worker has more to do than it gets done."""
    client.put(f"/v1/collections/{collection}", json={}).raise_for_status()
    jobs = send(client, clips, collection)
    try:
        yield jobs
    finally:
        for job in jobs:
            client.post(f"/v1/jobs/{job}:cancel")
        for job in jobs:
            wait_for_job(client, job, 3600)


def send(client: httpx.Client, clips: Sequence[Path], collection: str) -> list[str]:
    """Upload clips; the ids of their jobs."""
    answers = [upload(client, clip, collection=collection) for clip in clips]
    return [answer.raise_for_status().json()["job"]["id"] for answer in answers]


def new_texts() -> Iterator[str]:
    """Texts that nobody has asked before."""
    random = np.random.default_rng(1)
    number = 0
    while True:
        number += 1
        yield f"{phrasing(TRAINING[number % len(TRAINING)], random)} {number}"


def search_in_turn(client: httpx.Client, texts: Iterator[str], count: int) -> list[float]:
    """Search so often, one after the other; milliseconds of each."""
    taken = []
    for _ in range(count):
        body = {"text": next(texts), "top_k": 10}
        began = time.perf_counter()
        answer = client.post(f"/v1/collections/{LIBRARY}/search", json=body)
        taken.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
        assert answer.json()["results"]
    return taken


def print_figures(figures: dict[str, Any], model: str) -> None:
    """Print a row for each of the three."""
    table = Table(title=f"ms of a search, {figures['searches']} of each, {model}")
    for column in ("service", "p50", "p90", "p99"):
        table.add_column(column, justify="right")
    for name, percentiles in figures["ms"].items():
        table.add_row(name, *(f"{ms:.1f}" for ms in percentiles.values()))
    console = Console()
    console.print(table)
    console.print(
        f"p99 beside ingests: {figures['ratio of p99']:.2f} times the idle one (bar {BAR}); "
        f"{figures['ingests meanwhile']} videos ingested in those {figures['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
