"""Batches from files: the right intervals, in an order that the seed fixes, past broken files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xclip.errors import VideoError
from xclip.motion.clips import ClipPlan
from xclip.motion.world import TRAINING, sample_scene
from xclip.training.clip_frames import read_frames
from xclip.training.config import AugmentConfig, DataConfig
from xclip.training.errors import TrainingError
from xclip.training.loader import Loader, Plan
from xclip.training.samples import Sample, collect, few_shot

PLAN = Plan(num_frames=4, edge=20, batch_size=3, seed=1, workers=2, decode_s=30.0)


@pytest.fixture(scope="module")
def samples(library: Path) -> tuple[Sample, ...]:
    return collect(DataConfig("table", library / "table.csv", library), 0).drawn


def test_frames_are_those_of_the_interval(tmp_path: Path) -> None:
    """Two events in a row: the second one's interval shows the second one's frames."""
    random = np.random.default_rng(0)
    scenes = tuple((sample_scene(subject, random), 3.0) for subject in TRAINING[:2])
    path = ClipPlan("two.mp4", 64, 64, 12, scenes, 5).write(tmp_path)
    whole = read_frames(Sample(path, None, None, ("x",)), 8, 32, 30.0)
    second = read_frames(Sample(path, 3.0, 6.0, ("x",)), 4, 32, 30.0)
    assert np.abs(second.astype(int) - whole[4:]).mean() < 1
    assert np.abs(second.astype(int) - whole[:4]).mean() > 2
    for end in (None, 60.0):  # the file's own end, where it is left open and where it is too far
        assert (read_frames(Sample(path, 3.0, end, ("x",)), 4, 32, 30.0) == second).all()


@pytest.mark.parametrize(("start", "end"), [(500.0, 503.0), (500.0, None)])
def test_an_interval_behind_the_end_of_the_file_is_an_error(
    samples: tuple[Sample, ...], start: float, end: float | None
) -> None:
    """Only there can it be seen; all else that is wrong with it is refused where it is read."""
    with pytest.raises(VideoError, match="begins at 500 s"):
        read_frames(replace(samples[0], start=start, end=end), 4, 20, 30.0)


def test_missing_files_are_left_out_and_named(library: Path) -> None:
    """They are no sample, but their label keeps its number."""
    found = collect(DataConfig("table", library / "table.csv", library), 0)
    assert found.missing == (library / "gone.mp4",)
    assert len(found.drawn) == 7
    assert "nothing that is there" in found.labels
    with pytest.raises(TrainingError, match="none of the 8 annotated files"):
        collect(DataConfig("table", library / "table.csv", library / "elsewhere"), 0)


def test_few_shots_are_drawn_by_the_seed() -> None:
    """So many of each label, others with another seed; too few is an error."""
    samples = [Sample(Path(f"{n}"), None, None, ("abc"[n % 3],)) for n in range(30)]
    drawn = few_shot(samples, 2, seed=1)
    assert [sample.texts[0] for sample in drawn] == ["a", "a", "b", "b", "c", "c"]
    assert drawn == few_shot(samples, 2, seed=1)
    assert drawn != few_shot(samples, 2, seed=2)
    with pytest.raises(TrainingError, match="'a' has 10 clips"):
        few_shot(samples, 11, seed=1)


def test_a_batch_is_a_function_of_its_step(samples: tuple[Sample, ...]) -> None:
    """Also of a loader that begins in the middle, with a file on the way that is no video."""
    augmenting = AugmentConfig(smallest_crop=0.5, colour=0.5, frames_per_part=2)
    whole = Loader(samples, augmenting, PLAN)
    batches = list(whole.batches(0, 4))
    rest = list(Loader(samples, augmenting, PLAN).batches(2, 4))
    assert len(batches) == 4
    for one, other in zip(batches[2:], rest, strict=True):
        assert torch.equal(one.frames, other.frames)
        assert one.texts == other.texts
    assert batches[0].frames.shape == (3, 4, 20, 20, 3)
    assert [item.path.name for item in whole.broken] == ["noise.mp4"]
    assert whole.broken[0].reason
    assert "nothing to be seen" not in {text for batch in batches for text in batch.texts}


def test_an_epoch_shows_everything_once_whatever_the_processes(
    samples: tuple[Sample, ...],
) -> None:
    """Two processes together draw what one does."""
    good = tuple(sample for sample in samples if sample.path.name != "noise.mp4")
    one = [batch.texts for batch in Loader(good, AugmentConfig(), PLAN).batches(0, 2)]
    assert sorted(sum(one, ())) == sorted(sample.texts[0] for sample in good)
    share = replace(PLAN, batch_size=1, world=3)
    shares = [
        [
            batch.texts
            for batch in Loader(good, AugmentConfig(), replace(share, rank=n)).batches(0, 2)
        ]
        for n in range(3)
    ]
    assert [sum(parts, ()) for parts in zip(*shares, strict=True)] == one


def test_later_epochs_decode_nothing_again(library: Path, tmp_path: Path) -> None:
    """With room for all clips: they are gone after the first epoch, and the next one has them."""
    folder = Path(shutil.copytree(library, tmp_path / "library"))
    found = collect(DataConfig("table", folder / "table.csv", folder), 0).drawn
    good = tuple(sample for sample in found if sample.path.name != "noise.mp4")
    kept = Loader(good, AugmentConfig(), replace(PLAN, cache_bytes=1 << 30))
    first = list(kept.batches(0, 2))
    shutil.rmtree(folder)
    second = list(kept.batches(2, 4))
    assert not kept.broken
    assert {text for batch in second for text in batch.texts} == {
        text for batch in first for text in batch.texts
    }


def test_too_few_samples_are_refused(samples: tuple[Sample, ...]) -> None:
    """A batch never holds a sample twice."""
    with pytest.raises(TrainingError, match="7 samples do not fill a batch of 8"):
        Loader(samples, AugmentConfig(), replace(PLAN, batch_size=8))


def test_nothing_but_broken_files_ends_the_run(tmp_path: Path) -> None:
    """With the last file and its reason."""
    for number in range(3):
        (tmp_path / f"{number}.mp4").write_bytes(b"no video")
    samples = tuple(Sample(path, None, None, ("x",)) for path in sorted(tmp_path.iterdir()))
    with pytest.raises(TrainingError, match="in a row cannot be decoded"):
        list(Loader(samples, AugmentConfig(), PLAN).batches(0, 1))
