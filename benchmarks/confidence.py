"""Is motion-tiny's confidence honest? And is A followed by B found? Over the REST API.

Confidence: collections of a random half of the held-out clips, asked for captions half of which
nothing in the collection shows. Counted are the captions that confidence was not fitted on. The
collections are parts of one, cut out by a filter. Besides, a harder kind of collection: twice as
large, filled up with subjects that training showed.

Two stages: the exact score's first answer beside the one of plain vectors alone.

Order: long clips of several events, asked for two that follow each other, then for the two
reversed.

python -m benchmarks.confidence [--rounds 8] [--long-clips 12] [--seed 2] [--json]
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

from app.catalog import Catalog
from benchmarks.bench_service import Bench
from tests.e2e.service import running
from xclip.confidence.calibration import expected_calibration_error
from xclip.encoders import load_encoder
from xclip.motion.clips import long_clips, sample_clips
from xclip.motion.world import EVALUATION, HELD_OUT, TRAINING, Subject

SURE = 0.5
COLLECTION = 20  # clips a search chooses from
DRAWS = 4  # collections out of each round's clips


@dataclass(frozen=True)
class Result:
    """One line of the table; `bar` is what the project promises, as text."""

    measure: str
    queries: int
    value: float
    bar: str


@dataclass(frozen=True)
class First:
    """The first answer to a query: whether the collection held a match, and whether this is it."""

    has_match: bool
    right: bool
    confidence: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="clips of each held-out subject")
    parser.add_argument("--long-clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running(data) as service, service.client() as client:
            bench = ConfidenceBench(client, Path(folder), np.random.default_rng(arguments.seed))
            results = bench.two_stages(data, arguments.rounds)
            results += bench.calibration(arguments.rounds, crowded=False)
            results += bench.calibration(arguments.rounds, crowded=True)
            results += bench.order(arguments.long_clips)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_table(results, time.monotonic() - started)


class ConfidenceBench(Bench):
    """Collections of held-out clips and of long clips in a running service."""

    def __init__(self, client: httpx.Client, folder: Path, random: np.random.Generator) -> None:
        super().__init__(client, folder, random)
        self.videos: list[dict[Subject, str]] = []
        self.others: dict[Subject, str] = {}

    def two_stages(self, data: Path, rounds: int) -> list[Result]:
        """Text→video among one clip of each held-out subject: exact, and plain vectors alone."""
        encoder = load_encoder("motion-tiny", device="cpu", num_threads=1)
        texts = encoder.encode_text([subject.caption for subject in HELD_OUT])
        exact: list[bool] = []
        plain: list[bool] = []
        for number in range(rounds):
            plans = sample_clips(self.random, len(HELD_OUT), HELD_OUT)
            ids = self.ingest(f"held-out-{number}", plans)
            videos = {plan.events[0].subject: ids[plan.name] for plan in plans}
            self.videos.append(videos)
            with Catalog.open(f"sqlite:///{data / 'catalog.sqlite'}") as catalog:
                rows = catalog.rows_by_video(f"held-out-{number}")
                order = [int(rows[videos[subject]][0]) for subject in HELD_OUT]
                vectors = catalog.embeddings_by_rows(order)
            best = (texts @ vectors.T).argmax(axis=1)
            plain += (best == np.arange(len(HELD_OUT))).tolist()
            for subject in HELD_OUT:
                found = self.search(f"held-out-{number}", subject, 1)[0]
                exact.append(found["video_id"] == videos[subject])
        total = len(exact)
        return [
            Result("R@1, exact two-stage score", total, float(np.mean(exact)), ""),
            Result("R@1, plain vectors alone", total, float(np.mean(plain)), ""),
        ]

    def calibration(self, rounds: int, *, crowded: bool) -> list[Result]:
        """Ask every collection for what is in it and for what is not."""
        answers: list[First] = []
        for number in range(rounds):
            videos = dict(self.videos[number])
            collection = f"held-out-{number}"
            if crowded:
                plans = sample_clips(self.random, COLLECTION, TRAINING)
                ids = self.ingest(f"crowd-{number}", plans, into=collection)
                others = [ids[plan.name] for plan in plans]
            else:
                others = []
            for _ in range(DRAWS):
                order = self.random.permutation(len(HELD_OUT))
                shown = [HELD_OUT[index] for index in order[:COLLECTION]]
                eligible = [videos[subject] for subject in shown] + others
                answers += [
                    self.first(collection, subject, eligible, videos, shown)
                    for subject in EVALUATION
                ]
        return summarise(answers, "crowded: " if crowded else "")

    def first(
        self,
        collection: str,
        subject: Subject,
        eligible: Sequence[str],
        videos: dict[Subject, str],
        shown: Sequence[Subject],
    ) -> First:
        """The first answer among the eligible videos."""
        found = self.ask(collection, text=subject.caption, top_k=1, filter={"video_id": eligible})
        best = found["results"][0]
        has_match = subject in shown
        return First(
            has_match, has_match and best["video_id"] == videos[subject], best["confidence"]
        )

    def order(self, count: int) -> list[Result]:
        """Two events in a row, in their order and in the other."""
        plans = long_clips(self.random, count, (*TRAINING, *HELD_OUT))
        videos = self.ingest("long", plans)
        right: list[bool] = []
        sure: list[bool] = []
        reversed_sure: list[bool] = []
        reversed_found: list[bool] = []
        for plan in plans:
            video = videos[plan.name]
            for before, after in zip(plan.events, plan.events[1:], strict=False):
                found = self.ask(
                    "long", then=[before.caption, after.caption], within_s=10, top_k=1
                )["results"][0]
                right.append(found["video_id"] == video and covers(found, (before, after)))
                sure.append(right[-1] and found["confidence"] >= SURE)
                back = self.ask(
                    "long",
                    then=[after.caption, before.caption],
                    within_s=10,
                    top_k=1,
                    min_confidence=SURE,
                )
                reversed_sure.append(not back["abstained"])
                results = back["results"]
                reversed_found.append(bool(results) and results[0]["video_id"] == video)
        total = len(right)
        return [
            Result("A then B: right video, both events", total, float(np.mean(right)), "≥ 0.80"),
            Result("A then B: so, and sure of it", total, float(np.mean(sure)), ""),
            Result("B then A: sure of that video", total, float(np.mean(reversed_found)), "0"),
            Result("B then A: sure of any video", total, float(np.mean(reversed_sure)), ""),
        ]


def covers(found: dict[str, Any], events: Sequence[Any]) -> bool:
    """Whether each step's window holds more than half of its event."""
    return all(
        min(step["end"], event.end) - max(step["start"], event.start)
        > (event.end - event.start) / 2
        for step, event in zip(found["steps"], events, strict=True)
    )


