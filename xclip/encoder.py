"""Encoder: what the service needs of a model, whatever its architecture; NumPy in, NumPy out.

A model encodes texts and segments of video apart and scores one against the other later, from what
is stored of a segment. `xclip.encoders` loads one; `tests/xclip/encoder_contract.py` is what each
has to fulfil.

Letters: B segments, T frames, S crop edge, N texts, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from xclip.preprocess import FrameGeometry

# Of one segment's array: rows, and numbers in a row.
ArrayShape: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class StoredSegments:
    """What is stored of B segments, enough to score them against any text.

    embedding : float32, shape = (B, D), of length 1; the index recalls by it
    arrays : by name, float32, shape = (B, rows, width); what else the model's score needs
    """

    embedding: NDArray[np.float32]
    arrays: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        """B."""
        return len(self.embedding)

    def __getitem__(self, rows: slice) -> Self:
        """Some of the segments, as views: nothing is copied."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return type(self)(self.embedding[rows], arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All segments of at least one part, in order."""
        return cls(
            np.concatenate([part.embedding for part in parts]),
            {
                name: np.concatenate([part.arrays[name] for part in parts])
                for name in parts[0].arrays
            },
        )


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """What an encoder reads of one text.

    ids : of the tokens read, start and end included; two texts with the same ids are one to it
    truncated : the text has more tokens than the model can read, and its end is cut off
    """

    ids: tuple[int, ...]
    truncated: bool


class Encoder(Protocol):
    """Encodes texts and videos and scores one against the other."""

    @property
    def name(self) -> str:
        """What the model was loaded as."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits of all that what is stored depends on.

        What two encoders with the same fingerprint store can be mixed.
        """

    @property
    def folder(self) -> Path | None:
        """Where the checkpoint's files are, if it came from files."""

    @property
    def device(self) -> str:
        """Where the model computes, as PyTorch names it."""

    @property
    def dtype(self) -> str:
        """What it multiplies in, "float32" or "bfloat16"; no part of the fingerprint."""

    @property
    def num_frames(self) -> int:
        """T."""

    @property
    def geometry(self) -> FrameGeometry:
        """What is done to a frame before it is encoded."""

    @property
    def dim(self) -> int:
        """D."""

    @property
    def stored_arrays(self) -> Mapping[str, ArrayShape]:
        """The names of `StoredSegments.arrays`, and the shape of each for one segment.

        No name is "embedding", nor begins with "scale" or "bank-": records use those.
        """

    @property
    def score_kind(self) -> str:
        """What a score is, as search answers name it."""

    @property
    def logit_scale(self) -> float:
        """The factor of a cosine in a score, as in exp()."""

    @property
    def bank(self) -> tuple[str, ...]:
        """Texts that every segment is scored for when it is stored; see `xclip.text_bank`."""

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """What `encode_text` reads of each text, and whether that is all of it."""

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts to float32 (N, D), neither normalised nor conditioned on a video.

        The text of special tokens is read as plain text.
        """

    def encode_video(
        self, frames: NDArray[np.uint8], between: Callable[[], None] = ...
    ) -> StoredSegments:
        """Encode segments of sampled frames, already resized and cropped.

        frames : uint8 RGB, shape = (B, T, S, S, 3)
        between : called from time to time, where other work may run
        Raises ValueError for another shape or dtype.
        """

    def embed_video(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode segments to what `encode_video` calls their embedding, and to nothing else.

        frames : uint8 RGB, shape = (B, T, S, S, 3)
        Raises ValueError for another shape or dtype.
        """

    def score(
        self, text_embeddings: NDArray[np.float32], stored: StoredSegments
    ) -> NDArray[np.float32]:
        """Return the scores of every text for every segment, float32 (B, N).

        text_embeddings : float32, shape = (N, D), as `encode_text` gives them
        """
