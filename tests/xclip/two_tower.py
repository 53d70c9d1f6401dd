"""A second encoder: two towers of random projections in NumPy, compared by their cosine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xclip.encoder import ArrayShape, StoredSegments, TokenizedText
from xclip.hub import CONFIG_FILE, Checkpoint
from xclip.preprocess import FrameGeometry

MODEL_TYPE = "two_tower"
_BUCKETS = 64  # that the words of a text are counted in
_SIDE = 4  # a frame is averaged over a grid of so many cells each way


class TwoTowerEncoder:
    """Scores a text by the cosine of its vector and the segment's; stores nothing else."""

    num_frames = 2
    geometry = FrameGeometry(16, 16)
    dim = 8
    stored_arrays: Mapping[str, ArrayShape] = {}
    score_kind = "cosine"
    logit_scale = 1.0
    device = "cpu"
    dtype = "float32"

    def __init__(self, name: str, seed: int, folder: Path | None, bank: tuple[str, ...]) -> None:
        random = np.random.default_rng(seed)
        cells = self.num_frames * _SIDE * _SIDE * 3
        self._text_tower = random.standard_normal((_BUCKETS, self.dim)).astype(np.float32)
        self._video_tower = random.standard_normal((cells, self.dim)).astype(np.float32)
        self.name = name
        self.fingerprint = hashlib.sha256(f"{MODEL_TYPE} {seed}".encode()).hexdigest()[:16]
        self.folder = folder
        self.bank = bank

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, name: str, device: str) -> TwoTowerEncoder:
        """Load what `save_two_tower` wrote; `device` is the processor in any case."""
        seed = json.loads((checkpoint.folder / CONFIG_FILE).read_text("utf-8"))["seed"]
        return cls(name, seed, checkpoint.folder, ("a dog", "two people"))

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The hashes of all words of each text, and a start and an end."""
        return [
            TokenizedText((0, *(_bucket(word) for word in text.split()), 1), truncated=False)
            for text in texts
        ]

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Count the words in buckets, by their hash, and project the counts."""
        counts = np.zeros((len(texts), _BUCKETS), np.float32)
        for row, text in zip(counts, texts, strict=True):
            row[0] = 1  # a text without a word has a direction too
            for word in text.split():
                row[_bucket(word)] += 1
        return counts @ self._text_tower

    def encode_video(
        self, frames: NDArray[np.uint8], between: Callable[[], None] = lambda: None
    ) -> StoredSegments:
        """Store the embedding and no array."""
        between()
        return StoredSegments(self.embed_video(frames), {})

    def embed_video(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Average cells of the frames, project them, and make the vectors' length 1."""
        edge = self.geometry.crop
        if frames.shape[1:] != (self.num_frames, edge, edge, 3) or frames.dtype != np.uint8:
            raise ValueError(f"frames are not uint8 of {self.num_frames} frames of {edge} pixels")
        step = edge // _SIDE
        grid = frames.reshape(len(frames), self.num_frames, _SIDE, step, _SIDE, step, 3)
        cells = grid.mean(axis=(3, 5), dtype=np.float32).reshape(len(frames), -1)
        return _unit((cells - 127) @ self._video_tower)

    def score(
        self, text_embeddings: NDArray[np.float32], stored: StoredSegments
    ) -> NDArray[np.float32]:
        """Return the cosines, float32 (B, N)."""
        return stored.embedding @ _unit(text_embeddings).T


def save_two_tower(folder: Path, seed: int) -> None:
    """Write the checkpoint: its weights are drawn from the seed."""
    folder.mkdir(parents=True)
    config = json.dumps({"model_type": MODEL_TYPE, "seed": seed})
    (folder / CONFIG_FILE).write_text(config, encoding="utf-8")


def _bucket(word: str) -> int:
    return hashlib.sha256(word.encode()).digest()[0] % _BUCKETS


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / lengths.clip(1e-12)).astype(np.float32)
