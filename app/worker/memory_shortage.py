"""Out of memory: what the worker says where it was refused memory, of the GPU or its own.

Both pass by themselves as a rule: other work ends. Batches of segments have been halved down to one
segment by then (`app.worker.batcher`).
"""

from __future__ import annotations

from app.errors import GpuOutOfMemory, OutOfMemory
from xclip.out_of_memory import refused_memory

_OF_GPU = (
    "The GPU has too little free memory, also for the smallest batch. End what else runs on it, or "
    "set XCLIP_MODEL to a smaller model or XCLIP_DEVICE to another device."
)
_OF_CPU = "The worker has too little free memory. Lower XCLIP_MAX_INGESTS, or give it more memory."


def memory_shortage(error: BaseException) -> GpuOutOfMemory | OutOfMemory | None:
    """What to answer where memory was refused; None for every other error."""
    match refused_memory(error):
        case "gpu":
            return GpuOutOfMemory(_OF_GPU)
        case "cpu":
            return OutOfMemory(_OF_CPU)
    return None
