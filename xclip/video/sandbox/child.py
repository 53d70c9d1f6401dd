"""Decoder process: decodes in a child that may hang, crash or grow without harming its caller.

The caller pulls segments from the process's pipe and kills it when its time is up or no
more are wanted.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from xclip.errors import DecoderCrashed, VideoError
from xclip.out_of_memory import refused_memory
from xclip.video.cut import Cut, CutRequest, cut
from xclip.video.decode import DecodedSegment, DecodeRequest, Segments
from xclip.video.memory import needs_more_memory
from xclip.video.probe import VideoInfo, probe
from xclip.video.sandbox.process import ConfinedProcess, OutputFile, open_upload
from xclip.video.sandbox.wire import (
    EndOfVideo,
    UnexpectedException,
    receive,
    receive_cut,
    send,
)

logger = logging.getLogger(__name__)

DEFAULT_MEMORY_BYTES = 768 << 20  # 8K HEVC needs 263 MiB

_PROBE_S = 30.0
_LENGTH = struct.Struct("<I")


def probe_confinement() -> tuple[str, ...]:
    """What of a decoding process's cage this machine refuses, a sentence each; best: nothing.

    Starts such a process and asks it. Raises DecoderLost if not even that works.
    """
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = ConfinedProcess(
            nothing, _tell_refused, wall_clock_s=_PROBE_S, memory_bytes=DEFAULT_MEMORY_BYTES
        )
    finally:
        os.close(nothing)
    with process:
        length = bytearray(_LENGTH.size)
        process.read_into(memoryview(length))
        refused = bytearray(*_LENGTH.unpack(length))
        process.read_into(memoryview(refused))
    return tuple(json.loads(refused))


def _tell_refused(file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...]) -> None:
    encoded = json.dumps(refused).encode()
    pipe.write(_LENGTH.pack(len(encoded)) + encoded)


def decode_in_child(
    path: str | Path,
    request: DecodeRequest,
    *,
    wall_clock_s: float,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> DecodingProcess:
    """Start decoding the file at `path`, which must be a name of ours, in a new process.

    wall_clock_s : seconds the caller may be kept waiting for segments, all together; the process's
        own processor time has the same limit
    memory_bytes : what decoding may allocate

    To be used in a `with` block, whose end kills the process if it still runs. Raises OSError if
    the file cannot be opened; everything about its content is raised while iterating.
    """
    upload = open_upload(path)
    try:
        return DecodingProcess(
            upload, request, wall_clock_s=wall_clock_s, memory_bytes=memory_bytes
        )
    finally:
        os.close(upload)


def cut_in_child(
    path: str | Path,
    output: int,
    request: CutRequest,
    *,
    wall_clock_s: float,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Cut:
    """Cut an interval out of the file at `path`, a name of ours, in a new process.

    output : descriptor of an empty file, the only one that the process may write, and no more of it
        than the request allows

    Raises OSError if the file cannot be opened, and the subclasses of VideoError.
    """
    upload = open_upload(path)
    try:
        process = ConfinedProcess(
            upload,
            _Cut(request),
            wall_clock_s=wall_clock_s,
            memory_bytes=memory_bytes,
            output=OutputFile(output, request.max_bytes),
        )
    finally:
        os.close(upload)
    with process:
        message = receive_cut(process.read_into)
    if isinstance(message, Cut):
        return message
    raise _error(message)


class DecodingProcess(ConfinedProcess):
    """Iterator over one file's VideoInfo, then its DecodedSegments; also a context manager.

    Decoding runs at most about one segment ahead of the caller. Raises subclasses of VideoError:
    those of the file, DecodeTimeout, NeedsMoreMemory, DecoderCrashed and DecoderLost.

    lost_s : seconds of the video that are damaged (see `Segments`), known after the last segment;
        0.0 until then
    """

    def __init__(
        self, upload: int, request: DecodeRequest, *, wall_clock_s: float, memory_bytes: int
    ) -> None:
        self._request = request
        self.lost_s = 0.0
        work = _Decode(request)
        super().__init__(upload, work, wall_clock_s=wall_clock_s, memory_bytes=memory_bytes)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoInfo | DecodedSegment:
        if self.closed:
            raise StopIteration
        try:
            message = receive(self.read_into, self._request)
        except BaseException:
            self.close()
            raise
        if isinstance(message, VideoInfo | DecodedSegment):
            return message
        self.close()
        if isinstance(message, EndOfVideo):
            self.lost_s = message.lost_s
            raise StopIteration
        raise _error(message)


@dataclass(frozen=True, slots=True)
class _Decode:
    """What the confined process does."""

    request: DecodeRequest

    def __call__(self, file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...]) -> None:
        with _sending_errors(pipe):
            found = probe(file, self.request.limits)
            send(pipe, found.info)
            segments = Segments(file, found, self.request)
            for segment in segments:
                send(pipe, segment)
            send(pipe, EndOfVideo(segments.lost_s))


@dataclass(frozen=True, slots=True)
class _Cut:
    """What the confined process does that writes a file."""

    request: CutRequest

    def __call__(
        self, file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...], output: BinaryIO
    ) -> None:
        with _sending_errors(pipe):
            send(pipe, cut(file, output, self.request))


@contextmanager
def _sending_errors(pipe: BinaryIO) -> Iterator[None]:
    """Send what the block raises; stderr is closed to a confined process where it is a file."""
    try:
        yield
    except VideoError as error:
        send(pipe, error)
    except BrokenPipeError:
        raise  # no reader is left
    except Exception as error:  # noqa: BLE001  the reader logs it
        if refused_memory(error):
            send(pipe, needs_more_memory())
        else:
            send(pipe, UnexpectedException(traceback.format_exc()))


def _error(message: VideoError | UnexpectedException) -> VideoError:
    """What to raise; an unexpected exception goes to the log, every line marked."""
    if isinstance(message, VideoError):
        return message
    lines = [
        "".join(each if each.isprintable() else "?" for each in line)
        for line in message.traceback.splitlines()
    ]
    marked = "".join(f"\n| {line}" for line in lines)
    logger.error("the decoder process raised an exception:%s", marked)
    return DecoderCrashed("The decoder failed unexpectedly over this file; the log says where.")
