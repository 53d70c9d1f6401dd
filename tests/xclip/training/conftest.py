"""Generated clips on disk, with their captions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from xclip.motion.clips import ClipPlan, sample_clips
from xclip.motion.world import TRAINING

CLIPS = 6


@pytest.fixture(scope="session")
def plans() -> list[ClipPlan]:
    """Six clips of one event each, of different subjects."""
    return sample_clips(np.random.default_rng(3), CLIPS, TRAINING)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, plans: list[ClipPlan]) -> Path:
    """A folder of those clips, one file that is no video, and `table.csv`, which names one more."""
    folder = tmp_path_factory.mktemp("library")
    for plan in plans:
        plan.write(folder)
    (folder / "noise.mp4").write_bytes(b"no video at all")
    with (folder / "table.csv").open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(("path", "caption"))
        rows.writerows((plan.name, plan.events[0].caption) for plan in plans)
        rows.writerow(("noise.mp4", "nothing to be seen"))
        rows.writerow(("gone.mp4", "nothing that is there"))
    return folder
