"""Clips whose frames carry their own number, so that any frame says which one it is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from xclip.preprocess import FrameGeometry
from xclip.video.decode import DecodeRequest
from xclip.video.sampling import Segmentation

BLOCK = 16  # pixels: one macroblock, so that lossy codecs keep a bit apart from its neighbours
EDGE = 4 * BLOCK  # of the numbered square: 4 x 4 blocks, 16 bits


@pytest.fixture(autouse=True)
def ordinary_scheduling() -> Iterator[None]:
    """SVT-AV1 puts a thread of root's that encodes with it above all others, for ever.

    So would all processes be that later tests start from it: they would not let each other work.
    """
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def numbered_image(number: int, width: int = EDGE, height: int = EDGE) -> NDArray[np.uint8]:
    """uint8, shape = (height, width, 3): `number` in black and white blocks, centred on grey."""
    bits = (number >> np.arange(16)) & 1
    square = np.kron(bits.reshape(4, 4), np.ones((BLOCK, BLOCK))) * 235 + 10
    image = np.full((height, width, 3), 128, dtype=np.uint8)
    top, left = (height - EDGE) // 2, (width - EDGE) // 2
    image[top : top + EDGE, left : left + EDGE] = square[..., None]
    return image


def read_number(frame: NDArray[np.uint8]) -> int:
    """The number in a square frame that was cut around the numbered square."""
    step = frame.shape[0] // 4
    middles = frame[step // 2 :: step, step // 2 :: step].mean(axis=2)
    return int(((middles > 127).ravel() << np.arange(16)).sum())


def encode(
    images: Sequence[NDArray[np.uint8]],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    rate: int = 25,
    times: Sequence[int] | None = None,
    b_frames: int = 2,
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> bytes:
    """A video file; times : presentation times in units of 1/rate s, by default 0, 1, 2, ..."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = {"gif": "rgb8", "ffv1": "bgr0", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.gop_size = gop
        stream.max_b_frames = b_frames
        for position, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = position if times is None else times[position]
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def numbered_clip(
    count: int, *, width: int = EDGE, height: int = EDGE, first: int = 0, **options: object
) -> bytes:
    """A video file of `count` numbered frames; options as for `encode`."""
    images = [numbered_image(first + k, width, height) for k in range(count)]
    return encode(images, **options)


def endless_gif(frames: int, edge: int) -> bytes:
    """A few kilobytes that take a decoder edge x edge pixels of work per frame, 0.1 s apart."""
    header = b"GIF89a" + edge.to_bytes(2, "little") * 2 + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    one = b"\x21\xf9\x04\x04\x0a\0\0\0" + b"\x2c" + bytes(4) + b"\x01\0\x01\0\0"
    one += b"\x02\x02\x44\x01\0"  # one white pixel, LZW-coded
    return header + one * frames + b"\x3b"


@pytest.fixture
def make_request() -> Callable[..., DecodeRequest]:
    """A request whose square frames are exactly the numbered square."""

    def build(
        window_s: float = 2.0, stride_s: float = 1.0, num_frames: int = 4, **options: object
    ) -> DecodeRequest:
        return DecodeRequest(
            Segmentation(window_s, stride_s), num_frames, FrameGeometry(EDGE, EDGE), **options
        )

    return build


@pytest.fixture(scope="session")
def clips() -> object:
    """The builders above; importlib mode gives test modules no way to import a conftest."""

    class Clips:
        image = staticmethod(numbered_image)
        number_in = staticmethod(read_number)
        encode = staticmethod(encode)
        numbered = staticmethod(numbered_clip)
        endless_gif = staticmethod(endless_gif)

    return Clips


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real, odd and damaged clips; tests that need it skip without."""
    beside = Path(__file__).parents[4] / "shared" / "videos"
    folder = Path(os.environ.get("XCLIP_TEST_VIDEOS", beside))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no real clips: {folder} has no manifest.csv (set XCLIP_TEST_VIDEOS)")
    return folder
