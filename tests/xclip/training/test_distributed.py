"""Two processes with half of a batch each have the gradients of one with all of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from xclip.model import XCLIPModel
from xclip.training.config import ObjectiveConfig
from xclip.training.distributed import device_of
from xclip.training.errors import TrainingError
from xclip.training.network import Batch, TrainingNetwork

ROOT = Path(__file__).parents[3]
VIDEOS, LABELS = 6, 4


def drawn(model: XCLIPModel, kind: str) -> Batch:
    noise = torch.Generator().manual_seed(2)
    vision = model.config.vision_config
    shape = (VIDEOS, vision.num_frames, 3, vision.image_size, vision.image_size)
    texts = VIDEOS if kind == "captions" else LABELS
    ids = torch.randint(0, model.config.text_config.vocab_size, (texts, 7), generator=noise)
    targets = None if kind == "captions" else torch.arange(VIDEOS) % LABELS
    return Batch(torch.randn(shape, generator=noise), ids, torch.ones_like(ids), targets)


def run_both(module: str, *arguments: str) -> None:
    """Run a module in two processes that know of each other, as torchrun starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(150) for process in running] == [0, 0]


@pytest.mark.parametrize(
    ("name", "local_rank", "gpus", "device"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 1, 2, "cuda:1"),
        ("cuda", 0, 1, "cuda:0"),
        ("cuda", 1, 2, "cuda:1"),
        ("cuda:0", 1, 2, "cuda:0"),
        ("cpu", 1, 2, "cpu"),
    ],
)
def test_the_device_of_a_process(name: str, local_rank: int, gpus: int, device: str) -> None:
    """`cuda` is the first GPU, and of several processes each one's own."""
    assert device_of(name, local_rank, gpus) == torch.device(device)


@pytest.mark.parametrize("name", ["cuda", "cuda:3", "gpu", "", "mps", "meta"])
def test_a_device_that_is_not_there_is_one_sentence(name: str) -> None:
    """Before anything is read or written."""
    with pytest.raises(TrainingError, match=r"run\.device"):
        device_of(name, 0, 0)


def test_two_processes_are_one_with_the_joint_batch(checkpoint: Path, tmp_path: Path) -> None:
    """Captions and labels, with and without cached gradients, within 1e-5; over gloo."""
    expected = {}
    for kind in ("captions", "labels"):
        model = XCLIPModel.from_pretrained(checkpoint).train()
        batch = drawn(model, kind)
        torch.save(asdict(batch), tmp_path / f"{kind}.pt")
        TrainingNetwork(model, ObjectiveConfig(kind))(batch).backward()
        expected[kind] = {name: parameter.grad for name, parameter in model.named_parameters()}
    run_both("tests.xclip.training.two_processes", str(checkpoint), str(tmp_path))
    for process in range(2):
        found = torch.load(tmp_path / f"gradients-{process}.pt", weights_only=True)
        assert len(found) == 4
        for way, gradients in found.items():
            for name, gradient in expected[way.split(" ")[0]].items():
                bound = 1e-5 * (1 + float(gradient.abs().max()))
                assert float((gradients[name] - gradient).abs().max()) <= bound, (way, name)
