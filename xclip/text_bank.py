"""Text bank: texts unrelated to any query, which a segment is scored for beside it.

A segment that scores high for everything says little by scoring high for one text. How high it
scores for the bank tells such hubs apart (Bogolin et al., CVPR 2022, querybank normalisation).

N texts, N0 bank texts, D width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xclip.errors import TextFileError, WeightsError
from xclip.hub import Checkpoint
from xclip.text_file import read_lines

BANK_FILE = "bank.txt"
GENERAL_BANK = Path(__file__).parent / "banks" / "general.txt"

# Two texts whose embeddings are closer than this say the same: a query must not compete with
# itself in other words.
SAME_MEANING_COSINE = 0.95


def read_bank(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The bank a checkpoint brings along in `bank.txt`, one text a line, else the general one."""
    path = own_bank(checkpoint) or GENERAL_BANK
    try:
        lines = read_lines(path)
    except (OSError, TextFileError) as error:
        raise WeightsError(f"the text bank {path.name} cannot be read: {error}") from error
    texts = tuple(dict.fromkeys(line for _, line in lines))
    if len(texts) < 2:
        raise WeightsError(f"the text bank {path.name} holds fewer than two texts")
    return texts


def own_bank(checkpoint: Checkpoint) -> Path | None:
    """The bank that a checkpoint brings along, if it does. Raises WeightsError."""
    # not `find`, which would ask the hub of each repository for a file that only this project has
    return Checkpoint(checkpoint.folder).find(BANK_FILE)


def bank_digest(texts: Sequence[str]) -> str:
    """8 hex digits that differ between banks, to tell which one a stored row of logits is from."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]


def says_the_same(embeddings: NDArray[np.float32], bank: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which bank texts mean what a text means; bool, shape = (N, N0).

    embeddings : float32, shape = (N, D); bank : float32, shape = (N0, D); neither normalised
    """
    return np.asarray(_directions(embeddings) @ _directions(bank).T > SAME_MEANING_COSINE)


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths.clip(np.finfo(np.float32).tiny))
