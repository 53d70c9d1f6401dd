"""How quick an ingest is beside its two halves, and whether memory stays flat.

A real service ingests a folder of clips, uploads included. In the same rounds, on the same model:
decode only, with the service's own decoder, as many files at once, nothing computed; and embed
only, as many segments from memory on as many threads, nothing decoded. Where each half has
processors of its own, a pipeline in which none waits for the other takes as long as the slower
one; where they share all processors, it cannot be quicker than the work of both on all of them.

python -m benchmarks.ingest [--clips FOLDER] [--count 40] [--model MODEL] [--threads 1]
    [--rounds 5] [--json]

Without --clips, 1080p H.264 clips of 4 to 10 seconds are generated; without --model it is a
network of base-patch32's size with random weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from app.worker.batcher import segments_at_once
from app.worker.decoding import Decoder
from benchmarks.overload import resident_mb
from benchmarks.random_model import save_random_base
from tests.e2e.service import Service, running, upload, wait_for_job
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.errors import VideoError
from xclip.video.decode import DecodedSegment
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.process import start_fork_server

HEIGHT, WIDTH, FPS = 1080, 1920, 24
LENGTHS_S = (4, 6, 8, 10)
TIMEOUT_S = 3600.0
SAMPLE_S = 0.25
DECODE, EMBED, WHOLE = "decode only", "embed only", "end to end"
BAR = 0.85


def main() -> None:
    """Measure in rounds and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, help="a folder of videos instead of generated ones")
    parser.add_argument("--count", type=int, default=40, help="of generated clips")
    parser.add_argument("--model", help="as XCLIP_MODEL")
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    start_fork_server()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or str(folder / "checkpoint")
        if arguments.model is None:
            save_random_base(folder / "checkpoint", patch_size=32)
        clips = arguments.clips or generate(folder / "clips", arguments.count)
        halves = Halves.prepare(load_encoder(model, device="cpu"), clips)
        settings = {"XCLIP_MODEL": model, "XCLIP_THREADS": str(arguments.threads)}
        with running(folder / "data", **settings) as service:
            rounds = measure(service, halves, arguments.rounds)
    figures = summary(rounds) | {
        "clips": len(halves.files),
        "segments": halves.segments,
        "at once": halves.at_once,
        "threads": arguments.threads,
        "model": arguments.model or "random base-patch32",
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print_figures(figures)


def generate(folder: Path, count: int) -> Path:
    """Write `count` different files: as many pictures as lengths, each file with a box of its own.

    The service would know a file's bytes again; decoders pass over an empty box.
    """
    folder.mkdir()
    contents = []
    for seed, seconds in enumerate(LENGTHS_S):
        path = folder / "pictures.mp4"
        write_clip(path, seconds, seed)
        contents.append(path.read_bytes())
        path.unlink()
    for number in range(count):
        box = struct.pack(">I4sQ", 16, b"free", number)
        (folder / f"{number:03d}.mp4").write_bytes(contents[number % len(contents)] + box)
    return folder


def write_clip(path: Path, seconds: int, seed: int) -> None:
    """Write a textured picture that pans, with grain, as a camera's encoder would."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 180, (HEIGHT // 60, WIDTH // 60, 3), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((60, 60, 1), np.uint8))
    grain = random.integers(0, 16, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "26"}
        for number in range(seconds * FPS):
            pixels = np.roll(picture, -9 * number, axis=1) + grain[number % len(grain)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@dataclass(frozen=True)
class Halves:
    """What an ingest of some files is made of.

    files : those that can be decoded; segments : how many they have together
    some : a few of them, for as much memory as a service has under way
    """

    encoder: Encoder
    decoder: Decoder
    files: Sequence[Path]
    segments: int
    some: Sequence[DecodedSegment]
    at_once: int

    @classmethod
    def prepare(cls, encoder: Encoder, folder: Path) -> Halves:
        """Decode every file once, which also warms the disk."""
        settings = Settings()
        decoder = Decoder.for_model(encoder, settings)
        files, segments, some = [], 0, list[DecodedSegment]()
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            try:
                decoded = decode(decoder, path)
            except VideoError:
                continue
            files.append(path)
            segments += len(decoded)
            some = (some + decoded)[: 2 * segments_at_once(encoder)]
        return cls(encoder, decoder, files, segments, some, settings.ingests_at_once)

    def decode_all(self) -> None:
        """Decode every file, as many at once as the service."""
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(lambda path: len(decode(self.decoder, path)), self.files))

    def embed_all(self) -> None:
        """Compute what a worker computes of as many segments."""
        bank = self.encoder.encode_text(self.encoder.bank)
        frames = islice(cycle(segment.frames for segment in self.some), self.segments)
        while batch := list(islice(frames, segments_at_once(self.encoder))):
            self.encoder.score(bank, self.encoder.encode_video(np.stack(batch)))


def decode(decoder: Decoder, path: Path) -> list[DecodedSegment]:
    """Every segment, as a worker gets them."""
    with decoder.open(path, Segmentation(), lambda: False) as decoding:
        return list(decoding.segments())


@dataclass
class Rounds:
    """Seconds of each round, and megabytes of the service's processes over all of them."""

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {DECODE: [], EMBED: [], WHOLE: []}
    )
    memory: dict[str, list[float]] = field(default_factory=lambda: {"api": [], "worker": []})


