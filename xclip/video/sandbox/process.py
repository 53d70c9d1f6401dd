"""Sandboxed process for one file, started by a fork server and killed when not needed.

A fork server that has imported the decoder once gives each file a fresh process within
milliseconds. The process gets the opened file and the write end of a pipe, and where a file is to
be written that one too; nothing else.
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
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import torch

from xclip.errors import DecoderLost, DecodeTimeout, UnreadableVideo, VideoError
from xclip.video.sandbox.confinement import confine

# The fork server's first start imports torch: seconds, and minutes where everything waits for a
# processor. A server that has ended is noticed at once.
_START_S = 600.0
_EXIT_S = 60.0  # the kernel has ended the process, and the fork server says so in its turn
_ATTEMPTS = 3  # of a caller that has no queue to return the file to

# What a process brings upon itself, over a file for example; others send it all other signals.
_OWN_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGXFSZ,
    }
)

T = TypeVar("T")

# Called in the new process, once it is confined, with the file, the pipe to write results to, and
# the sentences that say what of the confinement this machine refused; and with the file to write,
# where there is one. Travels pickled.
Work = Callable[[BinaryIO, BinaryIO, tuple[str, ...]], None]
WritingWork = Callable[[BinaryIO, BinaryIO, tuple[str, ...], BinaryIO], None]

# Our own: what others preload into multiprocessing's does not matter. It starts when first used.
_server = forkserver.ForkServer()
_server.set_forkserver_preload(["xclip.video.sandbox.preload"])


def start_fork_server() -> None:
    """Begin to start the fork server, so that the first video need not wait for its imports."""
    _server.ensure_running()


def stop_fork_server() -> None:
    """End the fork server at once, and with it all its processes; only for a process that ends.

    It would end by itself, but not before it has imported PyTorch and unloaded it again.
    """
    # there is no public way
    pid = _server._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def open_upload(path: str | Path) -> int:
    """A descriptor of a regular file. Raises OSError (also for a link) and UnreadableVideo."""
    upload = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(upload).st_mode):
        os.close(upload)
        raise UnreadableVideo("Only regular files can be decoded.")
    return upload


def retried(work: Callable[[], T]) -> T:
    """What `work` returns, begun anew where its process was lost. Raises what its last try did."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except DecoderLost:
            continue
    return work()


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a process may write; the descriptor stays the caller's to close."""

    descriptor: int
    max_bytes: int


class ConfinedProcess:
    """A process that does one task, and the reader of what it writes; a context manager.

    wall_clock_s : seconds the reader may be kept waiting, all together; the process's own
        processor time has the same limit
    memory_bytes : what it may allocate
    output : the file that it may write, if any
    """

    def __init__(
        self,
        upload: int,
        work: Work | WritingWork,
        *,
        wall_clock_s: float,
        memory_bytes: int,
        output: OutputFile | None = None,
    ) -> None:
        """`upload` is a descriptor of the file, which stays the caller's to close."""
        given = [] if output is None else [output.descriptor]
        file_bytes = 0 if output is None else output.max_bytes
        self._wall_clock_s = self._remaining_s = wall_clock_s
        self._open: list[int] = []
        self._exit_code: int | None = None
        self._results, results_writer = os.pipe()
        self._open.append(self._results)
        try:
            self._status, orders = _server.connect_to_new_process([upload, results_writer, *given])
            self._open.append(self._status)
            # multiprocessing would add the caller's __main__, to be imported again by the child.
            with os.fdopen(orders, "wb") as pipe:
                pickle.dump({"sys_path": sys.path}, pipe)
                task = _Task(work, memory_bytes, math.ceil(wall_clock_s), file_bytes)
                pickle.dump(task, pipe)
            self.pid = self._read_status(_START_S)
        except (OSError, EOFError) as error:
            self._close_descriptors()
            message = "The decoder process could not be started."
            raise DecoderLost(message, from_outside=True) from error
        finally:
            os.close(results_writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the process is gone."""
        return not self._open

    def close(self) -> None:
        """Kill the process if it still runs, and wait until it is gone."""
        if self.closed:
            return
        try:
            self._kill()
        finally:
            self._close_descriptors()

    def read_into(self, buffer: memoryview) -> None:
        """Fill `buffer` with what the process writes.

        Raises DecodeTimeout, or DecoderLost where the process ended before it was full.
        """
        while buffer:
            started = time.monotonic()
            ready = _readable(self._results, max(0.0, self._remaining_s))
            self._remaining_s -= time.monotonic() - started
            if not ready:
                raise DecodeTimeout(f"Decoding took longer than {self._wall_clock_s:g} s.")
            count = os.readv(self._results, [buffer])
            if not count:
                raise self._cause_of_death()
            buffer = buffer[count:]

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

    def _cause_of_death(self) -> VideoError:
        self._wait_for_exit()
        if self._exit_code == -signal.SIGXCPU:
            return DecodeTimeout(f"Decoding took longer than {self._wall_clock_s:g} s.")
        if self._exit_code is not None and self._exit_code < 0:
            cause = signal.Signals(-self._exit_code)
            message = f"The signal {cause.name} ended the decoder process."
            return DecoderLost(message, from_outside=cause not in _OWN_FAULTS)
        without_server = self._exit_code is None
        message = "The decoder process ended before it was done."
        return DecoderLost(message, from_outside=without_server)

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
    """What the new process is to do, and its limits; travels to it pickled."""

    work: Work | WritingWork
    memory_bytes: int
    cpu_s: int
    file_bytes: int

    def _bootstrap(self, parent_sentinel: int) -> int:
        """Called in the new process by the fork server; the result is its exit code."""
        inherited = forkserver.get_inherited_fds()
        assert inherited is not None, "only a fork server calls this"
        upload, results, *outputs = inherited
        torch.set_num_threads(1)
        try:
            # Opened before: Python asks descriptors what a confined process may not ask.
            with os.fdopen(results, "wb") as pipe, os.fdopen(upload, "rb", buffering=0) as file:
                given = [os.fdopen(output, "r+b", buffering=0) for output in outputs]
                refused = confine(
                    inherited,
                    memory_bytes=self.memory_bytes,
                    cpu_s=self.cpu_s,
                    file_bytes=self.file_bytes,
                )
                self.work(file, pipe, refused, *given)
        except BrokenPipeError:
            return 1  # no reader is left
        return 0