def summarise(answers: Sequence[First], prefix: str) -> list[Result]:
    """Calibration, abstention and what the cut keeps, with as many queries of either kind."""
    rng = np.random.default_rng(0)
    with_match = [answer for answer in answers if answer.has_match]
    without = [answer for answer in answers if not answer.has_match]
    each = min(len(with_match), len(without))
    with_match = [with_match[index] for index in rng.permutation(len(with_match))[:each]]
    without = [without[index] for index in rng.permutation(len(without))[:each]]
    both = with_match + without
    error = expected_calibration_error(
        np.array([answer.confidence for answer in both]),
        np.array([answer.right for answer in both]),
    )
    abstained = [answer.confidence < SURE for answer in without]
    kept = [answer.confidence >= SURE for answer in with_match if answer.right]
    first = [answer.right for answer in with_match]
    bar = "" if prefix else "≥ 0.90"
    return [
        Result(f"{prefix}calibration error", len(both), error, "" if prefix else "≤ 0.05"),
        Result(f"{prefix}no match: abstains at 0.5", len(without), float(np.mean(abstained)), bar),
        Result(f"{prefix}right first: kept at 0.5", len(kept), float(np.mean(kept)), bar),
        Result(f"{prefix}R@1 without the cut", len(first), float(np.mean(first)), ""),
    ]


def print_table(results: Sequence[Result], seconds: float) -> None:
    """Print the figures beside the promised bars."""
    table = Table(title=f"motion-tiny over the REST API: confidence and order ({seconds:.0f} s)")
    for column in ("measure", "queries", "value", "bar"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for result in results:
        table.add_row(result.measure, str(result.queries), f"{result.value:.3f}", result.bar)
    Console().print(table)


if __name__ == "__main__":
    main()
