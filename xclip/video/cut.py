"""Clip cutting by stream copy: an interval of a video as a file, without decoding.

Seconds count from the first frame shown; stamps are in units of the frames' time base. What was
written is read again: a copy that does not show the planned frames is refused, not handed out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import BinaryIO

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from xclip.errors import NeedsMoreMemory, NotCuttable, VideoError, VideoTooLarge
from xclip.video.containers import Limits, TolerantDecoder, packets
from xclip.video.cut_plan import CutPlan, plan_cut
from xclip.video.cut_source import CopiedPacket, CutContainer, CutSource, OpenSource, tick
from xclip.video.display_width import state_display_width
from xclip.video.edit_list import shorten
from xclip.video.parameter_sets import are_out_of_band
from xclip.video.seekable_file import SeekableFile

# The index is in front, so that a copy plays while it arrives. Its space is reserved before its
# size is known. In an mp4 a packet takes at most 8 bytes of duration, 8 of delay, 4 of size, 4 if
# it is a key and 20 of the chunk that it is in; in a webm a key takes about half of this.
_INDEX_BYTES_PER_PACKET = 44
_INDEX_BYTES = 8192
_CUE_BYTES = 64

# Names of the coding in an mp4, where parameter sets are with its description, and where they are
# in the frames. Of HEVC's, Apple plays only the first.
_TAGS = {"hevc": ("hvc1", "hev1"), "h264": ("avc1", "avc3")}

_ROUNDED_S = 0.0015  # a webm counts milliseconds


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


def cut(file: SeekableFile, output: BinaryIO, request: CutRequest) -> Cut:
    """Copy the interval to `output`, an empty seekable file that can be read, too.

    Raises NotCuttable where neither an mp4 nor a webm can hold the frames as they are,
    VideoTooLarge, and the subclasses of VideoError that opening and reading cause.
    """
    source = CutSource(file, request.limits)
    plan = plan_cut(source, request.start_s, request.end_s)
    target = _Target(output, request.max_bytes)
    with source.opened(plan.seek) as opened:
        options = _options(opened, plan)
        try:
            with av.open(target, "w", format=opened.target, options=options) as copy:
                _copy(opened, plan, copy, target)
        except MemoryError:
            raise  # libav's is an FFmpegError, too
        except av.error.FFmpegError as error:
            target.check()
            raise NotCuttable(
                f"The frames of this interval cannot be written as an {opened.target}."
            ) from error
        target.check()
        unit = tick(opened.stream)
        if plan.ends_hidden and opened.target == "mp4":
            shorten(output, (plan.end - plan.start) * unit)
        ratio = opened.stream.sample_aspect_ratio
        if opened.target == "webm" and ratio and ratio != 1:
            state_display_width(output, max(1, round(opened.stream.width * ratio)))
        _verify(output, [float((each - plan.start) * unit) for each in plan.shown()], request)
        start_s = max(0.0, float((plan.start - plan.origin) * unit))
        return Cut(opened.target, start_s, float((plan.end - plan.origin) * unit))


def _options(source: OpenSource, plan: CutPlan) -> dict[str, str]:
    options = {"fflags": "+bitexact"}  # the same cut is the same bytes
    if source.target == "webm":
        keys = sum(each is not None and each.is_key for each in plan.frames)
        return {**options, "reserve_index_space": str(_CUE_BYTES * (keys + 1))}
    described = sum(
        len(each.codec_context.extradata or b"")
        for each in (source.stream, source.sound)
        if each is not None
    )
    packets = len(plan.frames) + plan.sounds
    index = _INDEX_BYTES + described + packets * _INDEX_BYTES_PER_PACKET
    return {**options, "moov_size": str(index)}


def _copy(source: OpenSource, plan: CutPlan, copy: OutputContainer, target: _Target) -> None:
    shown = copy.add_stream_from_template(source.stream, opaque=True)
    _describe(shown.codec_context, source)
    heard = (
        copy.add_stream_from_template(source.sound, opaque=True)
        if source.sound is not None and plan.sounds
        else None
    )
    timings = iter(_timings(plan))
    unit = tick(source.stream)
    number = -plan.skipped
    for packet in islice(source.packets(), plan.packets):
        target.check()
        if source.is_frame(packet):
            if 0 <= number < len(plan.frames) and plan.frames[number] is not None:
                packet.dts, packet.duration = next(timings)
                _mux(packet, shown, plan.start, copy)
            number += 1
        elif heard is not None and plan.start <= source.stamp_of_sound(packet) < plan.end:
            _mux(packet, heard, round(plan.start * unit / tick(packet)), copy)


def _describe(context: VideoCodecContext, source: OpenSource) -> None:
    """What the container says of the frames, where that is not what the frames say."""
    if source.target == "mp4" and context.name in _TAGS:
        described, repeated = _TAGS[context.name]
        is_described = are_out_of_band(context.name, source.stream.codec_context.extradata or b"")
        context.codec_tag = described if is_described else repeated
    if source.stream.sample_aspect_ratio:  # an mp4 takes it from here
        context.sample_aspect_ratio = source.stream.sample_aspect_ratio


def _mux(
    packet: CopiedPacket, stream: VideoStream | AudioStream, start: int, copy: OutputContainer
) -> None:
    assert packet.pts is not None, "packets without a time are not copied"
    packet.pts -= start
    packet.dts = packet.pts if packet.dts is None else packet.dts - start
    packet.stream = stream
    copy.mux(packet)


def _timings(plan: CutPlan) -> list[tuple[int, int]]:
    """When each packet is decoded, and how long its frame is shown, in the order of decoding.

    The source's own are not used: a matroska may have neither, and an mp4's durations are those
    between decode times. Decode times rise strictly, and none is after its frame is shown.
    """
    stamps = [each.stamp for each in plan.frames if each is not None]
    ordered = sorted(stamps)
    delay = max(late - stamp for late, stamp in zip(ordered, stamps, strict=True))
    decoded = [each - delay for each in ordered]
    for number in reversed(range(len(decoded) - 1)):
        decoded[number] = min(decoded[number], decoded[number + 1] - 1)
    ends = dict(pairwise(sorted({*stamps, plan.end})))
    lasts = [ends.get(stamp, 0) - stamp for stamp in stamps]
    lasts[-1] = max(1, plan.end - ordered[-1])  # an mp4 takes its length from the last packet
    return list(zip(decoded, lasts, strict=True))


def _verify(output: BinaryIO, expected: list[float], request: CutRequest) -> None:
    """Raise NotCuttable unless the copy can be decoded and shows frames at these seconds."""
    refusal = NotCuttable("A copy of this interval would not show the frames of the source.")
    found: list[float] = []
    is_decoded = False
    try:
        with CutSource(output, request.limits).opened() as copy:
            decoder = TolerantDecoder(copy.stream, request.limits)
            for packet in packets(copy.container, copy.stream, request.limits):
                if not is_decoded:
                    is_decoded = bool(decoder.decode(packet))
                if not packet.is_discard and packet.pts is not None:
                    found.append(float(packet.pts * tick(copy.stream)))
            is_decoded = is_decoded or bool(decoder.flush())
    except NeedsMoreMemory:
        raise
    except VideoError as error:
        raise refusal from error
    if not is_decoded or decoder.damaged_packets or len(found) != len(expected):
        raise refusal
    if any(abs(a - b) > _ROUNDED_S for a, b in zip(sorted(found), expected, strict=True)):
        raise refusal


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
