"""How often motion-tiny finds what it should: encoded clips in, words asked, over the REST API.

Held-out: one clip of each of the 40 combinations of colour, shape and motion that training never
showed; each caption searches among all 40. Long clips: several events in a row, no combination
twice; the right answer is the window that covers more than half of the event.

python -m benchmarks.retrieval [--rounds 5] [--long-clips 12] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.e2e.service import running, upload, wait_for_job
from xclip.motion import HELD_OUT, TRAINING, Subject
from xclip.motion_clips import ClipPlan, long_clips, sample_clips


@dataclass(frozen=True)
class Result:
    """One line of the table; `bar` is what the project promises, `chance` what guessing gives."""

    measure: str
    queries: int
    value: float
    chance: float
    bar: float | None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="draws of the 40 held-out clips")
    parser.add_argument("--long-clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running(data) as service, service.client() as client:
            bench = Bench(client, Path(folder), np.random.default_rng(arguments.seed))
            results = bench.held_out(arguments.rounds) + bench.long(arguments.long_clips)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_table(results, time.monotonic() - started)


class Bench:
    """A running service, a folder for clips, and the random numbers they are drawn with."""

    def __init__(self, client: httpx.Client, folder: Path, random: np.random.Generator) -> None:
        self.client = client
        self.folder = folder
        self.random = random

    def held_out(self, rounds: int) -> list[Result]:
        """Text→video among one clip of each held-out combination, and two-way against opposites."""
        ranks: list[int] = []
        two_way: list[bool] = []
        for number in range(rounds):
            plans = sample_clips(self.random, len(HELD_OUT), HELD_OUT)
            collection = f"held-out-{number}"
            videos = self.ingest(collection, plans)
            for plan in plans:
                subject, video = plan.events[0].subject, videos[plan.name]
                found = self.search(collection, subject, len(plans))
                ranks.append([hit["video_id"] for hit in found].index(video))
                two_way.append(self.right_way(collection, subject, video))
        total = len(ranks)
        return [
            Result("held-out R@1", total, float(np.mean(np.less(ranks, 1))), 1 / 40, 0.6),
            Result("held-out R@5", total, float(np.mean(np.less(ranks, 5))), 5 / 40, None),
            Result("held-out, against its opposite", total, float(np.mean(two_way)), 0.5, None),
        ]

    def long(self, count: int) -> list[Result]:
        """Text→window among all windows of the long clips."""
        plans = long_clips(self.random, count, (*TRAINING, *HELD_OUT))
        videos = self.ingest("long", plans)
        right = []
        windows = 0
        for plan in plans:
            windows += 2 * len(plan.events) - 1
            for event in plan.events:
                best = self.search("long", event.subject, 1)[0]
                overlap = min(best["end"], event.end) - max(best["start"], event.start)
                covers = overlap > (event.end - event.start) / 2
                right.append(best["video_id"] == videos[plan.name] and covers)
        share = float(np.mean(right))
        return [Result("long clips, right window first", len(right), share, 1 / windows, 0.6)]

    def ingest(
        self, name: str, plans: Sequence[ClipPlan], into: str | None = None
    ) -> dict[str, str]:
        """Encode, upload and wait; return the video id of each plan's name.

        The collection is `name` too, unless the clips go into another.
        """
        collection = into or name
        self.client.put(f"/v1/collections/{collection}", json={}).raise_for_status()
        folder = self.folder / name
        folder.mkdir()
        jobs = {}
        for plan in plans:
            answer = upload(self.client, plan.write(folder), collection=collection)
            answer.raise_for_status()
            jobs[plan.name] = answer.json()["job"]["id"]
        ended = {name: wait_for_job(self.client, job, 300) for name, job in jobs.items()}
        assert {job["status"] for job in ended.values()} == {"succeeded"}, ended
        return {name: job["video_id"] for name, job in ended.items()}

    def search(self, collection: str, subject: Subject, top_k: int) -> list[dict[str, Any]]:
        """Return the ranked results for the subject's caption."""
        answer = self.client.post(
            f"/v1/collections/{collection}/search", json={"text": subject.caption, "top_k": top_k}
        )
        answer.raise_for_status()
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def right_way(self, collection: str, subject: Subject, video: str) -> bool:
        """Whether the true caption is more probable than the same with the opposite motion."""
        answer = self.client.post(
            f"/v1/collections/{collection}/classify",
            json={"labels": [subject.caption, subject.opposite.caption], "video_ids": [video]},
        )
        answer.raise_for_status()
        return bool(answer.json()["videos"][0]["scores"][subject.caption] > 0.5)


def print_table(results: Sequence[Result], seconds: float) -> None:
    """Print the figures beside chance and the promised bar."""
    table = Table(title=f"motion-tiny over the REST API, encoded mp4 files ({seconds:.0f} s)")
    for column in ("measure", "queries", "value", "chance", "bar"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for result in results:
        bar = "" if result.bar is None else f"≥ {result.bar:.2f}"
        value = f"{result.value:.3f}"
        table.add_row(result.measure, str(result.queries), value, f"{result.chance:.3f}", bar)
    Console().print(table)


if __name__ == "__main__":
    main()
