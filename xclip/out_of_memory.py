"""Out of memory: which errors say that memory was refused, whichever library says so in its way."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch

Memory: TypeAlias = Literal["cpu", "gpu"]

# Of CUDA itself, and of its libraries, for which PyTorch has no class.
_OF_GPU: Final = ("CUDA error: out of memory", "STATUS_ALLOC_FAILED")
# Of PyTorch on a processor, of the C++ library, and of the system (ENOMEM).
_OF_CPU: Final = ("allocate memory", "not enough memory", "bad_alloc")


def refused_memory(error: BaseException) -> Memory | None:
    """Whose memory was refused, if that is what the error says."""
    if isinstance(error, torch.OutOfMemoryError):
        return "gpu"
    if isinstance(error, MemoryError):
        return "cpu"
    if not isinstance(error, RuntimeError | OSError):
        return None
    text = str(error)
    if any(words in text for words in _OF_GPU):
        return "gpu"
    return "cpu" if any(words in text for words in _OF_CPU) else None
