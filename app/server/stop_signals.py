"""Stop signals: the first SIGTERM or SIGINT ends a process in order, the second one at once."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_stop_signals(handle: Callable[[], object]) -> None:
    """Call `handle` at each of these signals from now on; for the main thread."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: handle())


def leave() -> NoReturn:
    """End the process now, with status 0; what it holds is safe wherever it is killed.

    Unloading libraries would take seconds, and an exception in a signal handler may be swallowed.
    """
    logging.shutdown()
    os._exit(0)
