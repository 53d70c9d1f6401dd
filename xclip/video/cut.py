"""Clip cutting by stream copy: an interval of a video as a file, without decoding.

A copy can only begin at a frame that needs no other, so it begins at the last such frame at or
before the requested start. Seconds count from the first frame shown; stamps are in units of the
frames' time base.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from math import ceil, floor
from typing import BinaryIO, Literal, TypeAlias, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from xclip.errors import NoDecodableFrame, NotCuttable, VideoTooLarge
from xclip.video.containers import Limits, SeekableFile, choose_stream, open_container

CutContainer: TypeAlias = Literal["mp4", "webm"]
_AnyPacket: TypeAlias = "Packet[VideoStream] | Packet[AudioStream]"

# The codecs that players expect in each; the muxers take more, which few players can show.
_WEBM_VIDEO = frozenset({"vp8", "vp9", "av1"})
_WEBM_AUDIO = frozenset({"opus", "vorbis"})
_MP4_VIDEO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})

# The index is in front, so that a copy plays while it arrives. Its space is reserved before its
# size is known. In an mp4 a packet takes at most 8 bytes of duration, 8 of delay, 4 of size, 4 if
# it is a key and 20 of the chunk that it is in; in a webm a key takes about half of this.
_INDEX_BYTES_PER_PACKET = 44
_INDEX_BYTES = 8192
_CUE_BYTES = 64

_STEPS_BACK_S = (0, 2, 8, 30, 120)  # tried in turn while a seek finds a key that is shown too late
_FIRST_PACKETS = 100  # among which the first frame shown must be
_INTERLEAVED_S = 10  # how far sound may lie behind its frames: as long as fragments are


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Which interval of a video is wanted, in seconds, and how many bytes it may have."""

    start_s: float
    end_s: float
    max_bytes: int
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Cut:
    """What was written: its first frame and the end of its last one, in seconds of the source."""

    container: CutContainer
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class _FramePacket:
    """A packet of the video stream; `hidden` ones are decoded for others' sake and never shown."""

    stamp: int
    lasts: int
    is_key: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """What followed a seek: `packets` in all, of which `frames` are video and the others sound."""

    frames: list[_FramePacket]
    packets: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which packets are copied, and when they are shown.

    origin : the stamp of the source's first frame
    seek : the stamp to seek to
    packets : how many are read from there
    skipped : packets of frames after the seek, before the first one that is copied
    frames : those from there on in the order of decoding, None for one that is left out
    start, end : stamps of the first frame shown, and of the end of the last
    sounds : at most so many packets of sound
    """

    origin: int
    seek: int
    packets: int
    skipped: int
    frames: list[_FramePacket | None]
    start: int
    end: int
    sounds: int


def cut(file: SeekableFile, output: BinaryIO, request: CutRequest) -> Cut:
    """Copy the interval to `output`, an empty seekable file.

    Raises NotCuttable where neither an mp4 nor a webm can hold the frames as they are,
    VideoTooLarge, and the subclasses of VideoError that opening and reading cause.
    """
    with open_container(file, request.limits) as source:
        stream = choose_stream(source)
        container = _container(source, stream)
        sound = _sound(source, container)
        plan = _plan(source, stream, sound, request)
        sound = sound if plan.sounds else None
        target = _Target(output, request.max_bytes)
        options = _options(container, stream, sound, plan)
        with av.open(target, "w", format=container, options=options) as copy:
            _copy(source, stream, sound, plan, copy, target)
        target.check()
        start_s = max(0.0, float((plan.start - plan.origin) * _tick(stream)))
        return Cut(container, start_s, float((plan.end - plan.origin) * _tick(stream)))


def _container(source: InputContainer, stream: VideoStream) -> CutContainer:
    codec, kind = stream.codec_context.codec.canonical_name, source.format.name
    if kind.startswith("matroska") and codec in _WEBM_VIDEO:
        return "webm"
    # Early x264 coded 4:4:4 in its own way, and says so once, at the very beginning: a decoder that
    # begins later takes it for the standard's and shows noise.
    is_nonstandard = codec == "h264" and (stream.pix_fmt or "").startswith("yuv444")
    if kind.startswith(("matroska", "mov")) and codec in _MP4_VIDEO and not is_nonstandard:
        return "mp4"
    raise NotCuttable(
        f"{codec} frames in {kind} cannot be copied into an mp4 or a webm without re-encoding."
    )


def _sound(source: InputContainer, container: CutContainer) -> AudioStream | None:
    """The sound that a player would choose, if the copy can hold it."""
    held = _WEBM_AUDIO if container == "webm" else _MP4_AUDIO
    for stream in source.streams.audio:
        # PyAV's stubs promise a context, but a stream without any decoder has None.
        if stream.codec_context and stream.codec_context.codec.canonical_name in held:
            return stream
    return None


def _options(
    container: CutContainer, stream: VideoStream, sound: AudioStream | None, plan: _Plan
) -> dict[str, str]:
    options = {"fflags": "+bitexact"}  # the same cut is the same bytes
    if container == "webm":
        keys = sum(each is not None and each.is_key for each in plan.frames)
        return {**options, "reserve_index_space": str(_CUE_BYTES * (keys + 1))}
    described = sum(
        len(each.codec_context.extradata or b"") for each in (stream, sound) if each is not None
    )
    packets = len(plan.frames) + plan.sounds
    index = _INDEX_BYTES + described + packets * _INDEX_BYTES_PER_PACKET
    return {**options, "moov_size": str(index)}


def _plan(
    source: InputContainer, stream: VideoStream, sound: AudioStream | None, request: CutRequest
) -> _Plan:
    tick = _tick(stream)
    origin = _origin(source, stream)
    start = origin + floor(Fraction(request.start_s) / tick)
    end = origin + ceil(Fraction(request.end_s) / tick)
    for step_s in _STEPS_BACK_S:
        seek = start - ceil(step_s / tick)
        read = _look_through(source, stream, sound, seek, end, request.limits)
        frames = read.frames
        keys = [n for n, each in enumerate(frames) if each.is_key and each.stamp <= start]
        if keys or seek <= origin:
            break
    if not keys:  # it begins late, or with frames that need others
        keys = [n for n, each in enumerate(frames) if each.is_key][:1]
    wanted = [n for n, each in enumerate(frames) if each.stamp < end and keys and n >= keys[-1]]
    if not wanted:
        raise NoDecodableFrame("The interval has no frame that a copy can start with.")
    first, last = wanted[0], wanted[-1]
    # Frames decoded before the last one may be shown after it; then copy all that lie between, too.
    top = max(each.stamp for each in frames[first : last + 1])
    last = max(n for n, each in enumerate(frames) if n >= last and each.stamp <= top)
    # Shown before the key but decoded after it: they need frames from before it.
    copied = [
        each if each.stamp >= frames[first].stamp else None for each in frames[first : last + 1]
    ]
    shown = [each for each in copied if each is not None and not each.hidden]
    ends = max((each.stamp + each.lasts for each in shown), default=start)
    if ends <= start:
        raise NoDecodableFrame("The interval has no frame.")
    return _Plan(
        origin=origin,
        seek=seek,
        packets=read.packets,
        skipped=first,
        frames=copied,
        start=min(each.stamp for each in shown),
        end=ends,
        sounds=read.packets - len(frames),
    )


def _origin(source: InputContainer, stream: VideoStream) -> int:
    """The stamp of the first frame shown.

    Decoding is in the order of decode times, and none is later than its frame is shown.
    """
    lowest: int | None = None
    for number, packet in enumerate(_packets(source, stream, None)):
        decided = lowest is not None and packet.dts is not None and packet.dts >= lowest
        if decided or number == _FIRST_PACKETS:
            break
        if not packet.is_discard:
            stamp = _stamp(packet)
            lowest = stamp if lowest is None else min(lowest, stamp)
    if lowest is None:
        raise NoDecodableFrame("The video shows none of its frames.")
    return lowest


def _look_through(
    source: InputContainer,
    stream: VideoStream,
    sound: AudioStream | None,
    seek: int,
    end: int,
    limits: Limits,
) -> _Read:
    """The packets after a seek to `seek`, until none that belongs before `end` can follow."""
    _seek(source, stream, seek)
    frames: list[_FramePacket] = []
    packets = 0
    tick = _tick(stream)
    far = end + ceil(_INTERLEAVED_S / tick)
    for packet in _packets(source, stream, sound):
        if packet.stream.index == stream.index:
            stamp = _stamp(packet)
            decoded = stamp if packet.dts is None and packet.is_keyframe else packet.dts
            if decoded is not None and decoded >= far:
                break
            frames.append(
                _FramePacket(stamp, packet.duration or 0, packet.is_keyframe, packet.is_discard)
            )
            if len(frames) > limits.max_packets:
                raise VideoTooLarge(f"The interval has more than {limits.max_packets} frames.")
        packets += 1
    return _Read(frames, packets)


def _seek(source: InputContainer, stream: VideoStream, stamp: int) -> None:
    source.seek(stamp, stream=stream, backward=True)


def _stamp(packet: _AnyPacket) -> int:
    if packet.pts is None:
        raise NotCuttable("The file does not say when its frames are shown.")
    return packet.pts


def _packets(
    source: InputContainer, stream: VideoStream, sound: AudioStream | None
) -> Iterator[_AnyPacket]:
    streams = [stream] if sound is None else [stream, sound]
    for packet in source.demux(streams):
        if packet.size:
            yield cast("_AnyPacket", packet)


def _copy(
    source: InputContainer,
    stream: VideoStream,
    sound: AudioStream | None,
    plan: _Plan,
    copy: OutputContainer,
    target: _Target,
) -> None:
    shown = copy.add_stream_from_template(stream, opaque=True)
    if shown.codec_context.name == "hevc" and copy.format.name == "mp4":
        shown.codec_context.codec_tag = "hvc1"  # the only one of its names that Apple plays
    heard = None if sound is None else copy.add_stream_from_template(sound, opaque=True)
    decoded = iter(_decode_stamps([each.stamp for each in plan.frames if each is not None]))
    number = -plan.skipped
    _seek(source, stream, plan.seek)
    for packet in islice(_packets(source, stream, sound), plan.packets):
        target.check()
        if packet.stream.index == stream.index:
            if 0 <= number < len(plan.frames) and plan.frames[number] is not None:
                packet.dts = next(decoded)
                _mux(packet, shown, plan.start, copy)
            number += 1
        elif heard is not None and plan.start <= _on_clock(packet, stream) < plan.end:
            _mux(packet, heard, round(plan.start * _tick(stream) / _tick(packet)), copy)


def _mux(
    packet: _AnyPacket, stream: VideoStream | AudioStream, start: int, copy: OutputContainer
) -> None:
    assert packet.pts is not None, "packets without a time are not copied"
    packet.pts -= start
    packet.dts = packet.pts if packet.dts is None else packet.dts - start
    packet.stream = stream
    copy.mux(packet)


def _decode_stamps(stamps: list[int]) -> list[int]:
    """The stamps at which frames shown at `stamps` are decoded: in order, none after it is shown.

    The file's own are not used: a matroska has none.
    """
    ordered = sorted(stamps)
    delay = max(late - stamp for late, stamp in zip(ordered, stamps, strict=True))
    return [each - delay for each in ordered]


def _on_clock(packet: _AnyPacket, stream: VideoStream) -> int:
    """The time of a packet of sound as a stamp of the frames; before all of them if unknown."""
    if packet.pts is None:
        return -sys.maxsize
    return round(packet.pts * _tick(packet) / _tick(stream))


def _tick(timed: _AnyPacket | VideoStream | AudioStream) -> Fraction:
    """Seconds per unit of its stamps."""
    assert timed.time_base is not None, "a demuxed packet or stream has a time base"
    return timed.time_base


class _Target:
    """The file to write, up to a number of bytes. It drops what exceeds them, and `check` raises.

    An error raised while libav writes would surface elsewhere, as a different error.
    """

    name = "<cut>"

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._is_full = False

    def write(self, chunk: bytes) -> int:
        self._is_full |= self._file.tell() + len(chunk) > self._max_bytes
        view = memoryview(b"" if self._is_full else chunk)
        while view:
            view = view[self._file.write(view) :]
        return len(chunk)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def check(self) -> None:
        """Raise VideoTooLarge if something did not fit."""
        if self._is_full:
            raise VideoTooLarge(f"The interval has more than {self._max_bytes} bytes.")
