"""Containers: which files are opened, how, and which stream is the video.

The bytes are hostile until proven otherwise. What keeps libav from reading anything but them:
only self-contained container formats are recognised (a playlist or a concat script would open
other files), no protocol is allowed, and the name libav sees is ours, never the uploader's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import av
import av.error
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from xclip.errors import (
    EmptyFile,
    EncryptedVideo,
    NoVideoStream,
    UnreadableVideo,
    UnsupportedCodec,
    VideoTooLarge,
)
from xclip.video.av1 import AV1References
from xclip.video.encryption import is_encrypted
from xclip.video.file_kinds import HEAD_BYTES, kind_of
from xclip.video.formats import FORMATS
from xclip.video.iso_boxes import boxes
from xclip.video.memory import check_memory, needs_more_memory
from xclip.video.seekable_file import SeekableFile

# Decoder names as libav spells them (AV1 is decoded by libdav1d).
DECODERS = frozenset(
    {
        *("h264", "hevc", "libdav1d", "vp8", "vp9", "mpeg4", "h263", "mpeg1video", "mpeg2video"),
        *("msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2", "wmv3", "vc1", "flv", "vp6", "vp6f"),
        *("theora", "mjpeg", "dvvideo", "prores", "dnxhd", "cfhd", "ffv1", "huffyuv", "gif"),
    }
)

# Most sizes are known before decoding. A GIF's never is, and opening other files does not reveal a
# size that is too large already there; then these decoders answer "invalid argument" to the size,
# which other decoders answer to much else.
_REFUSING_SIZES = frozenset({"gif", "mpeg4", "mpeg2video", "mjpeg"})

# Frames that accompany a video without being it.
_STILLS = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails

_READ_SIZE = 1 << 17

_BEFORE_INDEX = frozenset({b"ftyp", b"mdat", b"wide", b"free", b"skip", b"uuid", b"pnot"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may need; beyond a `max_` the file is refused as VideoTooLarge.

    max_pixels : int
        Width times height of a frame, rows padded as decoders pad them. The default takes 8K.
    max_packets : int
        Frames in the stream.
    max_duration_s : float
        Seconds from the first frame to the end of the last.
    max_streams : int
        Streams of any kind in the container.
    longest_still_s : float
        A frame shown for longer is taken for a broken timestamp, and the gap closed.
    damaged_packets : int
        Packets that may fail to be read, and again that may fail to decode, before the rest of the
        stream is given up.
    """

    max_pixels: int = 36_000_000
    max_packets: int = 2_000_000
    max_duration_s: float = 12 * 3600.0
    max_streams: int = 64
    longest_still_s: float = 600.0
    damaged_packets: int = 200


class _Upload:
    """A file without its name: libav guesses formats from extensions, and prints names."""

    name = "<upload>"

    def __init__(self, file: SeekableFile) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL  # a damaged offset: libav handles it where it has the context

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def open_container(file: SeekableFile, limits: Limits) -> Iterator[InputContainer]:
    """Open `file` from its start; libav's errors inside the block leave as VideoErrors.

    Raises EmptyFile, EncryptedVideo, UnreadableVideo (format not allowed, or damaged) and
    VideoTooLarge (memory).
    """
    if file.seek(0, os.SEEK_END) == 0:
        raise EmptyFile("The file is empty.")
    if is_encrypted(file):
        raise EncryptedVideo("The video is encrypted (DRM), so its frames cannot be read.")
    file.seek(0, os.SEEK_SET)
    options = {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(sorted(DECODERS)),
        "max_streams": str(limits.max_streams),
        "max_pixels": str(limits.max_pixels),
        "probesize": "5000000",
        "analyzeduration": "10000000",
    }
    try:
        with av.open(
            _Upload(file), "r", options=options, metadata_errors="replace", buffer_size=_READ_SIZE
        ) as container:
            yield container
    except MemoryError as error:
        raise needs_more_memory() from error
    except av.error.FFmpegError as error:
        if _lacks_index(file):
            raise UnreadableVideo(
                "The file is incomplete: its index (moov) is missing, as after an interrupted "
                "upload or recording."
            ) from error
        raise UnreadableVideo(
            _kind_of(file)
            or "The file is damaged, incomplete or in a format that this service does not read."
        ) from error
    except NoVideoStream as error:
        if (kind := _kind_of(file)) is None:
            raise
        raise NoVideoStream(kind) from error


