"""Scalar quantization: rows as int8, each with its own scale; a quarter of the bytes of float32.

A patch of a prompt comes out of a layer norm, so its numbers are of one size and no row pays for
the outliers of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127  # -128 is left out, so that both signs reach equally far


@dataclass(frozen=True, slots=True)
class QuantisedRows:
    """Rows whose numbers are `values * scale`.

    values : int8, shape = (..., D)
    scale : float32, shape = (...)
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float32]


def quantise(rows: NDArray[np.float32]) -> QuantisedRows:
    """Round each row to 255 steps of its own; no number moves by more than half a step.

    rows : float32, shape = (..., D)

    A step is the row's largest magnitude by 127. A row with a NaN or an infinity becomes all NaN.
    """
    scale = np.abs(rows).max(axis=-1) / np.float32(_LARGEST)
    # Below the normal numbers of float32 a quotient says nothing; such a row is stored as zeros.
    scale = np.where(scale < np.finfo(np.float32).tiny, np.float32(0), scale)
    divisor = np.where(scale == 0, np.float32(np.inf), scale)
    with np.errstate(invalid="ignore"):  # of a row that is not finite only the scale counts
        values = np.rint(rows / divisor[..., None]).astype(np.int8)
    return QuantisedRows(values, np.where(np.isfinite(scale), scale, np.float32(np.nan)))


def dequantise(
    stored: QuantisedRows, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the rows, float32, shape = (..., D), in `out` if that is given."""
    rows = np.empty(stored.values.shape, np.float32) if out is None else out
    rows[...] = stored.values  # converted, then multiplied: faster than a product of mixed types
    rows *= stored.scale[..., None]
    return rows
