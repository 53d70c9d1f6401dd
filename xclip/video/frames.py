"""Frame selection: the frames on screen at given instants, as a full decode shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from xclip.errors import NoDecodableFrame
from xclip.video.containers import Limits, TolerantDecoder, open_container, packets
from xclip.video.decode_plan import LARGEST_SHARE, PacketOrder, Run, plan
from xclip.video.packet_reader import PacketReader
from xclip.video.probe import Scan
from xclip.video.sampling import TIME_TOLERANCE_S, shown_at
from xclip.video.seekable_file import SeekableFile

# Decoders that leave wanted frames bit-identical when set, before a packet, to skip frames that
# no other depends on. Skipping saves 25-45 % of decoding.
_SKIPPING_DECODERS = frozenset({"h264", "hevc", "libdav1d", "mpeg4", "mpeg2video"})

# A frame this close to the one that is due counts as that one: some codecs spread one frame over
# two packets, or send some that are never shown.
_TOLERATED_S = 0.1

# Broadcasts have a constant rate: a frame that is shown for longer covers missing packets.
# Elsewhere a gap may be intended, as in recordings of a screen on which nothing moves; by its
# stamps a hole in a WebM or an ASF file looks the same. H.264 counts its frames: its decoder
# reports holes.
_CONSTANT_RATE = frozenset({"mpegts", "mpeg"})
_LONGEST_SHOWN_S = 0.5


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A decoded frame that is on screen at `moments[first:last]`.

    aspect_ratio : width of a stored pixel over its height
    lost_s : seconds, of those around these moments, at which another frame should be shown that
        could not be decoded, or at which this one is damaged
    """

    frame: VideoFrame
    aspect_ratio: float
    first: int
    last: int
    lost_s: float


