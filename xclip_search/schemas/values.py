"""Validated field types and base classes of the wire models."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
)

from xclip_search.schemas.fields import NextCursor

Item = TypeVar("Item")

_INT64 = 2**63
_SHOWN_CHARACTERS = 60  # of a label in a message
_MAX_METADATA_CHARACTERS = 16_384
_MAX_METADATA_DEPTH = 16
_MAX_FILTER_CHARACTERS = 131_072
_MAX_FILTER_DEPTH = 40  # the language's own bound, of 16 filters in each other, comes first


def _check_text(text: str) -> str:
    """Trimmed text a person could have meant; a refusal says why."""
    _check_string(text)
    if not any(unicodedata.category(char)[0] not in "CZ" for char in text):
        raise ValueError("must contain a visible character")
    return text.strip()


def _check_string(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain lone surrogates")
    return text


def _check_number(number: float) -> float:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("must be finite")
    if isinstance(number, int) and not -_INT64 <= number < _INT64:
        raise ValueError("must fit 64 bits")
    return number


def _check_labels(labels: list[str]) -> list[str]:
    first: dict[str, str] = {}
    for label in labels:
        # as CLIP's tokenizers read texts; the model would halve its answer between such labels
        plain = " ".join(unicodedata.normalize("NFC", label).lower().split())
        if plain in first:
            raise ValueError(
                "labels must differ from each other in more than capitals and blanks: "
                f"{first[plain][:_SHOWN_CHARACTERS]!r} and {label[:_SHOWN_CHARACTERS]!r} do not"
            )
        first[plain] = label
    return labels


def _check_template(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("must hold {} exactly once, where the label goes")
    return template


def _check_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_json(metadata, _MAX_METADATA_DEPTH, _MAX_METADATA_CHARACTERS)
    return metadata


def _check_filter(raw: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_json(raw, _MAX_FILTER_DEPTH, _MAX_FILTER_CHARACTERS)
    return raw


def _check_json(body: JsonValue, max_depth: int, max_characters: int) -> None:
    """Every leaf storable in any catalog; size and depth bounded. Iterative: depth is untrusted."""
    characters = 0
    todo: list[tuple[JsonValue, int]] = [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > max_depth:
            raise ValueError(f"must not be nested deeper than {max_depth} levels")
        if isinstance(value, dict):
            todo += [(key, depth) for key in value] + [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            characters += len(_check_string(value))
        elif isinstance(value, int | float):
            _check_number(value)
        characters += 4
        if characters > max_characters:
            raise ValueError(f"must not be longer than about {max_characters} characters")


# What the validators check, as far as JSON Schema can say it.
_VISIBLE = {"minLength": 1, "pattern": r"\S"}
_WITH_PLACE = {"minLength": 2, "pattern": r"\{\}"}

Text = Annotated[
    str, Field(max_length=1_000, json_schema_extra={**_VISIBLE}), AfterValidator(_check_text)
]
Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_check_metadata),
    Field(
        description="A JSON object of at most about 16,384 characters and 16 levels. Numbers are "
        "finite, and whole ones fit 64 bits; texts hold no NUL and no half of a surrogate pair."
    ),
]
Seconds = Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)]
Labels = Annotated[
    list[Text],
    Field(min_length=2, max_length=10_000),
    AfterValidator(_check_labels),
]
Template = Annotated[
    Text, Field(json_schema_extra={**_WITH_PLACE}), AfterValidator(_check_template)
]
Templates = Annotated[list[Template], Field(max_length=100)]
LabelSetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z]{3}_[0-9a-z]{1,64}$")]
Identifiers = Annotated[list[Identifier], Field(min_length=1, max_length=1_000)]
Filter = Annotated[
    dict[str, JsonValue],
    AfterValidator(_check_filter),
    Field(
        description="Fields and their conditions: a value, a list of values, or an object of the "
        "operators eq, ne, in, gt, gte, lt, lte, exists; all must hold. and, or (lists of filters) "
        "and not (a filter) combine. Fields are video_id, filename, sha256, size, container, "
        "codec, width, height, duration, created, start, end and the keys of the video's metadata; "
        "metadata.KEY always means the metadata. At most 16 levels, 200 conditions, 1,000 values "
        "in a list and 10,000 in all lists.",
        examples=[{"camera": ["north", "south"], "duration": {"gte": 10, "lt": 60}}],
    ),
]


class Accepted(BaseModel):
    """A request body; closed, so that a misspelt option is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TextUsage(Answer):
    """How much of the texts in the request the model has read."""

    truncated: bool = Field(
        default=False,
        description="whether a text has more tokens than the model reads (77 with X-CLIP), so that "
        "its end has no part in the answer",
    )
    truncated_texts: list[str] = Field(
        default_factory=list, description="the texts of the request whose end was cut off"
    )
    tokens: int = Field(
        default=0,
        description="how many tokens the model has read of all texts, a start and an end of each "
        "included",
    )


class Page(Answer, Generic[Item]):
    """One page of a list; send `next_cursor` as `cursor` to get the next."""

    # pydantic leaves the docstring out of the schemas of what a generic class becomes
    model_config = ConfigDict(
        json_schema_extra={"description": "One page of a list, in the order of the list"}
    )

    items: list[Item] = Field(description="the records of this page")
    next_cursor: NextCursor
