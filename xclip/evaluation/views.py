"""Views of a clip, decoded by a sandboxed process as the service decodes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import BinaryIO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from xclip.errors import DecoderCrashed, NoDecodableFrame, VideoError
from xclip.evaluation.protocols import ViewProtocol
from xclip.out_of_memory import refused_memory
from xclip.preprocess import FrameGeometry
from xclip.training.readers.clips import AnnotatedClip
from xclip.video.containers import Limits
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.frames import shown_frames
from xclip.video.memory import needs_more_memory
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import DEFAULT_MEMORY_BYTES
from xclip.video.sandbox.process import ConfinedProcess, open_upload, retried
from xclip.video.sandbox.wire import EndOfVideo, receive, send
from xclip.video.seekable_file import SeekableFile


@dataclass(frozen=True, slots=True)
class Viewing:
    """How clips are turned into what a model takes.

    num_frames : T; geometry : how a frame becomes S x S
    wall_clock_s, memory_bytes : what decoding one clip may take
    """

    num_frames: int
    geometry: FrameGeometry
    protocol: ViewProtocol = field(default_factory=ViewProtocol)
    wall_clock_s: float = 600.0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    limits: Limits = field(default_factory=Limits)

    def views_of(self, clip: AnnotatedClip) -> NDArray[np.uint8]:
        """Decode a clip: uint8 RGB, shape = (V, T, S, S, 3).

        Raises OSError for a file that cannot be opened and the subclasses of VideoError.
        """
        return retried(lambda: self._decoded(clip))

    def _decoded(self, clip: AnnotatedClip) -> NDArray[np.uint8]:
        start = float(clip.start or 0.0)
        end = None if clip.end is None else float(clip.end)
        upload = open_upload(clip.path.resolve())
        # What is drawn at random is the same for the same clip, wherever its folder lies.
        seed = crc32(f"{clip.path.name} {start} {end}".encode())
        try:
            process = ConfinedProcess(
                upload,
                _Look(self, start, end, seed),
                wall_clock_s=self.wall_clock_s,
                memory_bytes=self.memory_bytes,
            )
        finally:
            os.close(upload)
        edge = self.geometry.crop
        expected = DecodeRequest(Segmentation(), self.num_frames, FrameGeometry(edge, edge))
        views: list[NDArray[np.uint8]] = []
        with process:
            while not isinstance(message := receive(process.read_into, expected), EndOfVideo):
                if isinstance(message, VideoError):
                    raise message
                if not isinstance(message, DecodedSegment):
                    raise DecoderCrashed("The decoder process sent an invalid message.")
                views.append(message.frames)
        if len(views) != self.protocol.views:
            raise DecoderCrashed("The decoder process sent an invalid message.")
        return np.stack(views)


@dataclass(frozen=True, slots=True)
class _Look:
    """What the confined process does: each view travels as a segment with a dot for a thumbnail."""

    viewing: Viewing
    start: float
    end: float | None
    seed: int

    def __call__(self, file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...]) -> None:
        try:
            views, start, end = self._views(file)
            for index, frames in enumerate(views):
                dot = frames[0, :1, :1]
                send(pipe, DecodedSegment(index, start, end, frames, dot.copy(), len(frames)))
            send(pipe, EndOfVideo())
        except VideoError as error:
            send(pipe, error)
        except (MemoryError, RuntimeError) as error:
            if not refused_memory(error):
                raise
            send(pipe, needs_more_memory())

    def _views(self, file: SeekableFile) -> tuple[NDArray[np.uint8], float, float]:
        """The views, uint8 of shape (V, T, S, S, 3), and the seconds they are from."""
        viewing, protocol = self.viewing, self.viewing.protocol
        found = probe(file, viewing.limits)
        duration_s = found.info.duration_s
        if self.start >= duration_s:
            raise NoDecodableFrame(
                f"The clip begins at {self.start:g} s, but the video lasts {duration_s:g} s."
            )
        end = duration_s if self.end is None else min(self.end, duration_s)
        wanted = protocol.moments(
            found.timeline.times, self.start, end, viewing.num_frames, self.seed
        ).ravel()  # (C·T,)
        order = np.argsort(wanted, kind="stable")
        edge = viewing.geometry.crop
        taken = np.empty((protocol.crops, len(wanted), edge, edge, 3), np.uint8)
        for shown in shown_frames(file, found, wanted[order], viewing.limits):
            stored = np.asarray(shown.frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
            squares = protocol.squares(found.orientation.apply(stored), viewing.geometry)
            taken[:, order[shown.first : shown.last]] = squares[:, None]
        return taken.reshape(protocol.views, viewing.num_frames, edge, edge, 3), self.start, end
