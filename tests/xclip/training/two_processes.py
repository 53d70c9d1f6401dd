"""What `test_gathering` starts in each of two processes: half of a batch, and its gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from xclip.model import XCLIPModel
from xclip.training.config import ObjectiveConfig
from xclip.training.distributed import average_gradients, process_group, rank, world_size
from xclip.training.gradient_cache import backward_in_parts
from xclip.training.network import Batch, TrainingNetwork


def half(batch: Batch) -> Batch:
    """This process's share: its videos with their captions, or with all labels."""
    size = len(batch.pixel_values) // world_size()
    mine = slice(rank() * size, (rank() + 1) * size)
    if batch.targets is not None:
        pixels, targets = batch.pixel_values[mine], batch.targets[mine]
        return Batch(pixels, batch.input_ids, batch.attention_mask, targets)
    return Batch(batch.pixel_values[mine], batch.input_ids[mine], batch.attention_mask[mine])


def main(checkpoint: str, folder: Path) -> None:
    found = {}
    with process_group("cpu"):
        for kind in ("captions", "labels"):
            batch = half(Batch(**torch.load(folder / f"{kind}.pt", weights_only=True)))
            for way in ("whole", "cached"):
                model = XCLIPModel.from_pretrained(checkpoint).train()
                network = TrainingNetwork(model, ObjectiveConfig(kind))
                if way == "whole":
                    parallel = DistributedDataParallel(network)
                    parallel(batch).backward()
                else:
                    backward_in_parts(network, batch, 2, seed=0)
                    average_gradients(network.parameters())
                found[f"{kind} {way}"] = {n: p.grad for n, p in model.named_parameters()}
        torch.save(found, folder / f"gradients-{rank()}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
