"""What storing prompts as float16 or int8 does to scores and rankings, against float32.

Real clips of the generated world, encoded as mp4 and decoded, scored against every caption. The
line "pixels ±1" is the yardstick: the same clips with one step of random grain in every pixel, less
than any video codec leaves.

python -m benchmarks.precision [--clips 200] [--base-clips 24] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.model_api.tensor_records import split_records, stack_records
from app.settings import StoredPrecision
from benchmarks.random_model import random_encoder
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.motion.clips import sample_clips
from xclip.motion.world import HELD_OUT, TRAINING
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation

Logits = NDArray[np.float32]  # (B clips, N texts)


@dataclass(frozen=True)
class Result:
    """One way of storing, of one model: logits that move, and rankings of the clips per text.

    spread : standard deviation of a text's logits over the clips
    tau : Kendall's rank correlation with the float32 ranking, mean over the texts
    top_1, top_10 : share of texts whose best clip, and mean share of whose ten best, are the same
    """

    model: str
    stored_as: str
    clips: int
    texts: int
    spread: float
    mean_moved: float
    max_moved: float
    tau: float
    top_1: float
    top_10: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--base-clips", type=int, default=24, help="for the random base models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = list(measure(load_encoder("motion-tiny"), arguments.clips, arguments.seed))
    for patch_size in (32, 16):
        results += measure(
            random_encoder(patch_size, torch.float32), arguments.base_clips, arguments.seed
        )
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_table(results)


def measure(encoder: Encoder, clips: int, seed: int) -> Iterator[Result]:
    """Compare each precision, and disturbed pixels, with the float32 scores."""
    random = np.random.default_rng(seed)
    frames = decoded_clips(encoder, clips, random)
    texts = encoder.encode_text([subject.caption for subject in (*HELD_OUT, *TRAINING)])
    exact = encode(encoder, frames)
    scores = encoder.score(texts, exact)
    scored = {
        precision: encoder.score(texts, stored_as(exact, precision))
        for precision in get_args(StoredPrecision)
    }
    grain = random.integers(-1, 2, frames.shape)
    disturbed = np.clip(frames + grain, 0, 255).astype(np.uint8)
    scored["pixels ±1"] = encoder.score(texts, encode(encoder, disturbed))
    for name, others in scored.items():
        yield compare(encoder.name, name, scores, others)


def stored_as(videos: StoredSegments, precision: StoredPrecision) -> StoredSegments:
    """Return what is read of records in this precision."""
    no_bank = np.zeros((len(videos), 0), np.float16)
    return stack_records(split_records(videos, precision, "none", no_bank))


def decoded_clips(encoder: Encoder, count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Write `count` clips as mp4 and read the frames of the first window of each."""
    request = DecodeRequest(Segmentation(5.0, 5.0), encoder.num_frames, encoder.geometry)
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        for plan in sample_clips(random, count, (*HELD_OUT, *TRAINING)):
            path = plan.write(Path(folder))
            with path.open("rb") as file:
                frames.append(next(decode_segments(file, request)).frames)
            path.unlink()
    return np.stack(frames)


def encode(encoder: Encoder, frames: NDArray[np.uint8]) -> StoredSegments:
    """Encode a few clips at a time."""
    parts = [encoder.encode_video(frames[start : start + 4]) for start in range(0, len(frames), 4)]
    return StoredSegments.concatenate(parts)


def compare(model: str, stored_as: str, exact: Logits, others: Logits) -> Result:
    """Compare two tables of the same clips and texts."""
    moved = np.abs(exact - others)
    best, other_best = (np.argsort(-table, axis=0, kind="stable") for table in (exact, others))
    ten = [
        len(set(best[:10, n]) & set(other_best[:10, n])) / len(best[:10])
        for n in range(exact.shape[1])
    ]
    return Result(
        model=model,
        stored_as=stored_as,
        clips=len(exact),
        texts=exact.shape[1],
        spread=float(exact.std(axis=0).mean()),
        mean_moved=float(moved.mean()),
        max_moved=float(moved.max()),
        tau=float(np.mean([kendall(*columns) for columns in zip(exact.T, others.T, strict=True)])),
        top_1=float((best[0] == other_best[0]).mean()),
        top_10=float(np.mean(ten)),
    )


def kendall(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of pairs in the same order minus that of pairs in opposite orders."""
    above = np.triu_indices(len(one), 1)
    signs = [np.sign(values[:, None] - values)[above] for values in (one, other)]
    return float((signs[0] * signs[1]).mean())


def print_table(results: Sequence[Result]) -> None:
    """Print a block of lines for each model."""
    table = Table(title="scores from stored prompts, against float32")
    headings = ("model", "stored as", "clips × texts", "spread", "mean |Δ|", "max |Δ|")
    for column in (*headings, "Kendall τ", "top 1", "top 10"):
        table.add_column(column, justify="left" if column in headings[:2] else "right")
    for result in results:
        table.add_row(
            result.model,
            result.stored_as,
            f"{result.clips} × {result.texts}",
            f"{result.spread:.3f}",
            f"{result.mean_moved:.1e}",
            f"{result.max_moved:.1e}",
            f"{result.tau:.4f}",
            f"{result.top_1:.3f}",
            f"{result.top_10:.3f}",
            end_section=result is results[-1] or result.stored_as == "pixels ±1",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
