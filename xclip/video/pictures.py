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

# A picture so little before or after the one that is due passes for it: some codecs spread one
# picture over two packets, or send some that are never shown.
_TOLERATED_S = 0.1

# Broadcasts have a constant rate: a picture that stands for longer stands in for missing packets.
# Elsewhere a gap may be meant, as in recordings of a screen on which nothing moves; by its stamps a
# hole in a WebM or an ASF file is no different. H.264 counts its pictures: its decoder tells holes.
_CONSTANT_RATE = frozenset({"mpegts", "mpeg"})
_LONGEST_STANDING_S = 0.5


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A decoded picture that is on screen at `moments[first:last]`.

    aspect_ratio : width of a stored pixel over its height
    lost_s : seconds, of those these moments stand for, that another picture belongs to, which could
        not be decoded, or for which this one is damaged
    """

    frame: VideoFrame
    aspect_ratio: float
    first: int
    last: int
    lost_s: float


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
        losses = _Losses(found, moments)
        served = 0
        current: VideoFrame | None = None
        begun: float | None = None
        for time, frame in _timed_pictures(container, stream, found, moments, limits):
            if current is not None and time is not None:
                until = int(np.searchsorted(moments, time - TIME_TOLERANCE_S, side="left"))
                if until > served:
                    lost_s = losses.between(served, until, current, begun)
                    yield ShownPicture(current, aspect_ratio, served, until, lost_s)
                    served = until
                if served == len(moments):
                    return
            current, begun = frame, time
        if current is None:
            raise NoDecodableFrame("Not one picture of the video could be decoded.")
        lost_s = losses.between(served, len(moments), current, begun)
        yield ShownPicture(current, aspect_ratio, served, len(moments), lost_s)


class _Losses:
    """Which moments are not served by the picture that belongs there, in seconds.

    Each of M moments stands for the stretch around it, up to the middle between it and the next.
    """

    def __init__(self, found: Probe, moments: NDArray[np.float64]) -> None:
        timeline = found.timeline
        middles = (moments[1:] + moments[:-1]) / 2
        self._spans_s = np.diff(middles, prepend=0.0, append=timeline.duration_s)  # (M,)
        self._due = timeline.times[shown_at(timeline.times, moments)]  # (M,)
        self._missing = moments - self._due > _LONGEST_STANDING_S  # (M,)
        self._missing &= found.info.container in _CONSTANT_RATE

    def between(self, first: int, last: int, frame: VideoFrame, begun: float | None) -> float:
        """Seconds lost at `moments[first:last]` by showing `frame`, which begins at `begun`."""
        spans_s = self._spans_s[first:last]
        if frame.is_corrupt:
            return float(spans_s.sum())
        if begun is None:
            return 0.0
        wrong = np.abs(self._due[first:last] - begun) > _TOLERATED_S
        return float(spans_s[wrong | self._missing[first:last]].sum())


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
