"""Clip frames: the frames of one interval of one file, from the sandboxed decoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xclip.evaluation.views import Viewing
from xclip.preprocess import FrameGeometry
from xclip.training.readers.clips import AnnotatedClip
from xclip.training.samples import Sample


def read_frames(sample: Sample, num_frames: int, edge: int, decode_s: float) -> NDArray[np.uint8]:
    """Centres of `num_frames` equal parts; uint8 RGB, shape = (num_frames, edge, edge, 3).

    The square is the centre of each frame, resized as the service does. An open end is that of the
    file, and so is an end behind it: training sees of an interval what an evaluation sees of it.

    Raises OSError and the subclasses of VideoError.
    """
    viewing = Viewing(num_frames, FrameGeometry(edge, edge), wall_clock_s=decode_s)
    views = viewing.views_of(AnnotatedClip(sample.path, "", sample.start, sample.end))
    return np.asarray(views[0], np.uint8)
