"""What saving memory costs: one training step at base-patch32's size, way by way, side by side.

Each way runs in a process of its own, with random weights and noise for videos: forward, backward
and AdamW, captions, everything trained. Memory is the process's peak, on a GPU what PyTorch held.

python -m benchmarks.training_step [--batch 4] [--steps 2] [--device auto] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.random_model import random_base
from xclip.training.config import ObjectiveConfig
from xclip.training.gradient_cache import backward_in_parts
from xclip.training.network import Batch, TrainingNetwork
from xclip.training.parameter_groups import parameter_groups

PATCH = 32


@dataclass(frozen=True, slots=True)
class Way:
    """How a step is taken; `part` clips at once where gradients are cached."""

    name: str
    precision: str = "fp32"
    checkpointing: bool = False
    part: int = 0


WAYS = (
    Way("fp32"),
    Way("fp32, checkpointing", checkpointing=True),
    Way("fp32, cached, 1 clip at once", part=1),
    Way("bf16", "bf16"),
    Way("bf16, checkpointing", "bf16", checkpointing=True),
    Way("bf16, cached, 1 clip at once", "bf16", part=1),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of the fastest step, and megabytes: before the first step, and at most."""

    seconds: float
    before_mib: float
    peak_mib: float


def measure(way: Way, clips: int, steps: int, device: str) -> Measured:
    """Take the steps in this process."""
    model, _ = random_base(PATCH)
    model = model.to(device).train()
    if way.checkpointing:
        model.gradient_checkpointing_enable()
    network = TrainingNetwork(model, ObjectiveConfig("captions"), way.precision)
    optimiser = torch.optim.AdamW(parameter_groups(model, 0.001), lr=8e-6)
    vision, text = model.config.vision_config, model.config.text_config
    shape = (clips, vision.num_frames, 3, vision.image_size, vision.image_size)
    ids = torch.randint(0, text.vocab_size, (clips, 12), device=device)
    batch = Batch(torch.randn(shape, device=device), ids, torch.ones_like(ids))
    before, seconds = held_mib(device), []
    for step in range(steps):
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        if way.part:
            backward_in_parts(network, batch, way.part, step)
        else:
            network(batch).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return Measured(min(seconds), before, held_mib(device))


def held_mib(device: str) -> float:
    """The most memory held so far, in MiB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def apart(number: int, options: argparse.Namespace, device: str) -> Measured:
    """Measure a way in a new process: a peak is never forgotten by the one that had it."""
    command = [
        *(sys.executable, "-m", "benchmarks.training_step", "--way", str(number)),
        *("--batch", str(options.batch), "--steps", str(options.steps), "--device", device),
    ]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Measured(**json.loads(found))


def main() -> None:
    """Measure all ways, or the one that is asked for, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4, help="clips of a step")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--way", type=int, help="measure only this one, here, as JSON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.way is not None:
        found = measure(WAYS[options.way], options.batch, options.steps, device)
        print(json.dumps(asdict(found)))
        return
    table = Table("way", "s a step", "MiB before", "MiB at most")
    results = {}
    for number, way in enumerate(WAYS):
        found = apart(number, options, device)
        results[way.name] = asdict(found)
        row = (f"{found.seconds:.2f}", f"{found.before_mib:.0f}", f"{found.peak_mib:.0f}")
        table.add_row(way.name, *row)
    Console().print_json(data=results) if options.json else Console().print(table)


if __name__ == "__main__":
    main()
