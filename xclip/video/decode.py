"""Segment decoder: T square frames for each segment of a video, plus a thumbnail.

Letters: T frames of a segment, S edge of the model's square frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch.nn import functional

from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.containers import Limits, open_container
from xclip.video.frames import ShownFrame, shown_frames
from xclip.video.hdr import ToneMapper, is_hdr
from xclip.video.orientation import Orientation
from xclip.video.probe import Probe, probe, scan
from xclip.video.sampling import Segmentation, Window, instants, windows
from xclip.video.seekable_file import SeekableFile

# Wider thumbnails than this are made lower instead.
_WIDEST_THUMBNAIL = 4


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """What is wanted of a video.

    num_frames : T
    geometry : how a frame becomes S x S
    thumbnail_height : pixels at most; small videos are not enlarged
    """

    segmentation: Segmentation
    num_frames: int
    geometry: FrameGeometry
    thumbnail_height: int = 180
    limits: Limits = field(default_factory=Limits)

    @property
    def largest_thumbnail(self) -> tuple[int, int]:
        """(height, width) no thumbnail exceeds."""
        return self.thumbnail_height, self.thumbnail_height * _WIDEST_THUMBNAIL


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """One window of a video.

    index : position among the video's segments, from 0
    start, end : seconds from the first frame
    frames : uint8, shape = (T, S, S, 3), RGB
    thumbnail : uint8, shape = (h, w, 3), RGB, the middle frame uncropped, in display proportions
    unique_frames : different frames among the T; fewer than T in short or damaged intervals
    """

    index: int
    start: float
    end: float
    frames: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8]
    unique_frames: int


def decode_segments(file: SeekableFile, request: DecodeRequest) -> Iterator[DecodedSegment]:
    """Probe and decode `file`; segments leave in order, each as soon as its last frame is known.

    Raises the subclasses of VideoError that a file itself can cause, some only while iterating.
    """
    return iter(Segments(file, probe(file, request.limits), request))


def decode_window(
    file: SeekableFile, start: float, end: float, request: DecodeRequest, *, threads: int = 1
) -> DecodedSegment:
    """Decode one interval of a video, for which only what lies around it is decoded.

    start, end : seconds from the first frame; an end behind the video's is the video's
    threads : libav's; two take less time over large frames where the processor is otherwise idle

    The request's segmentation is not used. The first frame of the interval decides how all are
    turned. Raises what `decode_segments` raises, and ValueError for an interval that is empty
    or lies behind the video's end.
    """
    limits = request.limits
    with open_container(file, limits) as container:
        found = scan(container, limits)
        duration_s = round(found.timeline.duration_s, 6)
        if not 0 <= start < min(end, duration_s):
            raise ValueError(f"a video of {duration_s} s has no interval from {start} s to {end} s")
        assembly = _Assembly([Window(start, min(end, duration_s))], request)
        for shown in shown_frames(file, found, assembly.moments, limits, threads, container):
            for segment in assembly.add(shown):
                return segment
    raise AssertionError("a frame is shown at every moment")


class Segments:
    """The segments of a file already probed, to be iterated once; it is read again from its start.

    Memory is bounded by the windows open at once, not by the video's length.

    threads : libav's
    lost_s : how many seconds of the video are damaged, as far as it has been iterated: those for
        which another frame is shown instead, judged at the sampled instants and at most the
        video's duration, and the Probe's `cut_off_s`, which are not part of that duration. Damage
        that leaves no trace in the readable packets is not counted.
    """

    def __init__(
        self,
        file: SeekableFile,
        found: Probe,
        request: DecodeRequest,
        *,
        threads: int = 1,
    ) -> None:
        self.lost_s = found.cut_off_s
        self._file = file
        self._found = found
        self._request = request
        self._threads = threads

    def __iter__(self) -> Iterator[DecodedSegment]:
        planned = windows(self._found.info.duration_s, self._request.segmentation)
        assembly = _Assembly(planned, self._request, self._found.orientation)
        moments, limits = assembly.moments, self._request.limits
        wrong_s = 0.0
        for shown in shown_frames(self._file, self._found, moments, limits, self._threads):
            wrong_s = min(wrong_s + shown.lost_s, self._found.info.duration_s)
            self.lost_s = self._found.cut_off_s + wrong_s
            yield from assembly.add(shown)


@dataclass(slots=True)
class _OpenSegment:
    frames: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8] | None = None
    unique_frames: int = 0
    filled: int = 0


class _Assembly:
    """Windows being filled from frames that arrive once, in order, and may serve several.

    orientation : how to turn them; by default as the first one says
    """

    def __init__(
        self,
        planned: list[Window],
        request: DecodeRequest,
        orientation: Orientation | None = None,
    ) -> None:
        moments = np.concatenate([instants(window, request.num_frames) for window in planned])
        self._order = np.argsort(moments, kind="stable")  # slot of each moment, window by window
        self.moments = moments[self._order]
        self._planned = planned
        self._request = request
        self._orientation = orientation
        self._reformatter = VideoReformatter()  # sets libswscale up once, not once a frame
        self._tone_mapper = ToneMapper()
        self._open: dict[int, _OpenSegment] = {}

    def add(self, shown: ShownFrame) -> Iterator[DecodedSegment]:
        """Fill every slot at which the frame is on screen; yields segments that it completes."""
        if self._orientation is None:
            self._orientation = Orientation.of(shown.frame)
        places = [
            divmod(position, self._request.num_frames)
            for position in self._order[shown.first : shown.last].tolist()
        ]
        middle = self._request.num_frames // 2
        whole = any(slot == middle for _, slot in places)
        upright = self._orientation.apply(self._rgb(shown.frame, whole=whole))  # (H, W, 3)
        pixels = resize_and_crop(upright, self._request.geometry)  # (S, S, 3)
        thumbnail: NDArray[np.uint8] | None = None
        served: set[int] = set()
        for index, slot in places:
            if index not in self._open:
                empty = np.empty((self._request.num_frames, *pixels.shape), dtype=np.uint8)
                self._open[index] = _OpenSegment(empty)
            segment = self._open[index]
            segment.frames[slot] = pixels
            segment.filled += 1
            segment.unique_frames += index not in served
            served.add(index)
            if slot == middle:
                if thumbnail is None:
                    thumbnail = self._thumbnail(upright, shown.aspect_ratio)
                segment.thumbnail = thumbnail
            if segment.filled == self._request.num_frames:
                yield self._close(index)

    def _rgb(self, frame: VideoFrame, *, whole: bool) -> NDArray[np.uint8]:
        """uint8, shape = (H, W, 3), unturned; of HDR no more and no larger than is needed.

        whole : for a thumbnail, too, while the model looks at the middle square
        """
        if is_hdr(frame):
            wanted = self._request.geometry.short_edge
            shortest = max(wanted, self._request.thumbnail_height)
            # Resizing looks at as many neighbours as pixels become one; edges are rounded, too.
            margin = None if whole else 2 * (shortest // wanted + 2)
            return self._tone_mapper.rgb(frame, shortest, margin)
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        pixels = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        if frame.interlaced_frame and frame.height >= 2 * self._request.geometry.short_edge:
            return _first_field(pixels)
        return pixels

    def _close(self, index: int) -> DecodedSegment:
        segment = self._open.pop(index)
        assert segment.thumbnail is not None, "the middle slot has been filled"
        window = self._planned[index]
        return DecodedSegment(
            index=index,
            start=window.start,
            end=window.end,
            frames=segment.frames,
            thumbnail=segment.thumbnail,
            unique_frames=segment.unique_frames,
        )

    def _thumbnail(self, upright: NDArray[np.uint8], aspect_ratio: float) -> NDArray[np.uint8]:
        """upright : as displayed but with the stored pixels' shape → small, with square pixels."""
        shown_height, shown_width = float(upright.shape[0]), float(upright.shape[1])
        if self._orientation is not None and self._orientation.transpose:
            shown_height *= aspect_ratio
        else:
            shown_width *= aspect_ratio
        most_height, most_width = self._request.largest_thumbnail
        scale = min(1.0, most_height / shown_height, most_width / shown_width)
        height = max(1, round(shown_height * scale))
        width = max(1, round(shown_width * scale))
        channels_first = torch.from_numpy(upright).permute(2, 0, 1)[None]  # (1, 3, H, W)
        small = functional.interpolate(
            channels_first, size=(height, width), mode="bilinear", antialias=True
        )
        return small[0].permute(1, 2, 0).contiguous().numpy()


def _first_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An interlaced frame, uint8 [H, W, 3], without the rows that were exposed at another time.

    They make combs of what moves. Half of the rows are enough for what is made smaller anyway.
    """
    return pixels[::2].repeat(2, axis=0)[: len(pixels)]
