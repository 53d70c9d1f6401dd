"""Decoding: the segments of a file, one by one, for one model and under the service's limits."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.settings import Settings
from app.worker.errors import Interrupted
from xclip.encoder import Encoder
from xclip.errors import DecoderCrashed, DecoderLost, NeedsMoreMemory, VideoTooLarge
from xclip.preprocess import FrameGeometry
from xclip.video.containers import Limits
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.probe import VideoInfo
from xclip.video.sampling import Segmentation, windows
from xclip.video.sandbox.child import DecodingProcess, decode_in_child

logger = logging.getLogger(__name__)

WATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class Decoder:
    """How files are decoded for one model; `open` decodes one.

    num_frames, geometry : what the model takes
    """

    num_frames: int
    geometry: FrameGeometry
    limits: Limits
    wall_clock_s: float
    memory_bytes: int

    @classmethod
    def for_model(cls, encoder: Encoder, settings: Settings) -> Self:
        """The decoder for `encoder` under the limits in `settings`."""
        return cls(
            num_frames=encoder.num_frames,
            geometry=encoder.geometry,
            limits=Limits(max_pixels=settings.max_pixels),
            wall_clock_s=settings.decode_timeout_s,
            memory_bytes=settings.decode_memory_bytes,
        )

    @contextmanager
    def open(
        self, path: Path, segmentation: Segmentation, should_stop: Callable[[], bool]
    ) -> Iterator[Decoding]:
        """Start to decode `path` in a process of its own, which ends with the block at the latest.

        `should_stop` is called from another thread about five times a second; once it is true, the
        process is killed and a thread that waits for a segment gets Interrupted.
        """
        request = DecodeRequest(segmentation, self.num_frames, self.geometry, limits=self.limits)
        with (
            self.naming_memory_limit(),
            decode_in_child(
                path, request, wall_clock_s=self.wall_clock_s, memory_bytes=self.memory_bytes
            ) as process,
            _killed_when(should_stop, process.pid),
        ):
            logger.info("decoding: pid=%d file=%s", process.pid, path.name)
            yield Decoding(process, segmentation, should_stop)
            logger.info("decoded: pid=%d", process.pid)

    @contextmanager
    def naming_memory_limit(self) -> Iterator[None]:
        """Within the block, a video that needs more memory is told which setting limits it."""
        try:
            yield
        except NeedsMoreMemory as error:
            raise VideoTooLarge(
                "Decoding needs more memory than XCLIP_DECODE_MEMORY_BYTES allows, which is "
                f"{self.memory_bytes} bytes."
            ) from error


class Decoding:
    """One file on its way from the decoder.

    info : facts about the video
    total : the number of segments it will have
    """

    def __init__(
        self,
        process: DecodingProcess,
        segmentation: Segmentation,
        should_stop: Callable[[], bool],
    ) -> None:
        self._process = process
        self._should_stop = should_stop
        first = self._next()
        if not isinstance(first, VideoInfo):
            raise DecoderCrashed("The decoder did not say what the file is.")
        self.info = first
        self.total = len(windows(first.duration_s, segmentation))

    @property
    def lost_s(self) -> float:
        """Seconds of the video that could not be decoded, known after the last segment."""
        return self._process.lost_s

    def segments(self) -> Iterator[DecodedSegment]:
        """The segments in order of time. Raises VideoError, Interrupted."""
        while isinstance(segment := self._next(), DecodedSegment):
            yield segment

    def _next(self) -> VideoInfo | DecodedSegment | None:
        try:
            item = next(self._process, None)
        except (DecoderCrashed, DecoderLost):
            self.check()  # if it was killed on purpose, the file is not to blame
            raise
        self.check()
        return item

    def check(self) -> None:
        """Raise Interrupted once the work has been told to stop."""
        if self._should_stop():
            raise Interrupted("The worker is stopping, or the work is no longer wanted.")


@contextmanager
def _killed_when(should_stop: Callable[[], bool], pid: int) -> Iterator[None]:
    """Within the block, kill the process as soon as `should_stop` is true.

    The thread that reads the decoder's pipe may wait there for minutes, so another one watches. It
    kills through a descriptor of the process: its number may by then belong to another.
    """
    left = threading.Event()
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended already; what it said is still in its pipe
        yield
        return

    def watch() -> None:
        while not left.wait(WATCH_S):
            if should_stop():
                with suppress(ProcessLookupError):  # it was done before
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                return

    watcher = threading.Thread(target=watch, name="decode-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()
        os.close(process)
