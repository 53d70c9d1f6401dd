"""Preload for the fork server: imports everything that decoding loads on first use.

A confined process can open no file, so what PyAV imports late and PyTorch looks up late has to be
there before the fork. Decoding a tiny clip from start to end finds what a list would miss.
"""

from __future__ import annotations

import io
import linecache  # noqa: F401 - for tracebacks and warnings
import tracemalloc  # noqa: F401 - for warnings

import av.audio.codeccontext
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext  # noqa: F401 - PyAV imports them when a file has such a stream
import torch

import xclip.video.sandbox.child  # noqa: F401 - what the fork server is there for
from xclip.preprocess import FrameGeometry
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation

_SHOWN = b"!\xf9\4\0\x0a\0\0\0,\0\0\0\0\2\0\2\0\0\2\2\x84\x51\0"  # 0.1 s, 2x2, LZW-coded
_CLIP = b"GIF89a\2\0\2\0\x80\0\0\0\0\0\xff\xff\xff" + 2 * _SHOWN + b";"

torch.set_num_threads(1)  # a pool of threads does not survive a fork
list(decode_segments(io.BytesIO(_CLIP), DecodeRequest(Segmentation(), 1, FrameGeometry(8, 8))))
