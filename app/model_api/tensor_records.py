"""Tensor records: what a segment keeps in the tensor store to be scored against any text later.

embedding : float32 [D], of length 1
prompt : float16 [P, D], or int8 [P, D] beside
scale : float32 [P], what a patch's int8 numbers are multiplied by
bank-DIGEST : float16 [N0], its logits for the texts of the bank of that digest

A record says by its arrays in which form its prompt is, so a store may hold both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.settings import PromptPrecision
from index.protocol import Tensors
from index.quantise import QuantisedRows, dequantise, quantise
from xclip.encoder import EncodedVideos


def split_records(
    videos: EncodedVideos,
    precision: PromptPrecision,
    digest: str,
    bank: NDArray[np.float16],
) -> list[Tensors]:
    """One record a segment, its prompt in the precision named.

    bank : float16, shape = (B, N0), the logits for the bank that `digest` names
    """
    prompts = _prompt_arrays(videos, precision)
    return [
        {"embedding": embedding, f"bank-{digest}": row, **prompt}
        for embedding, row, prompt in zip(videos.embedding, bank, prompts, strict=True)
    ]


def _prompt_arrays(videos: EncodedVideos, precision: PromptPrecision) -> list[Tensors]:
    if precision == "float16":
        return [{"prompt": prompt.astype(np.float16)} for prompt in videos.prompt]
    rows = quantise(videos.prompt)
    return [
        {"prompt": values, "scale": scale}
        for values, scale in zip(rows.values, rows.scale, strict=True)
    ]


def stack_records(records: Sequence[Tensors]) -> EncodedVideos:
    """The records of B segments as the encoder scores them, in their order."""
    prompt = np.empty((len(records), *records[0]["prompt"].shape), np.float32)
    for place, record in enumerate(records):
        if "scale" in record:
            dequantise(QuantisedRows(record["prompt"], record["scale"]), out=prompt[place])
        else:
            prompt[place] = record["prompt"]
    return EncodedVideos(np.stack([record["embedding"] for record in records]), prompt)


def stack_bank(records: Sequence[Tensors], digest: str) -> NDArray[np.float16] | None:
    """The logits of B segments for the bank, shape = (B, N0); None when a record has not this one.

    A record made before the model's bank changed has another.
    """
    rows = [record.get(f"bank-{digest}") for record in records]
    present = [row for row in rows if row is not None]
    return np.stack(present) if len(present) == len(rows) else None
