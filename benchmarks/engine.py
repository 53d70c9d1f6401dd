"""What encoding costs at base-patch32's size, beside transformers with the same random weights.

One clip of 8 frames to its embedding and prompt, and to its embedding alone; one query of 8 tokens,
which transformers pads to 77 as the published processor does; 1, 4 and 16 clips, so that anything
above linear shows. Both sides begin with frames of the right size in memory: ours as bytes, theirs
as normalised pixel values. Then what bfloat16 does to scores, beside one step of random grain in
every pixel, on clips of the generated world that were encoded as mp4 and decoded.

With one thread the clock counts the processor's time, so other work on the machine changes little;
with more it is the clock on the wall.

python -m benchmarks.engine [--rounds 7] [--threads 1] [--clips 100] [--json]
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import XCLIPConfig as PeerConfig
from transformers import XCLIPModel as PeerModel

from benchmarks.precision import Result as Moved
from benchmarks.precision import compare, decoded_clips, encode, print_table
from benchmarks.random_model import random_base
from xclip import scoring
from xclip.inference.engine import Engine
from xclip.model import XCLIPModel
from xclip.motion.world import HELD_OUT, TRAINING
from xclip.preprocess import normalise
from xclip.processor import XCLIPProcessor
from xclip.xclip_encoder import XCLIPEncoder

QUERY_TOKENS, PADDED_TO = 8, 77
GROWTH = (1, 4, 16)
EXACT, ROUNDED = torch.float32, torch.bfloat16


@dataclass(frozen=True)
class Result:
    """One line of the table; `bar` is what the project promises."""

    measure: str
    value: float
    unit: str
    bar: str = ""


@dataclass(frozen=True)
class Peer:
    """transformers' network, asked for what this project keeps of a video."""

    model: PeerModel

    @classmethod
    def of(cls, model: XCLIPModel) -> Peer:
        """Take over the weights of `model`, in float32 and with its default attention."""
        config = PeerConfig.from_dict(model.config.to_dict(), attn_implementation="sdpa")
        peer = PeerModel(config).eval()
        peer.load_state_dict(model.state_dict())
        return cls(peer)

    def rounded(self) -> Peer:
        """Return it in bfloat16."""
        return Peer(copy.deepcopy(self.model).to(ROUNDED))

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The calls of its `forward` up to the prompt generator: (B, D) and (B, P, D)."""
        model, (videos, frames) = self.model, pixels.shape[:2]
        vision = model.vision_model(pixel_values=pixels.flatten(0, 1))
        projected = model.visual_projection(vision.pooler_output)
        embedding = model.mit(projected.view(videos, frames, -1)).pooler_output
        patches = model.prompts_visual_layernorm(vision.last_hidden_state[:, 1:])
        patches = patches @ model.prompts_visual_projection
        patches = patches.view(videos, frames, -1, patches.shape[-1]).mean(1)
        embedding = embedding / embedding.norm(dim=-1, keepdim=True)
        return embedding, model.prompts_generator.layernorm(patches)

    @torch.inference_mode()
    def embed(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, D) by the public call."""
        embedding: Tensor = self.model.get_video_features(pixels).pooler_output
        return embedding / embedding.norm(dim=-1, keepdim=True)

    @torch.inference_mode()
    def embed_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Features (N, D) by the public call."""
        features: Tensor = self.model.get_text_features(ids, mask).pooler_output
        return features


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, for both sides")
    parser.add_argument("--clips", type=int, default=100, help="to compare the scores of")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, processor = random_base(patch_size=32)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    results = Bench(model, processor, clock, arguments.rounds).measure()
    moved = list(what_rounding_moves(model, processor, arguments.clips))
    if arguments.json:
        tables = {"speed": results, "scores": moved}
        print(json.dumps({k: [asdict(row) for row in v] for k, v in tables.items()}, indent=2))
        return
    print_speed(results, arguments.threads)
    print_table(moved)


class Bench:
    """Both sides with the same weights and inputs."""

    def __init__(
        self,
        model: XCLIPModel,
        processor: XCLIPProcessor,
        clock: Callable[[], float],
        rounds: int,
    ) -> None:
        preprocessing = processor.image_processor.preprocessing
        self.model, self.clock, self.rounds = model, clock, rounds
        self.chosen = Engine(model, preprocessing, "cpu").dtype
        self.exact, self.rounded = (
            Engine(model, preprocessing, "cpu", dtype) for dtype in (EXACT, ROUNDED)
        )
        self.peer = Peer.of(model)
        self.rounded_peer = self.peer.rounded()
        noise = torch.Generator().manual_seed(1)
        shape = (max(GROWTH), 8, 224, 224, 3)
        self.frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=noise)
        self.pixels = normalise(self.frames, preprocessing)
        last = model.config.text_config.vocab_size - 1
        self.text = [*range(3, 2 + QUERY_TOKENS), last]

    def measure(self) -> list[Result]:
        """Every line of the table."""
        return [
            Result("bfloat16 is chosen here", float(self.chosen == ROUNDED), ""),
            *self.encoding(),
            *self.embedding(),
            *self.query(),
            *self.growth(),
        ]

    def encoding(self) -> Iterator[Result]:
        """One clip to its embedding and prompt."""
        frames, pixels = self.frames[:1], self.pixels[:1]
        halves = pixels.to(ROUNDED)
        taken = self.timed(
            {
                "theirs": lambda: self.peer.encode(pixels),
                "theirs, bfloat16": lambda: self.rounded_peer.encode(halves),
                "ours, float32": lambda: self.exact.encode_frames(frames),
                "ours": lambda: self.rounded.encode_frames(frames),
            }
        )
        for name, value in taken.items():
            yield Result(f"embedding and prompt, {name}", value, "ms")
        yield Result("transformers float32 / ours", taken["theirs"] / taken["ours"], "×", "≥ 2.8")
        ratio = taken["theirs, bfloat16"] / taken["ours"]
        yield Result("transformers bfloat16 / ours", ratio, "×", "≥ 1.1")
        ratio = taken["theirs"] / taken["ours, float32"]
        yield Result("transformers float32 / ours in float32", ratio, "×")
        expected, prompt = self.peer.encode(pixels)
        for name, found in (
            ("float32", unpack(self.exact.encode_frames(frames))),
            ("bfloat16", unpack(self.rounded.encode_frames(frames))),
            ("transformers bfloat16", self.rounded_peer.encode(halves)),
        ):
            yield Result(f"embedding moved, {name}", apart(found[0], expected), "of its length")
            yield Result(f"prompt moved, {name}", apart(found[1], prompt), "of its length")

    def embedding(self) -> Iterator[Result]:
        """One clip to its embedding alone."""
        frames, halves = self.frames[:1], self.pixels[:1].to(ROUNDED)
        taken = self.timed(
            {
                "theirs, bfloat16": lambda: self.rounded_peer.embed(halves),
                "ours": lambda: self.rounded.embed_frames(frames),
            }
        )
        for name, value in taken.items():
            yield Result(f"embedding alone, {name}", value, "ms")
        ratio = taken["theirs, bfloat16"] / taken["ours"]
        yield Result("transformers bfloat16 / ours", ratio, "×", "≥ 1.15")

    def query(self) -> Iterator[Result]:
        """One text, which we run at its length."""
        padding = PADDED_TO - QUERY_TOKENS
        ids = torch.tensor([self.text + [self.text[-1]] * padding])
        mask = torch.tensor([[1] * QUERY_TOKENS + [0] * padding])
        taken = self.timed(
            {
                "theirs": lambda: self.peer.embed_text(ids, mask),
                "theirs, bfloat16": lambda: self.rounded_peer.embed_text(ids, mask),
                "ours": lambda: self.exact.encode_texts([self.text]),
            },
            times=5,
        )
        for name, value in taken.items():
            yield Result(f"a query of {QUERY_TOKENS} tokens, {name}", value, "ms")
        yield Result("transformers float32 / ours", taken["theirs"] / taken["ours"], "×", "≥ 4")
        moved = apart(self.exact.encode_texts([self.text]), self.peer.embed_text(ids, mask))
        yield Result("text moved", moved, "of its length")

    def growth(self) -> Iterator[Result]:
        """More clips in one call, per clip."""
        taken = self.timed(
            {str(n): lambda n=n: self.rounded.encode_frames(self.frames[:n]) for n in GROWTH}
        )
        for count in GROWTH:
            yield Result(f"{count} clips in a call, each", taken[str(count)] / count, "ms")

    def timed(self, calls: Mapping[str, Callable[[], Any]], times: int = 1) -> dict[str, float]:
        """Return the median milliseconds of each call, all of them taking turns."""
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            call()  # the first call of each shape makes kernels and buffers
        for _ in range(self.rounds * times):
            for name, call in calls.items():
                began = self.clock()
                call()
                taken[name].append(1_000 * (self.clock() - began))
        return {name: median(values) for name, values in taken.items()}


def unpack(stored: scoring.StoredVideos) -> tuple[Tensor, Tensor]:
    """Return embedding and prompt."""
    return stored.embedding, stored.prompt


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the distance of two tensors, relative to the length of the second."""
    return float((found.float() - expected).norm() / expected.norm())


