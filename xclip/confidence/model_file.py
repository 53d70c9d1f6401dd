"""Confidence model file: background, name of the text bank, and weights, in one file.

The file is safetensors: `embedding` and the encoder's other arrays of the background's segments,
and the rest as metadata.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xclip.confidence.calibration import FEATURE_COUNT, Calibration
from xclip.encoder import StoredSegments
from xclip.errors import WeightsError

CONFIDENCE_FILE = "confidence.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceModel:
    """A calibration and the background and bank it was made with.

    fingerprint : of the model whose logits it reads; bank : digest of the texts
    """

    fingerprint: str
    bank: str
    calibration: Calibration
    background: StoredSegments

    def save(self, path: Path) -> None:
        """Write the file so that it is either whole or not there, even at a loss of power."""
        blob = save(
            {
                "embedding": np.ascontiguousarray(self.background.embedding),
                **{
                    name: np.ascontiguousarray(array.astype(np.float16))
                    for name, array in self.background.arrays.items()
                },
            },
            metadata={
                "fingerprint": self.fingerprint,
                "bank": self.bank,
                "calibration": json.dumps(asdict(self.calibration)),
            },
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises WeightsError when it is missing or not one of these."""
        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                names = [name for name in file.keys() if name != "embedding"]  # noqa: SIM118
                background = StoredSegments(
                    file.get_tensor("embedding"),
                    {name: file.get_tensor(name).astype(np.float32) for name in names},
                )
            fields = json.loads(facts["calibration"])
            weights = tuple(float(weight) for weight in fields["weights"])
            if len(weights) != FEATURE_COUNT:
                raise ValueError(f"it has {len(weights)} weights, not {FEATURE_COUNT}")
            calibration = Calibration(weights, float(fields["bias"]), bool(fields["fitted"]))
            return cls(facts["fingerprint"], facts["bank"], calibration, background)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise WeightsError(f"{path.name} is not a confidence model: {error}") from error
