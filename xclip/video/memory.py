"""Memory limit: tells a lack of memory from a damaged file, which libav often reports alike.

libav's H.264 decoder, for one, answers "invalid data" where it gets no buffer for a frame.
"""

from __future__ import annotations

import numpy as np
from av.video.stream import VideoStream

from xclip.errors import NeedsMoreMemory

# What has to be left behind a packet that failed: more than a frame takes with 8 bits a sample.
_BYTES_PER_PIXEL = 4
_LEAST_BYTES = 4 << 20


def needs_more_memory() -> NeedsMoreMemory:
    """The error of a process that was refused memory."""
    return NeedsMoreMemory("Decoding needs more memory than one video may use.")


def check_memory(stream: VideoStream) -> None:
    """Raise NeedsMoreMemory if a frame or two of the stream would not fit into what is left."""
    context = stream.codec_context
    wanted = max(_LEAST_BYTES, context.width * context.height * _BYTES_PER_PIXEL)
    try:
        np.empty(wanted, np.uint8)  # reserves addresses, but touches no page
    except MemoryError as error:
        raise needs_more_memory() from error
