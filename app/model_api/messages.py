"""Message schema of the model API: the requests and answers between API and worker.

Requests and facts are JSON objects of exactly the fields named here, answers of the model are
safetensors. Both ends use these values, so neither can drift. A message is checked where it is
read: `MessageError` is the worker's 400, never a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from app.errors import ServiceError
from app.validation_words import reason
from index.protocol import TensorReference
from xclip.video.sampling import Segmentation

Flags: TypeAlias = NDArray[np.bool_]

FINGERPRINT_HEADER = "x-model-fingerprint"
MODEL_NAME_HEADER = "x-model-name"  # percent-encoded, for it may be a path
SCORE_KIND_HEADER = "x-score-kind"
CONFIDENCE_HEADER = "x-confidence-kind"
# Fitted to labelled examples, or read from the softmax shares as they are.
ConfidenceKind = Literal["calibrated", "estimated"]
MAX_SCORES = 1_000_000  # of one answer of `/score`: 4 MB
_ERRORS_NAMED = 3  # of a message with more; enough to find the mistake
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


class MessageError(ServiceError):
    """A message that does not have the fields or types it must have."""

    code = "invalid_request"
    status = 400


def _check_template(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("a template must hold {} once")
    return template


Texts: TypeAlias = Annotated[Sequence[str], Field(min_length=1)]
Templates: TypeAlias = tuple[Annotated[str, AfterValidator(_check_template)], ...]


class _Message:
    """A JSON object of exactly the fields of the dataclass that derives from this."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    def to_json(self) -> bytes:
        """The message as the body of a request or an answer."""
        return _adapter(type(self)).dump_json(self)

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The message in a body; raises MessageError."""
        try:
            message: Self = _adapter(cls).validate_json(body)
        except ValidationError as error:
            raise MessageError(f"the message cannot be read: {_explain(error)}") from error
        return message


@dataclass(frozen=True)
class ModelFacts(_Message):
    """The answer of `GET /model`: the model's identity and the sizes that others depend on.

    stored_arrays : what is stored of a segment beside its embedding, by name: rows and width
    calls_waiting : how many calls wait for the model now
    ingests : how many videos the worker ingests at once; 0: it answers calls only
    """

    name: str
    fingerprint: str
    num_frames: int
    image_size: int
    dim: int
    stored_arrays: Mapping[str, tuple[int, int]]
    logit_scale: float
    device: str
    dtype: str
    calls_waiting: int
    ingests: int


@dataclass(frozen=True)
class TextRequest(_Message):
    """`POST /text`: embed these texts."""

    texts: Texts


@dataclass(frozen=True)
class TokensRequest(_Message):
    """`POST /tokens`: say what the model reads of these texts.

    With `templates`, each of which holds `{}` once, a text is itself in each of them.
    """

    texts: Texts
    templates: Templates = ()


@dataclass(frozen=True, slots=True, eq=False)
class TextsRead:
    """What the model reads of N texts.

    tokens : int64 [N], how many tokens it reads; of a text in templates, of all of them together
    truncated : bool [N], whether the end of the text was cut off, in any template
    same_as : int64 [N], the first text that is one with this one to the model; itself, if it is
        the first
    """

    tokens: NDArray[np.int64]
    truncated: Flags
    same_as: NDArray[np.int64]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is sent."""
        return {"tokens": self.tokens, "truncated": self.truncated, "same_as": self.same_as}


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """The answer of `/text`: N texts, and what the model is that encoded them.

    embeddings : float32 [N, D], not normalised
    read : how much of each text they are made from
    score_kind : what a score of this model is, as search answers name it
    """

    embeddings: NDArray[np.float32]
    read: TextsRead
    fingerprint: str
    score_kind: str


@dataclass(frozen=True)
class ConfidenceRequest(_Message):
    """That scores shall come with confidence: by which calibration, among how many segments.

    `calibration` names one that was fitted to a collection; None is the model's own.
    """

    calibration: str | None
    eligible: int


@dataclass(frozen=True)
class ScoreRequest(_Message):
    """`POST /score`: every text against every stored segment, by the model `fingerprint` names.

    With `templates`, each of which holds `{}` once, a text is the mean of itself in each of them.
    `rest` asks how high each segment scores for all that is none of the texts.
    """

    texts: Texts
    segments: Sequence[TensorReference]
    fingerprint: str
    templates: Templates = ()
    confidence: ConfidenceRequest | None = None
    rest: bool = False

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The request in a body; raises MessageError, also for more than `MAX_SCORES` scores."""
        request = super().from_json(body)
        if len(request.texts) * len(request.segments) > MAX_SCORES:
            raise MessageError(f"more than {MAX_SCORES} scores in one answer")
        return request


@dataclass(frozen=True)
class EmbedRequest(_Message):
    """`POST /embed`: the embedding of every segment of a file that is not kept.

    name : of a file in the folder for incoming files; never a path
    window_s, stride_s : length of a segment and distance between two starts, in seconds
    """

    name: str
    window_s: float
    stride_s: float

    def __post_init__(self) -> None:
        _ = self.segmentation  # refuses a stride that is longer than the window

    @property
    def segmentation(self) -> Segmentation:
        """The segments the file is cut into."""
        return Segmentation(self.window_s, self.stride_s)


@dataclass(frozen=True)
class ClipScoreRequest(EmbedRequest):
    """`POST /clip`: every text, as in `ScoreRequest`, against every segment of a file not kept."""

    texts: Texts
    templates: Templates = ()
    confidence: ConfidenceRequest | None = None
    rest: bool = False


@dataclass(frozen=True)
class ClipExportRequest(_Message):
    """`POST /cut`: seconds of stored content into an empty file.

    into : its name in the folder for incoming files; never a path
    """

    sha256: str
    into: str
    start_s: float
    end_s: float
    max_bytes: int


@dataclass(frozen=True)
class ClipExportResult(_Message):
    """The answer of `/cut`: what was written, in seconds of the source."""

    container: Literal["mp4", "webm"]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model says of K segments and N texts.

    logits : float32 [K, N]
    confidence : float64 [K, N], the probability of a match; None, and then confidence_kind is
        None too, if it was not requested, there are no segments, or the model has no calibration
    rest : float64 [K], log-sum-exp of the logits of all other texts of the bank, if requested
    damaged : bool, of every requested segment, whether its tensors could not be read; the other
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
    model: str


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """The compiled schema of a message, which takes milliseconds to make."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _explain(error: ValidationError) -> str:
    """The first few mistakes in one line, without an echo of the message."""
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {reason(problem)}"
        for problem in problems[:_ERRORS_NAMED]
    )
