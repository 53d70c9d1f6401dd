"""How often motion-tiny finds what it should: encoded clips in, words asked, over the REST API.

Held-out: one clip of each of the 40 combinations of colour, shape and motion that training never
showed; each caption searches among all 40. Two-way: how often a clip fits its own caption better
than the same with the opposite direction, or with the two events swapped, and so on for every kind
of the wider world, made of held-out combinations. Long clips: several events in a row, no
combination twice; the right answer is the window that covers more than half of the event.

Beside it, from the same files and weights: plain vectors, and the towers with frames averaged.

python -m benchmarks.retrieval [--rounds 5] [--kinds 80] [--long-clips 12] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.retrieval_peers import Peers
from tests.e2e.service import running, upload, wait_for_job
from xclip.motion.clips import ClipPlan, KindPlan, kind_clips, long_clips, sample_clips
from xclip.motion.kinds import HELD_OUT_KINDS
from xclip.motion.world import HELD_OUT, TRAINING, Subject

PAIRS = {
    "left": "left, right",
    "right": "left, right",
    "up": "up, down",
    "down": "up, down",
    "grow": "grow, shrink",
    "shrink": "grow, shrink",
    "clockwise": "clockwise, anticlockwise",
    "anticlockwise": "clockwise, anticlockwise",
}
ORDER = "order of two events"
RETRIEVAL_BAR, DIRECTION_BAR, ORDER_BAR, LONG_BAR = 0.9, 0.95, 0.85, 0.6
COLLECTION = len(HELD_OUT)


@dataclass(frozen=True)
class Result:
    """One line of the table; `bar` is what the project promises, `chance` what guessing gives."""

    measure: str
    queries: int
    service: float
    plain: float | None
    averaged: float | None
    chance: float
    bar: float | None


class Tally:
    """What was right, measure by measure, of the service and of both peers."""

    def __init__(self) -> None:
        self._right: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)

    def add(self, measure: str, service: bool, plain: bool, averaged: bool) -> None:
        """One query."""
        self._right[measure].append((service, plain, averaged))

    def result(self, measure: str, chance: float, bar: float | None) -> Result:
        """The shares of right answers."""
        service, plain, averaged = np.mean(self._right[measure], axis=0).tolist()
        count = len(self._right[measure])
        return Result(measure, count, service, plain, averaged, chance, bar)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="draws of the 40 held-out clips")
    parser.add_argument("--kinds", type=int, default=80, help="clips of each wider kind")
    parser.add_argument("--long-clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running(data) as service, service.client() as client:
            bench = Bench(client, Path(folder), np.random.default_rng(arguments.seed))
            peers = Peers("motion-tiny")
            results = held_out(bench, peers, arguments.rounds)
            results += kinds(bench, peers, arguments.kinds)
            results.append(long(bench, arguments.long_clips))
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

    def ingest(
        self, name: str, plans: Sequence[ClipPlan | KindPlan], into: str | None = None
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

    def right_way(self, collection: str, caption: str, contrast: str, video: str) -> bool:
        """Whether the true caption is more probable than its contrast."""
        answer = self.client.post(
            f"/v1/collections/{collection}/classify",
            json={"labels": [caption, contrast], "video_ids": [video]},
        )
        answer.raise_for_status()
        return bool(answer.json()["videos"][0]["scores"][caption] > 0.5)


def held_out(bench: Bench, peers: Peers, rounds: int) -> list[Result]:
    """Text→video among one clip of each held-out combination, and two-way against opposites."""
    tally = Tally()
    for number in range(rounds):
        collection = f"held-out-{number}"
        plans = sample_clips(bench.random, COLLECTION, HELD_OUT)
        videos = bench.ingest(collection, plans)
        shown = [plan.events[0].subject for plan in plans]
        captions = [subject.caption for subject in shown]
        frames = peers.frames([bench.folder / collection / plan.name for plan in plans])
        plain, averaged = peers.plain(frames, captions), peers.averaged(frames, captions)
        for place, (plan, subject) in enumerate(zip(plans, shown, strict=True)):
            video = videos[plan.name]
            found = [hit["video_id"] for hit in bench.search(collection, subject, COLLECTION)]
            ranks = [
                (scores[:, place] > scores[place, place]).sum() for scores in (plain, averaged)
            ]
            for k in (1, 5):
                tally.add(f"held-out R@{k}", found.index(video) < k, *(r < k for r in ranks))
            contrast = subject.opposite.caption
            other = captions.index(contrast)
            tally.add(
                PAIRS[subject.motion],
                bench.right_way(collection, subject.caption, contrast, video),
                plain[place, place] > plain[place, other],
                averaged[place, place] > averaged[place, other],
            )
    return [
        tally.result("held-out R@1", 1 / COLLECTION, RETRIEVAL_BAR),
        tally.result("held-out R@5", 5 / COLLECTION, None),
        *(tally.result(pair, 0.5, DIRECTION_BAR) for pair in dict.fromkeys(PAIRS.values())),
    ]


def kinds(bench: Bench, peers: Peers, count: int) -> list[Result]:
    """Two-way for each kind of the wider world."""
    tally = Tally()
    for number, (name, draw) in enumerate(HELD_OUT_KINDS.items()):
        shown = [draw(bench.random) for _ in range(count)]
        plans = kind_clips(bench.random, shown)
        collection = f"kind-{number}"
        videos = bench.ingest(collection, plans)
        captions = [kind.caption for kind in shown]
        contrasts = [kind.contrast.caption for kind in shown]
        frames = peers.frames([bench.folder / collection / plan.name for plan in plans])
        texts = captions + contrasts
        plain, averaged = peers.plain(frames, texts), peers.averaged(frames, texts)
        for place, plan in enumerate(plans):
            video = videos[plan.name]
            tally.add(
                name,
                bench.right_way(collection, captions[place], contrasts[place], video),
                plain[place, place] > plain[place, count + place],
                averaged[place, place] > averaged[place, count + place],
            )
    bars = {ORDER: ORDER_BAR}
    return [tally.result(name, 0.5, bars.get(name)) for name in HELD_OUT_KINDS]


def long(bench: Bench, count: int) -> Result:
    """Text→window among all windows of the long clips."""
    plans = long_clips(bench.random, count, (*TRAINING, *HELD_OUT))
    videos = bench.ingest("long", plans)
    right = []
    windows = 0
    for plan in plans:
        windows += 2 * len(plan.events) - 1
        for event in plan.events:
            best = bench.search("long", event.subject, 1)[0]
            overlap = min(best["end"], event.end) - max(best["start"], event.start)
            covers = overlap > (event.end - event.start) / 2
            right.append(best["video_id"] == videos[plan.name] and covers)
    share = float(np.mean(right))
    name = "long clips, right window first"
    return Result(name, len(right), share, None, None, 1 / windows, LONG_BAR)


def print_table(results: Sequence[Result], seconds: float) -> None:
    """Print the figures beside chance and the promised bar."""
    table = Table(title=f"motion-tiny over the REST API, encoded mp4 files ({seconds:.0f} s)")
    table.add_column("measure", no_wrap=True)
    for column in ("queries", "service", "plain", "averaged", "chance", "bar"):
        table.add_column(column, justify="right")
    for result in results:
        shares = (result.service, result.plain, result.averaged, result.chance)
        cells = ["" if share is None else f"{share:.3f}" for share in shares]
        bar = "" if result.bar is None else f"≥ {result.bar:.2f}"
        table.add_row(result.measure, str(result.queries), *cells, bar)
    Console().print(table)


if __name__ == "__main__":
    main()
