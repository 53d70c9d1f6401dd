"""How well free events are found, bounded, believed and put in order, method by method.

A generated archive (`benchmarks.moments.archive`) is scored as the service scores it
(`benchmarks.moments.scores`), and every method (`benchmarks.moments.methods`) makes its answers of
the same scores. The figures are explained in `benchmarks.moments.figures`; each has its 95 %
interval over texts. Parameters of the methods were chosen on seed 7: other seeds are the test.

60 videos are about 640 windows of 5 s, 450 about 5,000. The scores of the smaller archive take a
minute of one core, of the larger about seven; they are kept in the folder `--cache`.

python -m benchmarks.moments [--seeds 11 23 41] [--videos 60] [--model motion-tiny]
    [--cache build/moments] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.estimates import Estimate
from benchmarks.moments.archive import EVERY_SUBJECT, Archive, Event, draw_archive
from benchmarks.moments.figures import Figure, gained, in_order, of_text, summarised
from benchmarks.moments.methods import METHODS, WITHIN_S, Method
from benchmarks.moments.scores import Scorer, TextScores
from xclip.encoders import load_encoder

LENGTHS = (2, 3, 4)  # steps of a sequence
TEXTS = [subject.caption for subject in EVERY_SUBJECT]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 23, 41])
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--model", default="motion-tiny")
    parser.add_argument("--cache", type=Path, default=Path("build/moments"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    scorer = Scorer(load_encoder(arguments.model, device="cpu", num_threads=1), arguments.cache)
    began = time.process_time()
    texts: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    windows = []
    for seed in arguments.seeds:
        archive = draw_archive(seed, arguments.videos)
        scores = scorer.of_texts(archive, TEXTS)
        windows.append(len(scores[0].coarse.video))
        for method in METHODS:
            texts[method.name] += [
                {"seed": seed, **text} for text in measured(method, archive, scores)
            ]
    figures = {name: summarised(of_method) for name, of_method in texts.items()}
    gains = {name: gained(texts[METHODS[0].name], some) for name, some in texts.items()}
    if arguments.json:
        print(json.dumps({"figures": plain(figures), "gains": plain(gains)}, indent=2))
        return
    seeds = ", ".join(map(str, arguments.seeds))
    title = f"seeds {seeds}: {min(windows)} to {max(windows)} windows of 5 s"
    print_table(f"{title}, {time.process_time() - began:.0f} s of processor", figures)
    print_table("gained on today's, same texts", gains)


def measured(
    method: Method, archive: Archive, scores: Sequence[TextScores]
) -> list[dict[str, float]]:
    """The figures of every text, then of every sequence of the archive."""
    shown: defaultdict[str, list[Event]] = defaultdict(list)
    for event in archive.events:
        shown[event.subject.caption].append(event)
    by_text = dict(zip(TEXTS, scores, strict=True))
    answers = {text: method.moments(of) for text, of in by_text.items()}
    found = [of_text(answer, shown[text]) for text, answer in answers.items()]
    for length in LENGTHS:
        for wanted in sequences(archive, length):
            captions = [event.subject.caption for event in wanted]
            steps = method.sequence(
                [by_text[text] for text in captions], [answers[text] for text in captions]
            )
            right = in_order(steps, [shown[text] for text in captions])
            found.append({f"{length} in order first": float(right)})
    return found


def sequences(archive: Archive, length: int) -> list[tuple[Event, ...]]:
    """Events of one video in a row, none over another, each soon after the one before."""
    rows = [
        video.events[first : first + length]
        for video in archive.videos
        for first in range(len(video.events) - length + 1)
    ]
    return [row for row in rows if all(map(_follows, row, row[1:]))]


def _follows(before: Event, after: Event) -> bool:
    return 0 <= after.start - before.end <= WITHIN_S


def plain(methods: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, object]]:
    """The figures as JSON has them."""
    return {
        method: {name: asdict(figure) for name, figure in figures.items()}
        for method, figures in methods.items()
    }


def print_table(title: str, methods: Mapping[str, Mapping[str, Figure]]) -> None:
    """Print one row a figure, one column a method."""
    table = Table(title=title)
    table.add_column("figure", no_wrap=True)
    table.add_column("of", justify="right")
    for name in methods:
        table.add_column(name, justify="right")
    first = next(iter(methods.values()))
    for name, figure in first.items():
        table.add_row(
            name, str(figure.count), *(_cell(of[name].estimate) for of in methods.values())
        )
    Console().print(table)


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}\n{estimate.low:.3f} to {estimate.high:.3f}"


if __name__ == "__main__":
    main()
