"""What one segment leaves in the tensor store, so that any text can be scored against it later.

embedding : float32 [D], of length 1
prompt : float16 [P, D]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.protocol import Tensors
from xclip.encoder import EncodedVideos


def split_records(videos: EncodedVideos) -> list[Tensors]:
    """One record a segment."""
    return [
        {"embedding": embedding, "prompt": prompt}
        for embedding, prompt in zip(videos.embedding, videos.prompt, strict=True)
    ]


def stack_records(records: Sequence[Tensors]) -> EncodedVideos:
    """The records of B segments as the encoder scores them, in their order."""
    return EncodedVideos(
        embedding=np.stack([record["embedding"] for record in records]),
        prompt=np.stack([record["prompt"] for record in records]),
    )
