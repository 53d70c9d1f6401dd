"""Failpoints: named moments at which a test may kill the process or make an operation fail.

A failpoint does nothing unless `configure` has armed it, which the commands do from
`XCLIP_TEST_FAILPOINTS` and the fault tests do themselves: `content_kept:kill`, or with several
`tensors_written:enospc,row_committed:kill@3`, where `@3` is the third time the moment comes.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "XCLIP_TEST_FAILPOINTS"

# In the order in which an ingest and a delete come past them.
NAMES: Final = (
    "upload_begun",
    "upload_written",
    "upload_synced",
    "content_kept",
    "video_committed",
    "job_claimed",
    "segments_decoded",
    "tensors_written",
    "thumbnails_written",
    "tensors_synced",
    "ingest_committed",
    "delete_begun",
    "delete_committed",
    "content_removed",
    "thumbnails_removed",
    "tensors_removed",
    "removal_done",
)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


_ACTIONS: Final[Mapping[str, Callable[[], None]]] = {
    "kill": _kill,
    "enospc": _fail(errno.ENOSPC),
    "eio": _fail(errno.EIO),
}
_armed: dict[str, tuple[int, Callable[[], None]]] = {}


def configure(specification: str) -> None:
    """Arm what `specification` names and nothing else; ValueError for what it cannot name."""
    _armed.clear()
    for entry in filter(None, specification.split(",")):
        name, _, action = entry.partition(":")
        action, _, count = action.partition("@")
        if name not in NAMES or action not in _ACTIONS:
            raise ValueError(f"{VARIABLE}: no failpoint {entry!r}")
        _armed[name] = (int(count or 1), _ACTIONS[action])


def hit(name: str) -> None:
    """The moment `name` has come."""
    assert name in NAMES, name
    if name not in _armed:
        return
    left, act = _armed[name]
    if left > 1:
        _armed[name] = (left - 1, act)
        return
    del _armed[name]
    act()
