"""Decoding in a process of its own that may hang, crash or swell without hurting its caller.

A fork server that has imported the decoder once gives each file a fresh process within
milliseconds. The process gets the opened file and the write end of a pipe, nothing else; the caller
pulls segments from the pipe and kills the process when its time is up or nobody wants more.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import signal
import stat
import sys
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from xclip.errors import (
    DecoderCrashed,
    DecodeTimeout,
    UnreadableVideo,
    VideoError,
    VideoTooLarge,
)
from xclip.video.confinement import confine
from xclip.video.decode import DecodedSegment, DecodeRequest, decode_probed
from xclip.video.probe import VideoInfo, probe
from xclip.video.wire import EndOfVideo, receive, send

DEFAULT_MEMORY_BYTES = 768 << 20  # 8K HEVC needs 263 MiB

# The fork server's first start imports torch, seconds on a busy machine.
_START_S = 120.0
_EXIT_S = 10.0


# Our own: what others preload into multiprocessing's does not matter. It starts when first used.
_server = forkserver.ForkServer()
_server.set_forkserver_preload([__name__])


def start_fork_server() -> None:
    """Begin to start the fork server, so that the first video need not wait for its imports."""
    _server.ensure_running()


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
    upload = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(upload).st_mode):
            raise UnreadableVideo("Only regular files are decoded.")
        task = _Task(request, memory_bytes, math.ceil(wall_clock_s))
        return DecodingProcess(upload, task, wall_clock_s)
    finally:
        os.close(upload)


class DecodingProcess:
    """Iterator over one file's VideoInfo, then its DecodedSegments; also a context manager.

    Decoding runs at most about one segment ahead of the caller. Raises the leaves of VideoError:
    those of the file, DecodeTimeout, VideoTooLarge (memory) and DecoderCrashed.
    """

    def __init__(self, upload: int, task: _Task, wall_clock_s: float) -> None:
        self._request = task.request
        self._wall_clock_s = self._remaining_s = wall_clock_s
        self._open: list[int] = []
        self._exit_code: int | None = None
        self._results, results_writer = os.pipe()
        self._open.append(self._results)
        try:
            self._status, orders = _server.connect_to_new_process([upload, results_writer])
            self._open.append(self._status)
            # multiprocessing would add the caller's __main__, to be imported again by the child.
            with os.fdopen(orders, "wb") as pipe:
                pickle.dump({"sys_path": sys.path}, pipe)
                pickle.dump(task, pipe)
            self.pid = self._read_status(_START_S)
        except (OSError, EOFError) as error:
            self._close_descriptors()
            raise DecoderCrashed("The decoder process could not be started.") from error
        finally:
            os.close(results_writer)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoInfo | DecodedSegment:
        if not self._open:
            raise StopIteration
        try:
            message = receive(self._read_into, self._request)
        except BaseException:
            self.close()
            raise
        if isinstance(message, VideoInfo | DecodedSegment):
            return message
        self.close()
        if isinstance(message, VideoError):
            raise message
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process if it still runs, and wait until it is gone."""
        if not self._open:
            return
        try:
            self._kill()
        finally:
            self._close_descriptors()

    def _kill(self) -> None:
        if self._exit_code is None and not _readable(self._status, 0):
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self._wait_for_exit()

    def _close_descriptors(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def _read_into(self, buffer: memoryview) -> None:
        while buffer:
            asked = time.monotonic()
            ready = _readable(self._results, max(0.0, self._remaining_s))
            self._remaining_s -= time.monotonic() - asked
            if not ready:
                raise DecodeTimeout(f"Decoding took longer than {self._wall_clock_s:g} s.")
            count = os.readv(self._results, [buffer])
            if not count:
                raise self._cause_of_death()
            buffer = buffer[count:]

    def _cause_of_death(self) -> VideoError:
        self._wait_for_exit()
        if self._exit_code == -signal.SIGXCPU:
            return DecodeTimeout(f"Decoding took longer than {self._wall_clock_s:g} s.")
        if self._exit_code is not None and self._exit_code < 0:
            name = signal.Signals(-self._exit_code).name
            return DecoderCrashed(f"The decoder process was ended by {name}.")
        return DecoderCrashed("The decoder process ended before it was done.")

    def _wait_for_exit(self) -> None:
        try:
            self._exit_code = self._read_status(_EXIT_S)
        except (OSError, EOFError):
            # The fork server itself is gone, and by PDEATHSIG the process with it.
            self._exit_code = None

    def _read_status(self, patience_s: float) -> int:
        """The fork server writes a process's id once it lives and its exit code once it does not"""
        if not _readable(self._status, patience_s):
            raise TimeoutError("the fork server does not answer")
        return int(forkserver.read_signed(self._status))


def _readable(descriptor: int, patience_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(math.ceil(patience_s * 1000)))


@dataclass(frozen=True, slots=True)
class _Task:
    """What the new process is to do; travels to it pickled."""

    request: DecodeRequest
    memory_bytes: int
    cpu_s: int

    def _bootstrap(self, parent_sentinel: int) -> int:
        """Called in the new process by the fork server; the result is its exit code."""
        inherited = forkserver.get_inherited_fds()
        assert inherited is not None, "only a fork server calls this"
        upload, results = inherited
        confine(inherited, memory_bytes=self.memory_bytes, cpu_s=self.cpu_s)
        torch.set_num_threads(1)
        try:
            self._decode(upload, results)
        except BrokenPipeError:
            return 1  # nobody is left to read
        return 0

    def _decode(self, upload: int, results: int) -> None:
        with os.fdopen(results, "wb") as pipe, os.fdopen(upload, "rb", buffering=0) as file:
            try:
                found = probe(file, self.request.limits)
                send(pipe, found.info)
                for segment in decode_probed(file, found, self.request):
                    send(pipe, segment)
                send(pipe, EndOfVideo())
            except VideoError as error:
                send(pipe, error)
            except (MemoryError, RuntimeError) as error:
                # torch reports a refused allocation as a RuntimeError
                if isinstance(error, MemoryError) or "allocate memory" in str(error):
                    send(pipe, VideoTooLarge("Decoding needs more memory than allowed."))
                else:
                    raise
