"""Other ways to the pictures at given moments, each its library's best, as functions of one shape.

A peer takes a file, moments in seconds from the first picture (ascending, no two alike), and how
many threads libav may use, and yields uint8 pictures (H, W, 3), RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from xclip.video.hdr import ToneMapper, is_hdr

Pictures = Iterator[NDArray[np.uint8]]
Peer = Callable[[Path, NDArray[np.float64], int], Pictures]

TOLERANCE_S = 1e-4  # decord rounds to float32


def torchcodec_pictures(path: Path, moments: NDArray[np.float64], threads: int) -> Pictures:
    """Let torchcodec seek by its own scan of the file."""
    decoders = import_module("torchcodec.decoders")
    decoder = decoders.VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=threads)
    begin_s = decoder.metadata.begin_stream_seconds
    yield from decoder.get_frames_played_at((moments + begin_s).tolist()).data.numpy()


def decord_pictures(path: Path, moments: NDArray[np.float64], threads: int) -> Pictures:
    """Let decord fetch a batch."""
    reader = import_module("decord").VideoReader(str(path), num_threads=threads)
    begins = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0]
    shown = np.searchsorted(begins - begins[0], moments + TOLERANCE_S, side="right") - 1
    yield from reader.get_batch(shown).asnumpy()


def opencv_pictures(path: Path, moments: NDArray[np.float64], threads: int) -> Pictures:
    """Let OpenCV seek to the first and grab from there; it counts pictures at an even rate."""
    cv2 = import_module("cv2")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    rate = video.get(cv2.CAP_PROP_FPS)
    wanted = np.floor((moments + TOLERANCE_S) * rate).astype(int).tolist()
    if wanted[0]:
        video.set(cv2.CAP_PROP_POS_FRAMES, wanted[0])
    at = wanted[0]
    for number in wanted:
        while at <= number:
            if not video.grab():
                raise EOFError(f"OpenCV has no picture number {at}")
            at += 1
        yield cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)


def naive_pictures(path: Path, moments: NDArray[np.float64], threads: int) -> Pictures:
    """Decode and convert all of the file, of HDR as is promised, and pick by time."""
    shown: NDArray[np.uint8] | None = None
    mapper = ToneMapper()
    remaining = moments.tolist()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO" if threads > 1 else "NONE"
        stream.codec_context.thread_count = threads
        first_s: float | None = None
        for frame in container.decode(stream):
            assert frame.time is not None, "files without times are not measured"
            first_s = frame.time if first_s is None else first_s
            while remaining and shown is not None and remaining[0] < frame.time - first_s - 1e-6:
                remaining.pop(0)
                yield shown
            if is_hdr(frame):
                shown = mapper.rgb(frame, min(frame.width, frame.height))
            else:
                shown = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    assert shown is not None, "files without pictures are not measured"
    yield from [shown] * len(remaining)


NAIVE = "naive"
PEERS: dict[str, Peer] = {
    NAIVE: naive_pictures,
    "torchcodec": torchcodec_pictures,
    "decord": decord_pictures,
    "OpenCV": opencv_pictures,
}
MODULES = {"torchcodec": "torchcodec", "decord": "decord", "OpenCV": "cv2"}


def lacking(name: str) -> str | None:
    """Why a peer cannot be measured here, if so."""
    module = MODULES.get(name)
    if module is None:
        return None
    if find_spec(module) is None:
        return "not installed"
    try:
        import_module("torchcodec.decoders" if name == "torchcodec" else module)
    except (ImportError, OSError, RuntimeError) as error:
        return f"does not load: {str(error).splitlines()[0]}"
    return None
