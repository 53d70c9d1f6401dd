"""Supervisor: restarts child processes that die; parent and children end together."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

logger = logging.getLogger(__name__)

TICK_S = 0.2
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_AFTER_S = 30.0
KILL_MARGIN_S = 2.0

_PR_SET_PDEATHSIG = 1


class Supervisor:
    """Runs the commands side by side until told to stop.

    A child that dies is started again after a pause that doubles while it keeps dying. A child that
    ends with one of `final_statuses` ends everything with that status: it has said that starting it
    again cannot help.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        grace_s: float,
        final_statuses: Collection[int],
    ) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._grace_s = grace_s
        self._final_statuses = final_statuses

    def run(self, stop: threading.Event, on_tick: Callable[[], None]) -> int:
        """Run until `stop` is set (status 0) or a child ends for good (its status).

        `on_tick` is called about five times a second. On return no child is left.
        """
        try:
            for child in self._children:
                child.start()
            while not stop.wait(TICK_S):
                for child in self._children:
                    status = child.tend()
                    if status is None:
                        continue
                    if status in self._final_statuses:
                        logger.error("%s ended for good: status=%d", child.name, status)
                        return status
                    child.restart_later(status)
                on_tick()
            return 0
        finally:
            self._stop_all()

    def kill(self) -> None:
        """Kill every child; `run`, which waits for them, then returns. For a signal handler."""
        for child in self._children:
            child.kill()

    def _stop_all(self) -> None:
        for child in self._children:
            child.terminate()
        # each child keeps to the grace period by itself; the margin covers its exit
        deadline = time.monotonic() + self._grace_s + KILL_MARGIN_S
        for child in self._children:
            child.wait_or_kill(deadline)


class _Child:
    """One command, started again and again."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def start(self) -> None:
        self._restart_at = None
        self._started_at = time.monotonic()
        # a session of its own: Ctrl-C reaches the parent only, which then stops the children in
        # order; preexec_fn is safe here because the parent runs no threads
        self._process = subprocess.Popen(  # noqa: S603  the commands are our own
            self._command, start_new_session=True, preexec_fn=die_with(os.getpid())
        )
        logger.info("%s started: pid=%d", self.name, self._process.pid)

    def tend(self) -> int | None:
        """Start the child again when it is due; its status while it is dead and nothing is due."""
        if self._restart_at is not None:
            if time.monotonic() >= self._restart_at:
                self.start()
            return None
        return None if self._process is None else self._process.poll()

    def restart_later(self, status: int) -> None:
        """Make the child due after a pause: it has ended with that status."""
        now = time.monotonic()
        if now - self._started_at > STEADY_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        logger.error("%s ended: status=%d restart_in=%.1fs", self.name, status, self._pause_s)
        self._restart_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def wait_or_kill(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.error("%s did not stop in time and is killed", self.name)
            self._process.kill()
            self._process.wait()


def die_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes the command: ask for SIGTERM when `parent` dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the signal was set up
            os._exit(1)

    return ask
