"""Data loader: batches decoded beside the training, a function of seed and step alone.

A file that cannot be decoded is noted and the next sample in a fixed order replaces it, so that a
resumed run draws what the interrupted run would have drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xclip.errors import VideoError
from xclip.training.augment import augment, draw_instants
from xclip.training.clip_frames import read_frames
from xclip.training.config import AugmentConfig
from xclip.training.errors import TrainingError
from xclip.training.frame_cache import FrameCache
from xclip.training.samples import Sample

_AHEAD = 2  # batches decoded while one is trained on
_SUBSTITUTES = 20  # after so many undecodable samples in a row something else must be wrong
_LARGER = 256 / 224  # of the decoded square, where a random crop follows, as in the original


@dataclass(frozen=True, slots=True)
class Drawn:
    """B decoded clips: frames uint8 (B, T, S, S, 3), and a text of each."""

    frames: Tensor
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that could not be decoded, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a loader needs to know besides the samples.

    num_frames, edge : T and S of the model
    cache_bytes : of decoded frames that are kept for later epochs
    rank, world : which process of how many this is; each takes its share of a step
    """

    num_frames: int
    edge: int
    batch_size: int
    seed: int
    workers: int
    decode_s: float
    cache_bytes: int = 0
    rank: int = 0
    world: int = 1


class Loader:
    """Draws, decodes and augments; `broken` collects what could not be decoded."""

    def __init__(self, samples: tuple[Sample, ...], augmenting: AugmentConfig, plan: Plan) -> None:
        if len(samples) < plan.batch_size * plan.world:
            raise TrainingError(
                f"{len(samples)} samples do not fill a batch of {plan.batch_size * plan.world}"
            )
        self._samples, self._augmenting, self._plan = samples, augmenting, plan
        self._cache = FrameCache(plan.cache_bytes)
        self._known: dict[int, str] = {}  # by index: why a sample cannot be decoded

    @property
    def broken(self) -> list[BrokenFile]:
        """The files that could not be decoded so far, in the order of the samples."""
        known = sorted(self._known.copy().items())
        return [BrokenFile(self._samples[index].path, reason) for index, reason in known]

    def batches(self, first: int, stop: int) -> Iterator[Drawn]:
        """The batches of steps `first` to `stop`, decoding ahead."""
        plan = self._plan
        waiting: deque[list[Future[tuple[Tensor, str]]]] = deque()
        with ThreadPoolExecutor(plan.workers, "decode") as pool:
            try:
                for step in range(first, stop + _AHEAD):
                    if step < stop:
                        slots = range(plan.batch_size)
                        waiting.append([pool.submit(self._clip, step, slot) for slot in slots])
                    if step - first >= _AHEAD or step >= stop:
                        if not waiting:
                            return
                        clips = [future.result() for future in waiting.popleft()]
                        frames, texts = zip(*clips, strict=True)
                        yield Drawn(torch.stack(frames), texts)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _clip(self, step: int, slot: int) -> tuple[Tensor, str]:
        plan = self._plan
        slot += plan.rank * plan.batch_size
        random = np.random.default_rng([plan.seed, step, slot])
        index = self._sample_index(step, slot)
        for _ in range(_SUBSTITUTES):
            sample = self._samples[index]
            text = sample.texts[random.integers(len(sample.texts))]
            try:
                return self._read(sample, text, random), text
            except (VideoError, OSError, ValueError) as error:
                self._known[index] = str(error)
            index = (index + 1) % len(self._samples)
        raise TrainingError(
            f"{_SUBSTITUTES} files in a row cannot be decoded; the last, "
            f"{self._samples[index - 1].path}, failed: "
            f"{self._known[(index - 1) % len(self._samples)]}"
        )

    def _sample_index(self, step: int, slot: int) -> int:
        """Each epoch goes through all samples in a new order and drops the last partial batch."""
        each = self._plan.batch_size * self._plan.world
        epoch, within = divmod(step, len(self._samples) // each)
        order = np.random.default_rng([self._plan.seed, epoch]).permutation(len(self._samples))
        return int(order[within * each + slot])

    def _read(self, sample: Sample, text: str, random: np.random.Generator) -> Tensor:
        plan, augmenting = self._plan, self._augmenting
        larger = round(plan.edge * _LARGER) if augmenting.smallest_crop < 1 else plan.edge
        count = plan.num_frames * augmenting.frames_per_part
        instants = draw_instants(plan.num_frames, augmenting.frames_per_part, random)
        decoded = self._cache.get(
            (sample.path, sample.start, sample.end),
            lambda: read_frames(sample, count, larger, plan.decode_s),
        )
        return augment(decoded[instants], plan.edge, augmenting, text, random)
