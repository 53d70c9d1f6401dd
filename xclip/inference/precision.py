"""Precision choice: measures whether bfloat16 is faster on this processor."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from xclip.config import XCLIPVisionConfig
from xclip.inference.layers import Linear, Target

# Below this a network takes milliseconds either way, and its numbers had better be the same
# wherever it runs.
_LEAST_WIDTH = 256
# Processors with instructions for bfloat16 gain a factor of two and more, others lose: nothing
# measured lies near the line, so nothing flips over it from one start to the next.
_LEAST_GAIN = 1.3
_ROWS, _ROUNDS = 256, 9


def quicker_dtype(config: XCLIPVisionConfig, device: torch.device) -> torch.dtype:
    """Return what the vision tower had better multiply in: bfloat16 or float32; takes 20 ms."""
    width = config.hidden_size
    if width < _LEAST_WIDTH:
        return torch.float32
    weight, x = torch.ones(width, width), torch.ones(_ROWS, width)
    calls = {
        dtype: _call(Linear(weight, None, Target(device, dtype)), x.to(device, dtype))
        for dtype in (torch.float32, torch.bfloat16)
    }
    taken = dict.fromkeys(calls, float("inf"))
    for _ in range(_ROUNDS):  # in turns, and the least of each: others use the machine too
        for dtype, call in calls.items():
            taken[dtype] = min(taken[dtype], _seconds(call, device))
    is_quicker = taken[torch.float32] > _LEAST_GAIN * taken[torch.bfloat16]
    return torch.bfloat16 if is_quicker else torch.float32


def _call(linear: Linear, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: linear(x)


def _seconds(call: Callable[[], torch.Tensor], device: torch.device) -> float:
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