def measure(service: Service, halves: Halves, count: int) -> Rounds:
    """Take all three in turn, `count` times, after a round that is not counted."""
    rounds = Rounds()
    ingest_all(service, halves.files[: halves.at_once], "warm-up")
    for number in range(count):
        for name, work in ((DECODE, halves.decode_all), (EMBED, halves.embed_all)):
            began = time.perf_counter()
            work()
            rounds.seconds[name].append(time.perf_counter() - began)
        with sampled(service.process_ids(), rounds.memory):
            began = time.perf_counter()
            indexed = ingest_all(service, halves.files, f"round-{number}")
            rounds.seconds[WHOLE].append(time.perf_counter() - began)
        assert indexed == halves.segments
    return rounds


def ingest_all(service: Service, files: Sequence[Path], collection: str) -> int:
    """Upload the files into a new collection and see their jobs end; how many segments it has."""
    with service.client() as client:
        client.put(f"/v1/collections/{collection}", json={}).raise_for_status()
        jobs = [upload(client, file, collection=collection).json()["job"]["id"] for file in files]
        ended = [wait_for_job(client, job, TIMEOUT_S) for job in jobs]
        assert {job["status"] for job in ended} == {"succeeded"}, ended
        return int(client.get(f"/v1/collections/{collection}").json()["segments"])


@contextmanager
def sampled(processes: dict[str, int], memory: dict[str, list[float]]) -> Iterator[None]:
    """Within the block, note the processes' memory a few times a second."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            for name, sizes in memory.items():
                sizes.append(resident_mb(processes[name]))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def summary(rounds: Rounds) -> dict[str, Any]:
    """Medians, and the memory at the end of each fifth of the time."""
    seconds = {name: statistics.median(times) for name, times in rounds.seconds.items()}
    slower = max(seconds[DECODE], seconds[EMBED])
    return {
        "seconds": seconds,
        "rounds": rounds.seconds,
        "ratio to the slower": slower / seconds[WHOLE],
        "ratio to both in turn": (seconds[DECODE] + seconds[EMBED]) / seconds[WHOLE],
        "memory mb": {
            name: [sizes[(len(sizes) - 1) * fifth // 5] for fifth in range(6)]
            for name, sizes in rounds.memory.items()
        },
    }


def print_figures(figures: dict[str, Any]) -> None:
    """Print a table of times and a line for each process."""
    table = Table(
        title=f"{figures['clips']} clips, {figures['segments']} segments, {figures['model']}, "
        f"{figures['threads']} thread(s), {figures['at once']} files at once"
    )
    for column in ("work", "seconds", "each round"):
        table.add_column(column, justify="right")
    for name, seconds in figures["seconds"].items():
        each = " ".join(f"{one:.1f}" for one in figures["rounds"][name])
        table.add_row(name, f"{seconds:.1f}", each)
    console = Console(width=120)
    console.print(table)
    console.print(
        f"{figures['ratio to the slower']:.2f} of the slower half's speed (bar {BAR}), "
        f"{figures['ratio to both in turn']:.2f} times the speed of one after the other"
    )
    for name, sizes in figures["memory mb"].items():
        console.print(f"memory of the {name}, MB: {' '.join(f'{size:.0f}' for size in sizes)}")


if __name__ == "__main__":
    main()
