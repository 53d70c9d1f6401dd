"""Worker process: loads the model, serves it, runs jobs, ends on SIGTERM."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.clock import Clock, SystemClock
from app.server.listener import run_app
from app.settings import Settings, SettingsError
from app.worker.composition import open_worker
from app.worker.job_runner import JobRunner
from app.worker.startup_server import StartupServer
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.errors import DeviceUnavailable, XCLIPError
from xclip.hub import reporting
from xclip.video.sandbox.child import probe_confinement
from xclip.video.sandbox.process import start_fork_server

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, listener: socket.socket) -> None:
    """Serve the model on `listener` and pull jobs until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        If the model that the settings name cannot be loaded, or not on their device.
    """
    clock = SystemClock()
    with StartupServer(listener, clock) as starting, reporting(starting.downloaded):
        encoder = _load(settings, clock)
    start_fork_server()  # it imports PyTorch too; the first video should not wait for that
    threading.Thread(target=_log_confinement, name="confinement", daemon=True).start()
    if settings.ingests_at_once == 0:
        logger.info("ingests no videos, since XCLIP_MAX_INGESTS is 0; it answers queries only")
    with (
        open_worker(settings, encoder, clock) as parts,
        _running_jobs(parts.runner, settings.ingests_at_once, settings.shutdown_grace_s),
    ):
        run_app(parts.app, listener, settings, on_stop=parts.runner.stop)


@contextmanager
def _running_jobs(runner: JobRunner, jobs_at_once: int, grace_s: float) -> Iterator[None]:
    """Within the block jobs are pulled; those in progress at its end go back to the queue."""
    at_most = jobs_at_once + 1 if jobs_at_once else 0  # a short one beside long ones
    threads = [
        threading.Thread(target=runner.run, name=f"runner-{number}", daemon=True)
        for number in range(at_most)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        runner.stop()
        patience_ends = time.monotonic() + grace_s
        for thread in threads:
            thread.join(max(0.0, patience_ends - time.monotonic()))


def _log_confinement() -> None:
    """Log what keeps decoding in; in a thread, for the fork server takes seconds to answer."""
    try:
        refused = probe_confinement()
    except XCLIPError as error:
        logger.warning("decoding cannot be confined: %s", error)
        return
    for sentence in refused:
        logger.warning("decoding is confined only in part: %s", sentence)
    if not refused:
        logger.info("decoding is confined: system calls, memory, time, files, user")


def _load(settings: Settings, clock: Clock) -> Encoder:
    began = clock.monotonic()
    try:
        encoder = load_encoder(
            settings.model,
            revision=settings.model_revision,
            device=settings.device,
            num_threads=settings.threads,
        )
    except DeviceUnavailable as error:
        raise SettingsError(f"XCLIP_DEVICE={settings.device} is refused: {error}.") from error
    except XCLIPError as error:
        raise SettingsError(f"XCLIP_MODEL={settings.model} cannot be loaded: {error}") from error
    logger.info(
        "model loaded: name=%s fingerprint=%s device=%s seconds=%.2f",
        encoder.name,
        encoder.fingerprint,
        encoder.device,
        clock.monotonic() - began,
    )
    return encoder
