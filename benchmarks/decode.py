"""How long frames take, from a file to the model's 224 x 224, beside others that give the same.

Eight frames of a window in files of five codecs, a minute of small AV1 and HDR, and all windows
(5 s every 2.5 s) of the longest. Of HDR, peers without tone mapping return other pictures.
The files are generated once and kept in build/decode-clips, or they are those of a folder; every
peer's pictures go through the same resize, and a peer that returns others than a full decode is
named and left out. All take turns, on as many libav and PyTorch threads. Beside the time there is
the processor's: on a machine that others use, the steadier of the two.

torchcodec, decord and OpenCV come with the extra `bench`; torchcodec also wants FFmpeg's libraries.

python -m benchmarks.decode [--clips FOLDER] [--rounds 5] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.decode_clips import LONG, make_clips
from benchmarks.decode_peers import NAIVE, PEERS, Peer, lacking
from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.containers import Limits
from xclip.video.decode import DecodeRequest, Segments, decode_window
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation, Window, instants, windows

OURS = "X-CLIP Search"
REQUEST = DecodeRequest(Segmentation(5.0, 2.5), 8, FrameGeometry(224, 224))
GENERATED = Path("build/decode-clips")
SHORTEST_S = 2.0
LEAST, LEAST_MEAN, LEAST_NAIVE, LEAST_ALL = 1.0, 1.25, 5.0, 1.4
MAX_DIFFERENCE = 3  # grey levels: versions of libswscale round differently

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Task:
    """Windows of one file that are wanted; of several, whole videos' are meant."""

    title: str
    path: Path
    windows: tuple[Window, ...]

    @property
    def moments(self) -> NDArray[np.float64]:
        """Seconds, ascending; windows that overlap share some."""
        return np.concatenate([instants(window, REQUEST.num_frames) for window in self.windows])


@dataclass(frozen=True)
class Result:
    """What one of them took for one task; medians. `note` says why there is nothing."""

    task: str
    by: str
    wall_ms: float | None = None
    processor_ms: float | None = None
    note: str = ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, help="measure a folder's files, not generated ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=1, help="of libav and PyTorch, for all sides"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tasks = found_tasks(arguments.clips) if arguments.clips else generated_tasks()
    results = [
        result for task in tasks for result in measured(task, arguments.rounds, arguments.threads)
    ]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_tables(results, arguments.threads)


def generated_tasks() -> list[Task]:
    """A window of each generated file, and all windows of the long one."""
    made = make_clips(GENERATED)
    tasks = [Task(recipe.title, path, (Window(*recipe.window),)) for path, recipe in made.items()]
    return [*tasks, all_windows(GENERATED / LONG.name, LONG.seconds)]


def found_tasks(folder: Path) -> list[Task]:
    """The middle four seconds of each file that is long enough, and all of the longest."""
    durations: dict[Path, float] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".mp4", ".mov", ".webm", ".mkv"}:
            with path.open("rb") as file:
                durations[path] = probe(file, Limits()).info.duration_s
    tasks = []
    for path, duration_s in durations.items():
        if duration_s >= SHORTEST_S:
            start = max(0.0, duration_s / 2 - 2)
            window = Window(start, min(duration_s, start + 4))
            tasks.append(Task(f"{path.name}, {window.end - start:.1f} s", path, (window,)))
    longest = max(durations, key=lambda path: durations[path])
    return [*tasks, all_windows(longest, durations[longest])]


def all_windows(path: Path, duration_s: float) -> Task:
    """The task of an ingest."""
    planned = tuple(windows(duration_s, REQUEST.segmentation))
    return Task(f"all {len(planned)} windows of {path.name}", path, planned)


def measured(task: Task, rounds: int, threads: int) -> list[Result]:
    """Every way to do `task`, in turns; the first, untimed round compares the frames.

    Of all windows, the naive way is only the measure of what is right: it takes for ever.
    """
    calls: dict[str, Callable[[], Frames]] = {OURS: partial(ours, task, threads)}
    results: list[Result] = []
    expected = peer_frames(PEERS[NAIVE], task, threads)
    for name, peer in PEERS.items():
        call: Callable[[], Frames] = partial(peer_frames, peer, task, threads)
        if name == NAIVE:
            if len(task.windows) == 1:
                calls[name] = call
            continue
        note = lacking(name) or what_is_wrong(call, expected)
        if note:
            results.append(Result(task.title, name, note=note))
        else:
            calls[name] = call
    assert what_is_wrong(calls[OURS], expected) is None, "the frames of a full decode are promised"
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            spent = time.perf_counter() - wall, time.process_time() - processor
            taken[name].append(spent)
    for name, times in taken.items():
        wall_ms, processor_ms = (1_000 * median(column) for column in zip(*times, strict=True))
        results.append(Result(task.title, name, wall_ms, processor_ms))
    return results


