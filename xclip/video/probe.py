"""Probe: what a file really holds, from one pass over its packets and its first frame."""

from __future__ import annotations

from dataclasses import dataclass

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from xclip.errors import NoDecodableFrame, VideoTooLarge
from xclip.video.containers import (
    Limits,
    TolerantDecoder,
    choose_stream,
    container_end_s,
    open_container,
    packets,
)
from xclip.video.decode_plan import PacketOrder, is_entry
from xclip.video.orientation import Orientation
from xclip.video.seekable_file import SeekableFile
from xclip.video.timeline import PacketStamps, Timeline

_CONTAINER_NAMES = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}

# Containers without presentation times (an MXF has them of MPEG-2 only).
_MISTIMED_CONTAINERS = frozenset({"avi", "mxf"})

# Codecs whose decoders hand out frames in the right order under the wrong timestamps.
_MISTIMED_CODECS = frozenset({"vc1", "wmv3"})


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a video.

    container, codec : libav's short names, such as "mp4", "matroska", "h264", "av1"
    width, height : stored pixels, after rotation; where they are not square, a player shows another
        proportion
    duration_s : from the first frame shown to the end of the last, by packets
    frame_count : frames in the container; damaged ones may not decode
    rotation : degrees clockwise the stored frame is turned for display
    """

    container: str
    codec: str
    width: int
    height: int
    duration_s: float
    frame_count: int
    rotation: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Facts from the packets of a file.

    container : its short name, as in VideoInfo
    order : the packets in file order, if `timeline` knows them by their stamps
    cut_off_s : seconds of frames that the index promises behind the last packet there is, at most
        what a video may last
    """

    container: str
    stream_index: int
    timeline: Timeline
    order: PacketOrder | None
    cut_off_s: float


@dataclass(frozen=True, slots=True)
class Probe(Scan):
    """What a decoding pass of all of a file needs to know beforehand.

    orientation : the first frame's, taken for all of them
    """

    info: VideoInfo
    orientation: Orientation


def probe(file: SeekableFile, limits: Limits) -> Probe:
    """Scan every packet of `file`'s video stream and decode up to the first frame.

    Raises EmptyFile, UnreadableVideo, NoVideoStream, UnsupportedCodec, NoDecodableFrame and
    VideoTooLarge.
    """
    with open_container(file, limits) as container:
        stream = choose_stream(container)
        stamps, first = _read_all(container, stream, limits, first_frame=True)
        if first is None:
            raise NoDecodableFrame("None of the video's frames could be decoded.")
        found = _scan(container, stream, stamps, limits)
        orientation = Orientation.of(first)
        width, height = first.width, first.height
        if orientation.transpose:
            width, height = height, width
        info = VideoInfo(
            container=found.container,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            duration_s=round(found.timeline.duration_s, 6),  # sums of time bases carry noise
            frame_count=len(stamps),
            rotation=orientation.rotation,
        )
        return Probe(
            found.container,
            found.stream_index,
            found.timeline,
            found.order,
            found.cut_off_s,
            info,
            orientation,
        )


def scan(container: InputContainer, limits: Limits) -> Scan:
    """Read every packet of an opened file's video stream; as a rule, nothing is decoded.

    Raises what `probe` raises, as far as packets show it.
    """
    stream = choose_stream(container)
    # Only an open decoder knows whether it reorders frames.
    stamps, _ = _read_all(container, stream, limits, first_frame=_is_mistimed(container, stream))
    return _scan(container, stream, stamps, limits)


def _scan(
    container: InputContainer, stream: VideoStream, stamps: PacketStamps, limits: Limits
) -> Scan:
    if not len(stamps):
        raise NoDecodableFrame("None of the video's frames could be decoded.")
    timeline = _timeline(container, stream, stamps, limits)
    return Scan(
        _CONTAINER_NAMES.get(container.format.name, container.format.name),
        stream.index,
        timeline,
        None if timeline.stamps is None else stamps.order(),
        min(_cut_off_s(stream, stamps, timeline), limits.max_duration_s),
    )


def _read_all(
    container: InputContainer, stream: VideoStream, limits: Limits, *, first_frame: bool
) -> tuple[PacketStamps, VideoFrame | None]:
    decoder = TolerantDecoder(stream, limits)
    stamps = PacketStamps()
    first: VideoFrame | None = None
    for packet in packets(container, stream, limits):
        if first_frame and first is None and not decoder.gave_up:
            first = next(iter(decoder.decode(packet)), None)
        # An edit list cuts these off: they are decoded for others' sake and never shown.
        if packet.is_discard:
            stamps.discarded += 1
        else:
            stamps.add(packet, entry=is_entry(packet, stream.codec_context))
        if len(stamps) > limits.max_packets:
            raise VideoTooLarge(f"The video has more than {limits.max_packets} frames.")
    if first_frame and first is None:
        first = next(iter(decoder.flush()), None)
    if first is None and decoder.refused_size:
        raise VideoTooLarge(f"The video's frames exceed {limits.max_pixels} pixels.")
    return stamps, first


def _is_mistimed(container: InputContainer, stream: VideoStream) -> bool:
    return (
        container.format.name in _MISTIMED_CONTAINERS
        or stream.codec_context.name in _MISTIMED_CODECS
    )


def _cut_off_s(stream: VideoStream, stamps: PacketStamps, timeline: Timeline) -> float:
    """Seconds missing from a truncated file, if its index (an mp4's, at the front) says so."""
    if stream.frames <= len(stamps) + stamps.discarded or not stream.duration:
        return 0.0
    assert stream.time_base is not None, "a demuxed stream has a time base"
    return max(0.0, float(stream.duration * stream.time_base) - timeline.duration_s)


def _timeline(
    container: InputContainer, stream: VideoStream, stamps: PacketStamps, limits: Limits
) -> Timeline:
    context = stream.codec_context
    assert stream.time_base is not None, "a demuxed stream has a time base"
    timeline = stamps.timeline(
        stream.time_base,
        float(stream.average_rate) if stream.average_rate else None,
        by_order=_is_mistimed(container, stream) and context.has_b_frames,
        longest_still_s=limits.longest_still_s,
        ends_s=container_end_s(container, stream),
    )
    if timeline.duration_s > limits.max_duration_s:
        raise VideoTooLarge(
            f"The video lasts {timeline.duration_s:.0f} s; the limit is "
            f"{limits.max_duration_s:.0f} s."
        )
    return timeline