def _kind_of(file: SeekableFile) -> str | None:
    file.seek(0, os.SEEK_SET)
    return kind_of(file.read(HEAD_BYTES))


def _lacks_index(file: SeekableFile) -> bool:
    """Whether the file's boxes are those of an MP4 video that ends before its index."""
    kinds = {kind for kind, _, _ in boxes(file)}
    return kinds <= _BEFORE_INDEX and not kinds.isdisjoint({b"ftyp", b"mdat"})


def choose_stream(container: InputContainer) -> VideoStream:
    """The stream a player would show: libav's best, unless that is cover art or undecodable.

    Raises NoVideoStream and UnsupportedCodec.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & _STILLS]
    if not moving:
        held = "sound but no video" if container.streams.audio else "no video"
        raise NoVideoStream(f"The file holds {held}.")
    playable = [stream for stream in moving if _decoder_name(stream) in DECODERS]
    if not playable:
        names = ", ".join(sorted({_decoder_name(stream) or "unknown" for stream in moving}))
        raise UnsupportedCodec(f"The video is coded as {names}, which is not supported.")
    best = container.streams.best("video")
    for stream in playable:
        if best is not None and stream.index == best.index:
            return stream
    return max(playable, key=lambda stream: stream.width * stream.height)


def container_end_s(container: InputContainer, stream: VideoStream) -> float | None:
    """The second at which the video ends by the headers, on the clock of its stamps, if they say.

    Headers lie, but a video that ends sooner than its packets make believe is to be believed.
    """
    if stream.duration is not None and stream.time_base is not None:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    if container.duration is None:
        return None
    return (container.duration + max(0, container.start_time)) / av.time_base


def _decoder_name(stream: VideoStream) -> str | None:
    # PyAV's stubs promise a context, but a stream without any decoder has None.
    context = cast("VideoCodecContext | None", stream.codec_context)
    return None if context is None else context.name


def packets(
    container: InputContainer, stream: VideoStream, limits: Limits
) -> Iterator[Packet[VideoStream]]:
    """The stream's non-empty packets in file order, past up to `damaged_packets` read errors."""
    for _ in range(limits.damaged_packets + 1):
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except (av.error.FFmpegError, IndexError):
            # libav says "out of memory" for a damaged size, too; PyAV stumbles with IndexError over
            # a stream that begins in the middle of a file. Reading goes on behind the packet.
            check_memory(stream)
            continue
        return


class TolerantDecoder:
    """One stream's decoder that forgives a bounded number of damaged packets.

    damaged_packets : how many were damaged so far
    refused_size : whether frames, whose size was not known beforehand, were refused for it
    """

    def __init__(self, stream: VideoStream, limits: Limits, threads: int = 1) -> None:
        context = stream.codec_context
        if context.width * context.height > limits.max_pixels:
            raise VideoTooLarge(
                f"Frames of {context.width}x{context.height} exceed {limits.max_pixels} pixels."
            )
        # The container's option of the same name reaches only its own probing, not this decoder.
        context.options = {"max_pixels": str(limits.max_pixels)}
        context.thread_type = ThreadType.NONE if threads == 1 else ThreadType.AUTO
        context.thread_count = threads
        self._stream = stream
        self._context = context
        self._knows_size = context.width > 0
        self._av1 = AV1References() if context.name == "libdav1d" else None
        self._forgiven = limits.damaged_packets
        self.damaged_packets = 0
        self.refused_size = False

    @property
    def gave_up(self) -> bool:
        """Whether more packets were damaged than are forgiven."""
        return self.damaged_packets > self._forgiven

    def decode(self, packet: Packet[VideoStream], *, wanted: bool = True) -> list[VideoFrame]:
        """Frames that come out when `packet` goes in; an unwanted one may be skipped."""
        if self._av1 is not None:
            if self._av1.unreferenced(memoryview(packet)) and not wanted:
                return []
        else:
            self._context.skip_frame = "DEFAULT" if wanted else "NONREF"
        return self._decode(packet)

    def flush(self) -> list[VideoFrame]:
        """Frames still held back for reordering; what follows must begin with `restart`."""
        return self._decode(None)

    def restart(self) -> None:
        """Forget all that went in, as if the next packet were the first."""
        if self._context.is_open:
            self._context.flush_buffers()

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self._context.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            if not self._knows_size and self._context.name in _REFUSING_SIZES:
                self.refused_size |= isinstance(error, av.error.ArgumentError)
            check_memory(self._stream)
            self.damaged_packets += 1
            return []
