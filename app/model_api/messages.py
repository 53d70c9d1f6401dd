"""What the API and the worker say to each other: JSON requests, JSON facts, safetensors answers.

Both ends use these values, so neither can drift. The requests are checked where they are read:
`MessageError` is the worker's 400, never a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.protocol import TensorReference
from xclip.video.sampling import Segmentation

Flags: TypeAlias = NDArray[np.bool_]

FINGERPRINT_HEADER = "x-model-fingerprint"
CONFIDENCE_HEADER = "x-confidence-kind"
# Fitted to labelled examples, or read from the softmax shares as they are.
ConfidenceKind = Literal["calibrated", "estimated"]
MAX_SCORES = 1_000_000  # of one answer of `/score`: 4 MB


class MessageError(Exception):
    """A message that does not have the fields or types it must have."""

    code: ClassVar[str] = "invalid_request"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the worker's model is: its identity and the sizes that others depend on.

    calls_waiting : how many calls are in line for it now
    """

    name: str
    fingerprint: str
    num_frames: int
    image_size: int
    dim: int
    prompt_shape: tuple[int, int]
    logit_scale: float
    device: str
    dtype: str
    calls_waiting: int

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
    """`POST /text`: embed these texts, and if asked say how many tokens they are."""

    texts: Sequence[str]
    count_tokens: bool = False

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps({"texts": list(self.texts), "count_tokens": self.count_tokens}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            return cls(_texts(fields["texts"]), bool(fields["count_tokens"]))


@dataclass(frozen=True, slots=True)
class ConfidenceRequest:
    """That scores shall come with confidence: by which calibration, among how many segments.

    `calibration` names one that was fitted to a collection; None is the model's own.
    """

    calibration: str | None
    eligible: int


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """`POST /score`: every text against every stored segment, by the model `fingerprint` names.

    With `templates`, each of which holds `{}` once, a text is the mean of itself in each of them.
    `rest` asks how high each segment scores for all that is none of the texts.
    """

    texts: Sequence[str]
    references: Sequence[TensorReference]
    fingerprint: str
    templates: Sequence[str] = ()
    confidence: ConfidenceRequest | None = None
    rest: bool = False

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps(
            {
                "texts": list(self.texts),
                "segments": [asdict(reference) for reference in self.references],
                "fingerprint": self.fingerprint,
                "templates": list(self.templates),
                "confidence": asdict(self.confidence) if self.confidence else None,
                "rest": self.rest,
            }
        ).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            texts, segments = _texts(fields["texts"]), fields["segments"]
            if len(texts) * len(segments) > MAX_SCORES:
                raise ValueError(f"more than {MAX_SCORES} scores in one answer")
            return cls(
                texts=texts,
                references=[_reference(segment) for segment in segments],
                fingerprint=str(fields["fingerprint"]),
                templates=_templates(fields["templates"]),
                confidence=_confidence(fields["confidence"]),
                rest=bool(fields["rest"]),
            )


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """`POST /embed`: the embedding of every segment of a file that is not kept."""

    path: str
    segmentation: Segmentation

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps({"path": self.path, **asdict(self.segmentation)}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            return cls(
                path=str(fields["path"]),
                segmentation=Segmentation(float(fields["window_s"]), float(fields["stride_s"])),
            )


@dataclass(frozen=True, slots=True)
class ClipScoreRequest:
    """`POST /clip`: every text, as in `ScoreRequest`, against every segment of a file not kept."""

    path: str
    texts: Sequence[str]
    segmentation: Segmentation
    templates: Sequence[str] = ()
    confidence: ConfidenceRequest | None = None
    rest: bool = False

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps(
            {
                "path": self.path,
                "texts": list(self.texts),
                "templates": list(self.templates),
                "confidence": asdict(self.confidence) if self.confidence else None,
                "rest": self.rest,
                **asdict(self.segmentation),
            }
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
                templates=_templates(fields["templates"]),
                confidence=_confidence(fields["confidence"]),
                rest=bool(fields["rest"]),
            )


@dataclass(frozen=True, slots=True)
class ClipExportRequest:
    """`POST /cut`: a stretch of stored content into an empty file of the folder for such files."""

    sha256: str
    into: str
    start_s: float
    end_s: float
    max_bytes: int

    def to_json(self) -> bytes:
        """The request's body."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            return cls(
                sha256=str(fields["sha256"]),
                into=str(fields["into"]),
                start_s=float(fields["start_s"]),
                end_s=float(fields["end_s"]),
                max_bytes=int(fields["max_bytes"]),
            )


@dataclass(frozen=True, slots=True)
class ClipExportResult:
    """The answer of `/cut`: what was written, in seconds of the source."""

    container: Literal["mp4", "webm"]
    start_s: float
    end_s: float

    def to_json(self) -> bytes:
        """The answer's body."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The answer in a body; raises MessageError."""
        with _checked():
            fields = _object(body)
            container: Literal["mp4", "webm"] = "webm" if fields["container"] == "webm" else "mp4"
            return cls(container, float(fields["start_s"]), float(fields["end_s"]))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model says of K segments and N texts.

    logits : float32 [K, N]
    confidence : float64 [K, N], the chance that each is a true match; None when it was not asked
        for, there are no segments, or nothing is fitted to the model, then of no kind either
    rest : float64 [K], the log-sum-exp of the logits for all that is none of the texts, if asked
    damaged : bool, of every segment asked for, whether its tensors could not be read; the other
        arrays have rows for the rest only. None: all could.
    """

    logits: NDArray[np.float32]
    confidence: NDArray[np.float64] | None = None
    confidence_kind: ConfidenceKind | None = None
    rest: NDArray[np.float64] | None = None
    damaged: Flags | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is sent beside the kind."""
        named = {**self._rows(), "damaged": self.damaged}
        return {name: array for name, array in named.items() if array is not None}

    @classmethod
    def joined(cls, parts: Sequence[Self], texts: int) -> Self:
        """The scores of all segments from those of their batches; of none for `texts` texts."""
        damaged = None
        if any(part.damaged is not None for part in parts):
            whole = [np.zeros(len(part.logits), np.bool_) for part in parts]
            flags = zip(parts, whole, strict=True)
            damaged = np.concatenate(
                [none if part.damaged is None else part.damaged for part, none in flags]
            )
        # A batch without a readable segment has nothing but empty logits.
        scored = [part for part in parts if len(part.logits)]
        if not scored:
            return cls(np.empty((0, texts), np.float32), damaged=damaged)
        rows = [part._rows() for part in scored]  # noqa: SLF001  of its own class
        names = [name for name, array in rows[0].items() if array is not None]
        joined = {name: np.concatenate([each[name] for each in rows]) for name in names}
        return cls(**joined, confidence_kind=scored[0].confidence_kind, damaged=damaged)

    def _rows(self) -> dict[str, Any]:
        return {"logits": self.logits, "confidence": self.confidence, "rest": self.rest}


@dataclass(frozen=True, slots=True, eq=False)
class ClipScores:
    """The answer of `/clip`: K segments in order of time.

    starts, ends : float64 [K], seconds
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    scores: Scores
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


def _templates(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(template, str) and template.count("{}") == 1 for template in value
    ):
        raise ValueError("templates must be a list of strings that hold {} once")
    return tuple(value)


def _confidence(value: Mapping[str, object] | None) -> ConfidenceRequest | None:
    if value is None:
        return None
    calibration, eligible = value["calibration"], value["eligible"]
    if not (calibration is None or isinstance(calibration, str)) or not isinstance(eligible, int):
        raise ValueError("confidence is the name of a calibration or null, and a whole number")
    return ConfidenceRequest(calibration, eligible)


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