def ours(task: Task, threads: int) -> Frames:
    """All that an ingest takes from a file, or one window of it: uint8 (frames, S, S, 3)."""
    with task.path.open("rb", buffering=0) as file:
        if len(task.windows) == 1:
            (window,) = task.windows
            return decode_window(file, window.start, window.end, REQUEST, threads=threads).frames
        found = probe(file, REQUEST.limits)
        segments = Segments(file, found, REQUEST, threads=threads)
        return np.concatenate([segment.frames for segment in segments])


def peer_frames(peer: Peer, task: Task, threads: int) -> Frames:
    """The same by way of a peer, which need not fetch or resize a picture twice."""
    moments, places = np.unique(task.moments, return_inverse=True)
    small = [
        resize_and_crop(picture, REQUEST.geometry) for picture in peer(task.path, moments, threads)
    ]
    return np.stack(small)[places]


def what_is_wrong(call: Callable[[], Frames], expected: Frames) -> str | None:
    """Why what a call returns cannot be compared, if so."""
    try:
        frames = call()
    except Exception as error:  # noqa: BLE001 - peers raise whatever they like
        return f"cannot: {str(error).splitlines()[0][:60]}"
    if frames.shape != expected.shape:
        return f"returns {len(frames)} frames, not {len(expected)}"
    difference = int(np.abs(frames.astype(np.int16) - expected).max())
    return f"other pictures, by up to {difference}" if difference > MAX_DIFFERENCE else None


def print_tables(results: list[Result], threads: int) -> None:
    """Each task's times, then how much longer the best peer takes."""
    table = Table(title=f"decoding, everybody on {threads} libav and PyTorch thread(s)")
    for column in ("task", "by", "ms", "processor ms", "÷ ours", "processor ÷ ours", "bar"):
        table.add_column(column, justify="left" if column in ("task", "by") else "right")
    ratios: dict[str, tuple[float, float]] = {}
    for task in dict.fromkeys(result.task for result in results):
        rows = [result for result in results if result.task == task]
        ratios |= add_task(table, task, rows)
    single = [ratio for task, ratio in ratios.items() if not task.startswith("all ")]
    if single:
        means = [f"{geometric_mean(column):.2f}" for column in zip(*single, strict=True)]
        bar = f"≥ {LEAST_MEAN:g} ×"
        table.add_row("geometric mean, single windows", "best peer", "", "", *means, bar)
    Console(width=120).print(table)


def add_task(table: Table, task: str, rows: list[Result]) -> dict[str, tuple[float, float]]:
    """Add one task's lines; returns how the best peer compares, by either clock."""
    (own,) = (row for row in rows if row.by == OURS)
    assert own.wall_ms is not None, "ours was measured"
    assert own.processor_ms is not None, "so was its processor time"
    compared: list[tuple[float, float]] = []
    for row in rows:
        if row.wall_ms is None or row.processor_ms is None:
            table.add_row(task, row.by, row.note)
            continue
        ratio = row.wall_ms / own.wall_ms, row.processor_ms / own.processor_ms
        if row.by not in (OURS, NAIVE):
            compared.append(ratio)
        bar = f"≥ {LEAST_NAIVE:g} ×" if row.by == NAIVE and "60 s" in task else ""
        ratios = (f"{value:.2f}" for value in ratio)
        table.add_row(task, row.by, f"{row.wall_ms:.1f}", f"{row.processor_ms:.1f}", *ratios, bar)
    if not compared:
        return {}
    best = min(wall for wall, _ in compared), min(processor for _, processor in compared)
    least = LEAST_ALL if task.startswith("all ") else LEAST
    table.add_row("", "best peer", "", "", *(f"{value:.2f}" for value in best), f"≥ {least:g} ×")
    table.add_section()
    return {task: best}


if __name__ == "__main__":
    main()