def what_rounding_moves(
    model: XCLIPModel, processor: XCLIPProcessor, clips: int
) -> Iterator[Moved]:
    """Scores of clips in bfloat16 and with grain against float32: trained weights, then random."""
    trained, its_processor = (
        kind.from_pretrained("motion-tiny") for kind in (XCLIPModel, XCLIPProcessor)
    )
    yield from compared("motion-tiny", trained, its_processor, clips)
    yield from compared("random base-patch32", model, processor, max(2, clips // 6))


def compared(
    name: str, model: XCLIPModel, processor: XCLIPProcessor, clips: int
) -> Iterator[Moved]:
    """Compare bfloat16, also for prompts or texts of the other, and pixels ±1 with float32."""
    random = np.random.default_rng(1)
    exact, rounded = (
        XCLIPEncoder(model, processor, name, dtype=dtype) for dtype in (EXACT, ROUNDED)
    )
    frames: NDArray[np.uint8] = decoded_clips(exact, clips, random)
    texts = exact.encode_text([subject.caption for subject in (*HELD_OUT, *TRAINING)])
    scores = exact.score(texts, encode(exact, frames))
    in_bfloat16 = exact.score(texts, encode(rounded, frames))
    yield compare(name, "bfloat16", scores, in_bfloat16)
    mixed = scores.copy()
    mixed[::2] = in_bfloat16[::2]
    yield compare(name, "every other clip bfloat16", scores, mixed)
    grain = np.clip(frames + random.integers(-1, 2, frames.shape), 0, 255).astype(np.uint8)
    yield compare(name, "pixels ±1", scores, exact.score(texts, encode(exact, grain)))


def print_speed(results: list[Result], threads: int) -> None:
    """Print the figures beside what the project promises."""
    table = Table(title=f"base-patch32, random weights, CPU, {threads} thread(s)")
    table.add_column("measure")
    for column in ("value", "", "bar"):
        table.add_column(column, justify="left" if column == "" else "right")
    for result in results:
        value = f"{result.value:.1e}" if "length" in result.unit else f"{result.value:.2f}"
        table.add_row(result.measure, value, result.unit, result.bar)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
