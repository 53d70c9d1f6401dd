"""Wire format of a decoding process's results: a small JSON header, then raw pixels.

Never pickle: the process has parsed untrusted bytes, and an attacker may control it by now.
Everything read is checked against the request, so the worst it can do is lie about pixels.

One message is a 4-byte length, a JSON header of that length, and for a segment its frames and its
thumbnail as bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from xclip.errors import DecoderCrashed, NeedsMoreMemory, VideoError
from xclip.video.cut import Cut
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.memory import needs_more_memory
from xclip.video.probe import VideoInfo

_LENGTH = struct.Struct("<I")
_LONGEST_HEADER = 1 << 16
_LONGEST_TRACEBACK = 5_000  # characters, each up to twelve bytes as JSON

# Fills the whole buffer from the pipe, or raises.
ReadInto = Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class EndOfVideo:
    """The last message: every segment has been sent.

    lost_s : seconds of the video that are damaged
    """

    lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class UnexpectedException:
    """The last message of a process that stumbled over a mistake of ours, for the log.

    traceback : Python's, or its last part; the process may have been taken over, so it may lie
    """

    traceback: str


Message = VideoInfo | DecodedSegment | VideoError | UnexpectedException | EndOfVideo
CutMessage = Cut | VideoError | UnexpectedException


def send(pipe: BinaryIO, message: Message | CutMessage) -> None:
    """Write one message; blocks while the reader is behind."""
    match message:
        case VideoInfo():
            _send_header(pipe, {"kind": "info", **asdict(message)})
        case DecodedSegment():
            _send_header(
                pipe,
                {
                    "kind": "segment",
                    "index": message.index,
                    "start": message.start,
                    "end": message.end,
                    "unique_frames": message.unique_frames,
                    "thumbnail": message.thumbnail.shape[:2],
                },
            )
            pipe.write(message.frames.data.cast("B"))
            pipe.write(message.thumbnail.data.cast("B"))
        case NeedsMoreMemory():
            _send_header(pipe, {"kind": "memory"})
        case VideoError():
            _send_header(pipe, {"kind": "error", "code": message.code, "message": str(message)})
        case UnexpectedException():
            _send_header(
                pipe, {"kind": "exception", "traceback": message.traceback[-_LONGEST_TRACEBACK:]}
            )
        case EndOfVideo():
            _send_header(pipe, {"kind": "end", "lost_s": message.lost_s})
        case Cut():
            _send_header(pipe, {"kind": "cut", **asdict(message)})
    pipe.flush()


def _send_header(pipe: BinaryIO, header: Mapping[str, object]) -> None:
    encoded = json.dumps(header).encode()
    pipe.write(_LENGTH.pack(len(encoded)) + encoded)


def receive(read_into: ReadInto, request: DecodeRequest) -> Message:
    """Read one message. Raises DecoderCrashed for anything that is not one."""
    encoded = _header(read_into)
    try:
        header = json.loads(encoded)
        match header["kind"]:
            case "info":
                return _info(header)
            case "segment":
                return _segment(header, read_into, request)
            case "error":
                return _error(header)
            case "memory":
                return needs_more_memory()
            case "exception":
                return UnexpectedException(str(header["traceback"]))
            case "end":
                return EndOfVideo(_seconds(header["lost_s"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DecoderCrashed("The decoder process sent an invalid message.") from error
    raise DecoderCrashed("The decoder process sent an invalid message.")


def receive_cut(read_into: ReadInto) -> CutMessage:
    """Read the one message of a process that cuts. Raises DecoderCrashed for anything else."""
    encoded = _header(read_into)
    try:
        header = json.loads(encoded)
        match header["kind"], header.get("container"):
            case "cut", "mp4" | "webm" as container:
                return Cut(container, _seconds(header["start_s"]), _seconds(header["end_s"]))
            case "error", _:
                return _error(header)
            case "memory", _:
                return needs_more_memory()
            case "exception", _:
                return UnexpectedException(str(header["traceback"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DecoderCrashed("The decoder process sent an invalid message.") from error
    raise DecoderCrashed("The decoder process sent an invalid message.")


def _header(read_into: ReadInto) -> bytearray:
    (length,) = _LENGTH.unpack(_bytes(read_into, _LENGTH.size))
    if length > _LONGEST_HEADER:
        raise DecoderCrashed("The decoder process sent an invalid message.")
    return _bytes(read_into, length)


def _bytes(read_into: ReadInto, length: int) -> bytearray:
    buffer = bytearray(length)
    read_into(memoryview(buffer))
    return buffer


def _info(header: Mapping[str, object]) -> VideoInfo:
    return VideoInfo(
        container=str(header["container"]),
        codec=str(header["codec"]),
        width=_whole(header["width"]),
        height=_whole(header["height"]),
        duration_s=_seconds(header["duration_s"]),
        frame_count=_whole(header["frame_count"]),
        rotation=_whole(header["rotation"]),
    )


def _segment(
    header: Mapping[str, object], read_into: ReadInto, request: DecodeRequest
) -> DecodedSegment:
    height, width = (_whole(edge) for edge in cast("list[object]", header["thumbnail"]))
    most_height, most_width = request.largest_thumbnail
    if not (1 <= height <= most_height and 1 <= width <= most_width):
        raise ValueError(f"a thumbnail of {width}x{height} is out of bounds")
    edge = request.geometry.crop
    return DecodedSegment(
        index=_whole(header["index"]),
        start=_seconds(header["start"]),
        end=_seconds(header["end"]),
        frames=_pixels(read_into, (request.num_frames, edge, edge, 3)),
        thumbnail=_pixels(read_into, (height, width, 3)),
        unique_frames=_whole(header["unique_frames"]),
    )


def _error(header: Mapping[str, object]) -> VideoError:
    for leaf in VideoError.__subclasses__():
        if leaf.code == header["code"]:
            return leaf(str(header["message"]))
    raise ValueError(f"no error has the code {header['code']!r}")


def _pixels(read_into: ReadInto, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    pixels = np.empty(shape, dtype=np.uint8)
    read_into(pixels.data.cast("B"))
    return pixels


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, float) or not 0 <= value < float("inf"):
        raise ValueError(f"{value!r} is not a time")
    return value
