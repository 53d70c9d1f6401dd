"""Confinement: what a decoding process gives up before it reads an untrusted byte (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Collection
from pathlib import Path

from xclip.video.sandbox.seccomp import filter_system_calls

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_UNPRIVILEGED = 65534  # the user and the group with no rights on Linux
_STANDARD_STREAMS = 3
_NICENESS = 10  # searches, for which a caller waits, go first


def confine(
    keep: Collection[int], *, memory_bytes: int, cpu_s: int, file_bytes: int = 0
) -> tuple[str, ...]:
    """Limit this process for good.

    keep : file descriptors that stay open; besides them only stderr does
    memory_bytes : address space on top of what is mapped now
    cpu_s : seconds of processor time, counted from the process's start; then it dies by SIGXCPU
    file_bytes : how long it may make a file that it keeps

    Returns what this machine refused, one sentence each: nothing where confinement is complete.
    """
    os.nice(_NICENESS)
    # Ctrl-C reaches the whole process group; ending is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _close_all_but(keep)
    _limit(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes)
    # The soft limit sends SIGXCPU, which says why; the hard one would send SIGKILL.
    _limit(resource.RLIMIT_CPU, cpu_s, margin=1)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    # Descriptors above stay usable; no further one can be had, not even without the filter.
    _limit(resource.RLIMIT_NOFILE, _STANDARD_STREAMS)
    # From here on no module can be loaded: the new user may not even read Python's own files.
    refused = [_leave_root()]
    _die_with_parent()  # a change of user would undo it
    unfiltered = filter_system_calls()
    if unfiltered is not None:
        _limit(resource.RLIMIT_NPROC, 0)  # neither processes nor threads, unless root
        refused.append(f"System calls are not filtered ({unfiltered}).")
    return tuple(sentence for sentence in refused if sentence)


def _leave_root() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        os.setgroups([])
        os.setresgid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
        os.setresuid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
    except OSError as error:  # no CAP_SETUID in the container, or no such user in the namespace
        return f"Decoding still runs as root ({error.strerror})."
    return None


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
    lowest = _STANDARD_STREAMS
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
