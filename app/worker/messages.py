"""What the API and the worker say to each other: JSON requests, JSON facts, safetensors answers.

Both ends use these values, so neither can drift. The requests are checked where they are read:
`MessageError` is the worker's 400, never a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from index.protocol import TensorReference
from xclip.video.sample import Segmentation

FINGERPRINT_HEADER = "x-model-fingerprint"


class MessageError(Exception):
    """A message that does not have the fields or types it must have."""

    code: ClassVar[str] = "invalid_request"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the worker's model is: its identity and the sizes that others depend on."""

    name: str
    fingerprint: str
    num_frames: int
    image_size: int
    dim: int
    prompt_shape: tuple[int, int]
    logit_scale: float
    device: str
    dtype: str

    def to_json(self) -> bytes:
        """The answer of `GET /model`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The facts in an answer of `GET /model`."""
        with _checked():
            fields = _object(body)
            prompts, width = fields.pop("prompt_shape")
            return cls(prompt_shape=(int(prompts), int(width)), **fields)


@dataclass(frozen=True, slots=True)
class TextRequest:
    """`POST /text`: embed these texts."""

    texts: Sequence[str]

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps({"texts": list(self.texts)}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            return cls(texts=_texts(_object(body)["texts"]))


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """`POST /score`: every text against every stored segment, by the model `fingerprint` names."""

    texts: Sequence[str]
    references: Sequence[TensorReference]
    fingerprint: str

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps(
            {
                "texts": list(self.texts),
                "segments": [asdict(reference) for reference in self.references],
                "fingerprint": self.fingerprint,
            }
        ).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            return cls(
                texts=_texts(fields["texts"]),
                references=[_reference(segment) for segment in fields["segments"]],
                fingerprint=str(fields["fingerprint"]),
            )


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """`POST /clip`: every text against every segment of a file that is not kept."""

    path: str
    texts: Sequence[str]
    segmentation: Segmentation

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps(
            {"path": self.path, "texts": list(self.texts), **asdict(self.segmentation)}
        ).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            return cls(
                path=str(fields["path"]),
                texts=_texts(fields["texts"]),
                segmentation=Segmentation(float(fields["window_s"]), float(fields["stride_s"])),
            )


@dataclass(frozen=True, slots=True)
class ClipScores:
    """The answer of `/clip`: K segments in order of time, N texts.

    starts, ends : float64 [K], seconds
    scores : float32 [K, N], logits
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    scores: NDArray[np.float32]
    duration_s: float
    fingerprint: str


def _object(body: bytes) -> dict[str, Any]:
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise TypeError("it is no JSON object")
    return fields


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError("texts must be a list of at least one string")
    return value


def _reference(value: Mapping[str, object]) -> TensorReference:
    file, offset, length, crc32 = (value[key] for key in ("file", "offset", "length", "crc32"))
    if not (
        isinstance(file, str)
        and isinstance(offset, int)
        and isinstance(length, int)
        and isinstance(crc32, int)
    ):
        raise ValueError("a segment is a file name and three whole numbers")
    return TensorReference(file=file, offset=offset, length=length, crc32=crc32)


@contextmanager
def _checked() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise MessageError(f"the message cannot be read: {error}") from error
