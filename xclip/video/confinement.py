"""What a process that decodes a stranger's file gives up before it reads the first byte (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def confine(keep: Collection[int], *, memory_bytes: int, cpu_s: int) -> None:
    """Limit this process for good.

    keep : file descriptors that stay open; besides them only stderr does
    memory_bytes : address space on top of what is mapped now
    cpu_s : seconds of processor time, counted from the process's start; then it dies by SIGXCPU
    """
    _die_with_parent()
    # Ctrl-C reaches the whole process group; ending is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _close_all_but(keep)
    _limit(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes)
    # The soft limit sends SIGXCPU, which says why; the hard one would send SIGKILL.
    _limit(resource.RLIMIT_CPU, cpu_s, margin=1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _close_all_but(keep: Collection[int]) -> None:
    """Also closes the fork server's life line: held here, it would keep the server alive after its
    owner was killed, and this process with it."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    lowest = 3
    for descriptor in sorted(keep):
        os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def _mapped_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def _limit(kind: int, value: int, *, margin: int = 0) -> None:
    _, allowed = resource.getrlimit(kind)
    hard = value + margin if allowed == resource.RLIM_INFINITY else min(value + margin, allowed)
    resource.setrlimit(kind, (min(value, hard), hard))
