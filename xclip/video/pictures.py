"""The pictures of a file that are on screen at given instants, in one sequential decoding pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from xclip.errors import NoDecodableFrame
from xclip.video.containers import Limits, SeekableFile, TolerantDecoder, open_container, packets
from xclip.video.probe import Probe
from xclip.video.sample import TIME_TOLERANCE_S, shown_at

# Decoders that leave wanted pictures bit-identical when told to skip, before a packet, pictures no
# other depends on. Skipping saves 25-45 % of decoding. AV1 takes the option only when it opens.
_SKIPPING_DECODERS = frozenset({"h264", "hevc", "mpeg4", "mpeg2video"})


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A decoded picture that is on screen at `moments[first:last]`.

    aspect_ratio : width of a stored pixel over its height
    """

    frame: VideoFrame
    aspect_ratio: float
    first: int
    last: int


def shown_pictures(
    file: SeekableFile, found: Probe, moments: NDArray[np.float64], limits: Limits
) -> Iterator[ShownPicture]:
    """Pair every moment with the picture shown then, decoding `file` once from start to end.

    moments : float64, shape = (M,), ascending seconds

    At any time two decoded pictures are held. What cannot be decoded is covered by the last
    picture before it, at the very beginning by the first after it. Raises NoDecodableFrame if
    there is none.
    """
    with open_container(file, limits) as container:
        stream = container.streams[found.stream_index]
        assert isinstance(stream, VideoStream), "the probe chose a video stream"
        aspect_ratio = float(stream.codec_context.sample_aspect_ratio or 1)
        served = 0
        current: VideoFrame | None = None
        for time, frame in _timed_pictures(container, stream, found, moments, limits):
            if current is not None and time is not None:
                until = int(np.searchsorted(moments, time - TIME_TOLERANCE_S, side="left"))
                if until > served:
                    yield ShownPicture(current, aspect_ratio, served, until)
                    served = until
                if served == len(moments):
                    return
            current = frame
        if current is None:
            raise NoDecodableFrame("Not one picture of the video could be decoded.")
        yield ShownPicture(current, aspect_ratio, served, len(moments))


def _timed_pictures(
    container: InputContainer,
    stream: VideoStream,
    found: Probe,
    moments: NDArray[np.float64],
    limits: Limits,
) -> Iterator[tuple[float | None, VideoFrame]]:
    """Decoded pictures in presentation order, each with the second it is first shown at."""
    wanted = _wanted_stamps(stream, found, moments)
    decoder = TolerantDecoder(stream, limits)
    order = 0
    for packet in packets(container, stream, limits):
        needed = wanted is None or packet.pts is None or packet.pts in wanted
        for frame in decoder.decode(packet, wanted=needed):
            yield found.timeline.time_of(order, frame.pts), frame
            order += 1
        if decoder.gave_up:
            return
    for frame in decoder.flush():
        yield found.timeline.time_of(order, frame.pts), frame
        order += 1


def _wanted_stamps(
    stream: VideoStream, found: Probe, moments: NDArray[np.float64]
) -> frozenset[int] | None:
    """Timestamps of the pictures that must not be skipped; None if nothing may be."""
    stamps = found.timeline.stamps
    if stamps is None or stream.codec_context.name not in _SKIPPING_DECODERS:
        return None
    return frozenset(stamps[np.unique(shown_at(found.timeline.times, moments))].tolist())
