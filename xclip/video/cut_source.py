"""Demuxing for clip cutting: a file opened anew for each reading, from where a seek leads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self, TypeAlias, cast

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from xclip.errors import NotCuttable
from xclip.video.containers import Limits, choose_stream, open_container
from xclip.video.seekable_file import SeekableFile

CutContainer: TypeAlias = Literal["mp4", "webm"]
CopiedPacket: TypeAlias = "Packet[VideoStream] | Packet[AudioStream]"

# The codecs that players expect in each; the muxers take more, which few players can show.
_WEBM_VIDEO = frozenset({"vp8", "vp9", "av1"})
_WEBM_AUDIO = frozenset({"opus", "vorbis"})
_MP4_VIDEO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A file that is read once.

    sound : what a player would choose, if the copy can hold it
    from_start : whether it is read from its first packet
    """

    container: InputContainer
    stream: VideoStream
    sound: AudioStream | None
    target: CutContainer
    from_start: bool

    @classmethod
    def of(cls, container: InputContainer, *, from_start: bool) -> Self:
        """Raises NotCuttable, and what `choose_stream` raises."""
        stream = choose_stream(container)
        target = _target(container, stream)
        return cls(container, stream, _sound(container, target), target, from_start)

    def packets(self, *, with_sound: bool = True) -> Iterator[CopiedPacket]:
        """The packets of the frames, and of the sound, in file order."""
        streams: list[VideoStream | AudioStream] = [self.stream]
        if self.sound is not None and with_sound:
            streams.append(self.sound)
        for packet in self.container.demux(streams):
            if packet.size:
                yield cast("CopiedPacket", packet)

    def is_frame(self, packet: CopiedPacket) -> bool:
        """Whether it is a frame's, not sound."""
        return packet.stream.index == self.stream.index

    def stamp_of_sound(self, packet: CopiedPacket) -> int:
        """The time of a packet of sound as a stamp of frames; before all of them if unknown."""
        if packet.pts is None:
            return -sys.maxsize
        return round(packet.pts * tick(packet) / tick(self.stream))


@dataclass(frozen=True, slots=True)
class CutSource:
    """A file that is read several times.

    Each reading opens it anew: a demuxer keeps some of what it has read, and one whose seek has
    failed may be anywhere.
    """

    file: SeekableFile
    limits: Limits

    @contextmanager
    def opened(self, seek: int | None = None) -> Iterator[OpenSource]:
        """The file, to be read from a key frame at or before the stamp `seek`, or from its start.

        Also where no key frame is to be found.
        """
        if seek is not None:
            with open_container(self.file, self.limits) as container:
                source = OpenSource.of(container, from_start=False)
                if _seek(source, seek):
                    yield source
                    return
        with open_container(self.file, self.limits) as container:
            yield OpenSource.of(container, from_start=True)


def _seek(source: OpenSource, stamp: int) -> bool:
    try:
        source.container.seek(stamp, stream=source.stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def _target(source: InputContainer, stream: VideoStream) -> CutContainer:
    codec, kind = stream.codec_context.codec.canonical_name, source.format.name
    if kind.startswith("matroska") and codec in _WEBM_VIDEO:
        return "webm"
    # Early x264 coded 4:4:4 in its own way, and says so once, at the very beginning: a decoder that
    # begins later takes it for the standard's and shows noise.
    is_nonstandard = codec == "h264" and (stream.pix_fmt or "").startswith("yuv444")
    if kind.startswith(("matroska", "mov", "flv")) and codec in _MP4_VIDEO and not is_nonstandard:
        return "mp4"
    raise NotCuttable(
        f"{codec} frames in {kind} cannot be copied into an mp4 or a webm without re-encoding."
    )


def _sound(source: InputContainer, target: CutContainer) -> AudioStream | None:
    held = _WEBM_AUDIO if target == "webm" else _MP4_AUDIO
    for stream in source.streams.audio:
        # PyAV's stubs promise a context, but a stream without any decoder has None.
        if stream.codec_context and stream.codec_context.codec.canonical_name in held:
            return stream
    return None


def tick(timed: CopiedPacket | VideoStream | AudioStream) -> Fraction:
    """Seconds per unit of its stamps."""
    assert timed.time_base is not None, "a demuxed packet or stream has a time base"
    return timed.time_base
