"""Tensor records: what a segment keeps in the tensor store to be scored against any text later.

embedding : float32 [D], of length 1
NAME : float16 [rows, width], or int8 [rows, width] beside its scale, for each of the encoder's
    stored arrays
scale : float32 [rows], what the int8 numbers of a row are multiplied by; scale-NAME where there
    are several arrays
bank-DIGEST : float16 [N0], its logits for the texts of the bank of that digest

A record says by its arrays in which form each is, so a store may hold both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.settings import StoredPrecision
from index.protocol import Tensors
from index.quantise import QuantisedRows, dequantise, quantise
from xclip.encoder import StoredSegments


def split_records(
    segments: StoredSegments,
    precision: StoredPrecision,
    digest: str,
    bank: NDArray[np.float16],
) -> list[Tensors]:
    """One record a segment, its arrays in the precision named.

    bank : float16, shape = (B, N0), the logits for the bank that `digest` names
    """
    records: list[dict[str, NDArray[Any]]] = [
        {"embedding": embedding, f"bank-{digest}": row}
        for embedding, row in zip(segments.embedding, bank, strict=True)
    ]
    for name, array in segments.arrays.items():
        if precision == "float16":
            for record, rows in zip(records, array, strict=True):
                record[name] = rows.astype(np.float16)
        else:
            quantised, scale = quantise(array), _scale_name(name, segments.arrays)
            for number, record in enumerate(records):
                record[name] = quantised.values[number]
                record[scale] = quantised.scale[number]
    return [*records]


def stack_records(records: Sequence[Tensors]) -> StoredSegments:
    """The records of B segments, at least one, as the encoder scores them, in their order."""
    arrays = {}
    names = _array_names(records[0])
    for name in names:
        scale = _scale_name(name, names)
        stacked = np.empty((len(records), *records[0][name].shape), np.float32)
        for row, record in enumerate(records):
            if scale in record:
                dequantise(QuantisedRows(record[name], record[scale]), out=stacked[row])
            else:
                stacked[row] = record[name]
        arrays[name] = stacked
    return StoredSegments(np.stack([record["embedding"] for record in records]), arrays)


def _scale_name(name: str, names: Collection[str]) -> str:
    """Where the scale of one of these arrays is; the only array's is `scale`, as it always was."""
    return "scale" if len(names) == 1 else f"scale-{name}"


def _array_names(record: Tensors) -> list[str]:
    """The stored arrays of a record: all but what every record has."""
    others = ("bank-", "scale")
    return [name for name in record if name != "embedding" and not name.startswith(others)]


def stack_bank(records: Sequence[Tensors], digest: str) -> NDArray[np.float16] | None:
    """The logits of B segments for the bank, shape = (B, N0); None when a record has not this one.

    A record made before the model's bank changed has another.
    """
    rows = [record.get(f"bank-{digest}") for record in records]
    present = [row for row in rows if row is not None]
    return np.stack(present) if len(present) == len(rows) else None
