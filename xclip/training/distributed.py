"""Distributed training: several processes share a batch; gradients equal one process's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xclip.training.errors import TrainingError


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields this process's device.

    device : a torch device; "cuda" is this process's GPU, and "auto" as well if there is one

    Raises TrainingError for a device that this machine does not have.
    """
    chosen = device_of(device, int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count())
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield chosen
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield chosen
    finally:
        dist.destroy_process_group()


def device_of(name: str, local_rank: int, gpus: int) -> torch.device:
    """The device that a configuration names, for the process of that rank on this machine.

    gpus : how many this machine has

    Raises TrainingError.
    """
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise TrainingError(
            f"run.device {name!r} is not one of auto, cpu, cuda, and cuda:0 for one GPU"
        )
    if device.type == "cpu":
        return torch.device("cpu")
    number = local_rank if device.index is None else device.index
    if number >= gpus:
        raise TrainingError(f"run.device {name!r} needs GPU {number}, but PyTorch finds {gpus}")
    return torch.device("cuda", number)


def gather(rows: Tensor) -> Tensor:
    """All processes' rows, in the order of their ranks; (B, ...) -> (world · B, ...).

    Its gradient is the sum over what all processes do with the rows. Where each then computes the
    same loss, gradients are `world` times those of the joint batch, and their mean over processes,
    which DistributedDataParallel takes, is exactly those of the joint batch.
    """
    return cast(Tensor, _Gather.apply(rows))  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.rows = len(rows)
        everyone = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = rank() * context.rows
        return total[start : start + context.rows]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, once backward is done."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()