def shown_frames(
    file: SeekableFile,
    found: Scan,
    moments: NDArray[np.float64],
    limits: Limits,
    threads: int = 1,
    container: InputContainer | None = None,
) -> Iterator[ShownFrame]:
    """Pair every moment with the frame shown then, decoding no more of `file` than that takes.

    moments : float64, shape = (M,), ascending seconds
    threads : libav's
    container : `file`, still open from the scan; otherwise it is opened here

    At any time two decoded frames are held. What cannot be decoded is covered by the last
    frame before it, at the very beginning by the first after it. Raises NoDecodableFrame if
    there is none.
    """
    if container is not None and container.streams[found.stream_index].codec_context.is_open:
        container = None  # its decoder has been at work
    served = 0
    if found.order is not None and found.timeline.stamps is not None:
        due = found.timeline.stamps[shown_at(found.timeline.times, moments)]
        share = LARGEST_SHARE if container is None else 1.0  # a full pass would open it once more
        if runs := plan(found.order, due, share):
            reading = _Pass(file, found, limits, threads, container)
            for shown in _of_runs(reading, found.order, runs, moments):
                yield shown
                served = shown.last
    if served < len(moments):
        yield from _of_all(_Pass(file, found, limits, threads), moments, served)


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one reading of a file needs.

    container : the file, open already, its packets read to whatever point
    """

    file: SeekableFile
    found: Scan
    limits: Limits
    threads: int
    container: InputContainer | None = None

    @contextmanager
    def opened(self) -> Iterator[tuple[InputContainer, VideoStream, TolerantDecoder]]:
        opened = (
            nullcontext(self.container)
            if self.container
            else open_container(self.file, self.limits)
        )
        with opened as container:
            stream = container.streams[self.found.stream_index]
            assert isinstance(stream, VideoStream), "the probe chose a video stream"
            yield container, stream, TolerantDecoder(stream, self.limits, self.threads)


def _of_runs(
    reading: _Pass, order: PacketOrder, runs: list[Run], moments: NDArray[np.float64]
) -> Iterator[ShownFrame]:
    """Frames from runs of packets, up to the first damage, which takes a full pass.

    Only a full pass finds what a player would show instead.
    """
    timeline = reading.found.timeline
    assert timeline.stamps is not None, "without stamps there is no plan"
    due = timeline.stamps[shown_at(timeline.times, moments)]  # (M,)
    losses = _Losses(reading.found, moments)
    with reading.opened() as (container, stream, decoder):
        aspect_ratio = float(stream.sample_aspect_ratio or 1)
        at = 0 if reading.container is None else None
        reader = PacketReader(container, stream, order, reading.limits, at)
        skips = stream.codec_context.name in _SKIPPING_DECODERS
        served = 0
        for run in runs:
            for frame in _frames_of(run, reader, decoder, skips=skips):
                if frame.pts is None or frame.pts not in run.due:
                    continue
                first, last = np.searchsorted(due, frame.pts), np.searchsorted(due, frame.pts + 1)
                if first != served or frame.is_corrupt or decoder.damaged_packets:
                    return
                lost_s = losses.between(served, int(last), frame, timeline.time_of(0, frame.pts))
                yield ShownFrame(frame, aspect_ratio, served, int(last), lost_s)
                served = int(last)
            if served < len(due) and due[served] in run.due:
                return


def _frames_of(
    run: Run, reader: PacketReader, decoder: TolerantDecoder, *, skips: bool
) -> Iterator[VideoFrame]:
    decoder.restart()
    for packet in reader.read(run):
        yield from decoder.decode(packet, wanted=not skips or packet.pts in run.due)
    yield from decoder.flush()


def _of_all(reading: _Pass, moments: NDArray[np.float64], served: int) -> Iterator[ShownFrame]:
    """Frames from one pass over the whole file, for `moments[served:]`."""
    losses = _Losses(reading.found, moments)
    current: VideoFrame | None = None
    begun: float | None = None
    with reading.opened() as (container, stream, decoder):
        aspect_ratio = float(stream.sample_aspect_ratio or 1)
        for time, frame in _timed_frames(container, stream, decoder, reading, moments[served:]):
            until_s = None if time is None else time - TIME_TOLERANCE_S
            if current is not None and until_s is not None and moments[served] < until_s:
                until = int(np.searchsorted(moments, until_s, side="left"))
                lost_s = losses.between(served, until, current, begun)
                yield ShownFrame(current, aspect_ratio, served, until, lost_s)
                served = until
                if served == len(moments):
                    return
            current, begun = frame, time
        if current is None:
            raise NoDecodableFrame("None of the video's frames could be decoded.")
        lost_s = losses.between(served, len(moments), current, begun)
        yield ShownFrame(current, aspect_ratio, served, len(moments), lost_s)


class _Losses:
    """Seconds of the video at which a wrong frame is shown.

    Each of M moments represents the interval around it, up to the middle between it and the next.
    """

    def __init__(self, found: Scan, moments: NDArray[np.float64]) -> None:
        timeline = found.timeline
        middles = (moments[1:] + moments[:-1]) / 2
        self._spans_s = np.diff(middles, prepend=0.0, append=timeline.duration_s)  # (M,)
        self._due = timeline.times[shown_at(timeline.times, moments)]  # (M,)
        self._missing = moments - self._due > _LONGEST_SHOWN_S  # (M,)
        self._missing &= found.container in _CONSTANT_RATE

    def between(self, first: int, last: int, frame: VideoFrame, begun: float | None) -> float:
        """Seconds lost at `moments[first:last]` by showing `frame`, which begins at `begun`."""
        spans_s = self._spans_s[first:last]
        if frame.is_corrupt:
            return float(spans_s.sum())
        if begun is None:
            return 0.0
        wrong = np.abs(self._due[first:last] - begun) > _TOLERATED_S
        return float(spans_s[wrong | self._missing[first:last]].sum())


def _timed_frames(
    container: InputContainer,
    stream: VideoStream,
    decoder: TolerantDecoder,
    reading: _Pass,
    moments: NDArray[np.float64],
) -> Iterator[tuple[float | None, VideoFrame]]:
    """Decoded frames in presentation order, each with the second it is first shown at."""
    timeline = reading.found.timeline
    wanted = _wanted_stamps(stream, reading.found, moments)
    order = 0
    for packet in packets(container, stream, reading.limits):
        needed = wanted is None or packet.pts is None or packet.pts in wanted
        for frame in decoder.decode(packet, wanted=needed):
            yield timeline.time_of(order, frame.pts), frame
            order += 1
        if decoder.gave_up:
            return
    for frame in decoder.flush():
        yield timeline.time_of(order, frame.pts), frame
        order += 1


def _wanted_stamps(
    stream: VideoStream, found: Scan, moments: NDArray[np.float64]
) -> frozenset[int] | None:
    """Timestamps of the frames that must not be skipped; None if nothing may be."""
    stamps = found.timeline.stamps
    if stamps is None or stream.codec_context.name not in _SKIPPING_DECODERS:
        return None
    return frozenset(stamps[np.unique(shown_at(found.timeline.times, moments))].tolist())
