"""Clip frames: the frames of one interval of one file, from the sandboxed decoder."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from xclip.errors import UnreadableVideo
from xclip.preprocess import FrameGeometry
from xclip.training.samples import Sample
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import decode_in_child

_WHOLE_S = 1e6  # longer than any video: one window, which is then the video's own length


def window_of(start: float | None, end: float | None) -> tuple[Segmentation, int]:
    """A segmentation with the window [start, end], and the index of that window.

    Windows begin at multiples of the stride, which may not exceed the window: the stride is the
    largest share of `start` that does not.
    """
    begin = start or 0.0
    if end is None and begin > 0:
        raise ValueError(f"a clip that starts at {begin:g} s needs an end")
    window_s = _WHOLE_S if end is None else end - begin
    if begin < 0 or window_s <= 0:
        raise ValueError(f"a clip cannot last from {begin:g} s to {end:g} s")
    index = math.ceil(begin / window_s - 1e-9)
    return Segmentation(window_s, begin / index if index else window_s), index


def read_frames(sample: Sample, num_frames: int, edge: int, decode_s: float) -> NDArray[np.uint8]:
    """Centres of `num_frames` equal parts; uint8 RGB, shape = (num_frames, edge, edge, 3).

    The square is the centre of each frame, resized as the service does. An interval that ends
    after the end of its file is moved back until it fits.

    Raises the leaves of VideoError, OSError, and ValueError for an impossible interval.
    """
    segmentation, index = window_of(sample.start, sample.end)
    request = DecodeRequest(segmentation, num_frames, FrameGeometry(edge, edge))
    last: DecodedSegment | None = None
    with decode_in_child(sample.path, request, wall_clock_s=decode_s) as decoding:
        for message in decoding:
            if isinstance(message, DecodedSegment):
                last = message
                if message.index == index:
                    break
    if last is None:
        raise UnreadableVideo("The file yielded no frames.")
    if sample.start is not None and last.end <= sample.start:
        raise UnreadableVideo(f"The clip starts at {sample.start:g} s, after the end of the video.")
    return last.frames
