"""A folder of generated motion clips with a table of what they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.motion.clips import sample_clips
from xclip.motion.world import HELD_OUT
from xclip.training.readers import read_clips
from xclip.training.readers.clips import AnnotatedClip

CLIPS = 5


@pytest.fixture(scope="session")
def motion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of subjects that training never showed, and `list.jsonl`."""
    folder = tmp_path_factory.mktemp("motion")
    plans = sample_clips(np.random.default_rng(7), CLIPS, HELD_OUT)
    lines = []
    for plan in plans:
        path = plan.write(folder)
        lines.append(json.dumps({"path": path.name, "caption": plan.events[0].caption}))
    (folder / "list.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="session")
def motion_clips(motion_folder: Path) -> list[AnnotatedClip]:
    return read_clips("table", motion_folder / "list.jsonl", motion_folder, "test")


@pytest.fixture(scope="session")
def tiny() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)
