"""What the exact score costs: one text against stored segments of base-patch32's sizes.

First the computation: 200 segments as the worker scores them, from stored arrays, beside the prompt
generator of transformers from the tensors it takes, in one process on the same threads. Then the
store: 100,000 segments on disk, 200 or 1,000 of them at random, read and scored.

python -m benchmarks.conditioned_score [--segments 100000] [--rounds 15] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import XCLIPConfig as PeerConfig
from transformers.models.x_clip.modeling_x_clip import XCLIPPromptGenerator

from app.model_api.tensor_records import stack_records
from app.worker.server import SCORE_BATCH
from benchmarks.random_model import as_encoder, random_base, random_records, unit_vectors
from index.protocol import TensorReference
from index.tensors import PackedTensorStore
from xclip.encoder import Encoder, StoredSegments
from xclip.model import XCLIPModel

FEW, MANY = 200, 1_000
WRITTEN_AT_ONCE = 1_000
MAX_DIFFERENCE, LEAST_SPEEDUP, MOST_GROWTH = 1e-4, 5.0, 6.0


@dataclass(frozen=True)
class Result:
    """One line of the table; `bar` is what the project promises."""

    measure: str
    value: float
    unit: str
    bar: str = ""


@dataclass(frozen=True)
class Peer:
    """The second half of transformers' XCLIPModel.forward, from its prompt generator on."""

    generator: XCLIPPromptGenerator
    logit_scale: Tensor

    @classmethod
    def of(cls, model: XCLIPModel) -> Peer:
        """Take over the weights of `model`."""
        config = PeerConfig.from_dict(model.config.to_dict(), attn_implementation="sdpa")
        generator = XCLIPPromptGenerator(config).eval()  # type: ignore[no-untyped-call]
        generator.load_state_dict(model.prompts_generator.state_dict())
        return cls(generator, model.logit_scale.detach())

    @torch.inference_mode()
    def score(self, texts: Tensor, embeddings: Tensor, patches: Tensor) -> Tensor:
        """texts (N, D), embeddings (B, D), patches (B, P, D) before the layer norm -> (B, N)."""
        texts = texts.unsqueeze(0).expand(len(patches), -1, -1)
        texts = texts + self.generator(texts, patches)
        embeddings = embeddings / embeddings.norm(p=2, dim=-1, keepdim=True)
        texts = texts / texts.norm(p=2, dim=-1, keepdim=True)
        return torch.einsum("bd,bkd->bk", embeddings, self.logit_scale.exp() * texts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, for both sides")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, processor = random_base(patch_size=32)
    encoder = as_encoder(model, processor, "random base-patch32")
    text = encoder.encode_text(["a red circle moving left"])
    results = beside_peer(model, encoder, text, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        bench = StoreBench(encoder, text, Path(folder), arguments.segments)
        results += bench.measure(arguments.rounds)
        bench.store.close()
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print_table(results, arguments.segments, arguments.threads)


def beside_peer(
    model: XCLIPModel, encoder: Encoder, text: NDArray[np.float32], rounds: int
) -> list[Result]:
    """Time one text against FEW segments both ways, and compare the scores."""
    raw = torch.randn(
        FEW, *encoder.stored_arrays["prompt"], generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        prompt = model.prompts_generator.layernorm(raw).numpy()
    videos = StoredSegments(
        unit_vectors(np.random.default_rng(1), FEW, encoder.dim), {"prompt": prompt}
    )
    peer, records = Peer.of(model), random_records(encoder, videos.embedding, prompt)
    theirs = partial(peer.score, torch.from_numpy(text), torch.from_numpy(videos.embedding), raw)
    difference = float(np.abs(encoder.score(text, videos) - theirs().numpy()).max())
    rounded = float(np.abs(encoder.score(text, stack_records(records)) - theirs().numpy()).max())
    taken = timed(
        {
            "transformers": theirs,
            "ours": lambda: encoder.score(text, stack_records(records)),
            "ours, float32": lambda: encoder.score(text, videos),
        },
        rounds,
    )
    speedup = taken["transformers"] / taken["ours"]
    return [
        Result(f"transformers' prompt generator, {FEW} segments", taken["transformers"], "ms"),
        Result(f"ours, {FEW} segments from int8 arrays", taken["ours"], "ms"),
        Result(f"ours, {FEW} segments from float32 arrays", taken["ours, float32"], "ms"),
        Result("transformers / ours from int8 arrays", speedup, "×", f"≥ {LEAST_SPEEDUP:g}"),
        Result("largest difference, float32 arrays", difference, "logits", f"≤ {MAX_DIFFERENCE:g}"),
        Result("largest difference, int8 arrays", rounded, "logits"),
    ]


class StoreBench:
    """A store full of segments and one text."""

    def __init__(
        self, encoder: Encoder, text: NDArray[np.float32], folder: Path, segments: int
    ) -> None:
        self.encoder, self.text, self.folder = encoder, text, folder
        self.random = np.random.default_rng(2)
        self.store = PackedTensorStore(folder, writer_id="bench")
        self.references: list[TensorReference] = []
        shape = (WRITTEN_AT_ONCE, *encoder.stored_arrays["prompt"])
        prompts = self.random.standard_normal(shape, np.float32)  # written again and again
        while len(self.references) < segments:
            count = min(WRITTEN_AT_ONCE, segments - len(self.references))
            embeddings = unit_vectors(self.random, count, encoder.dim)
            records = random_records(encoder, embeddings, prompts[:count])
            self.references += self.store.append(records)
        self.store.sync()

    def measure(self, rounds: int) -> list[Result]:
        """Read and score FEW and MANY; how much of it is reading, from disk and from memory."""
        self.score(self.choose(MANY))  # the first call of each size makes PyTorch's buffers
        taken = timed(
            {
                "few": lambda: self.score(self.choose(FEW)),
                "many": lambda: self.score(self.choose(MANY)),
                "read": lambda: self.read(self.choose(FEW)),
            },
            rounds,
        )
        cold = timed({"read": lambda: self.read(self.choose(FEW))}, rounds, before=self.forget)
        score_ms = taken["few"] - taken["read"]
        growth = taken["many"] / taken["few"]
        return [
            Result(f"{FEW} of the store read and scored", taken["few"], "ms"),
            Result(f"{MANY} of the store read and scored", taken["many"], "ms"),
            Result(f"{MANY} / {FEW}", growth, "×", f"≤ {MOST_GROWTH:g}"),
            Result(f"reading {FEW}, in the page cache", taken["read"], "ms"),
            Result("  its share", 100 * taken["read"] / taken["few"], "%"),
            Result(f"reading {FEW}, page cache dropped", cold["read"], "ms"),
            Result("  its share", 100 * cold["read"] / (cold["read"] + score_ms), "%"),
        ]

    def choose(self, count: int) -> list[TensorReference]:
        """Draw different segments."""
        chosen = self.random.choice(len(self.references), count, replace=False)
        return [self.references[place] for place in chosen]

    def read(self, references: Sequence[TensorReference]) -> StoredSegments:
        """Read as the worker does."""
        return stack_records(self.store.read(references))

    def score(self, references: Sequence[TensorReference]) -> NDArray[np.float32]:
        """Read and score as the worker does, a batch at a time."""
        return np.concatenate(
            [
                self.encoder.score(self.text, self.read(references[start : start + SCORE_BATCH]))
                for start in range(0, len(references), SCORE_BATCH)
            ]
        )

    def forget(self) -> None:
        """Drop the store's files from the page cache."""
        for path in self.folder.iterdir():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def timed(
    calls: Mapping[str, Callable[[], Any]], rounds: int, before: Callable[[], None] | None = None
) -> dict[str, float]:
    """Return the median milliseconds of each call, all of them taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if before is not None:
                before()
            began = time.perf_counter()
            call()
            taken[name].append(1_000 * (time.perf_counter() - began))
    return {name: median(times) for name, times in taken.items()}


def print_table(results: Sequence[Result], segments: int, threads: int) -> None:
    """Print the figures beside what the project promises."""
    table = Table(
        title=f"exact scores of one text, {segments:,} segments stored, {threads} thread(s)"
    )
    table.add_column("measure")
    for column in ("value", "", "bar"):
        table.add_column(column, justify="left" if column == "" else "right")
    for result in results:
        value = f"{result.value:.2g}" if result.unit == "logits" else f"{result.value:.1f}"
        table.add_row(result.measure, value, result.unit, result.bar)
    Console().print(table)


if __name__ == "__main__":
    main()
