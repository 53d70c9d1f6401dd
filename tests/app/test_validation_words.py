"""What a refused value is told, in words of our own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from app.validation_words import explained
from xclip_search import schemas


class Shape(BaseModel):
    """A value of each kind that requests and settings have."""

    model_config = {"extra": "forbid"}

    text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    count: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    yes: bool = True
    choice: Literal["a", "b"] = "a"
    texts: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    either: str | list[str] = ""


def refused(kind: type[BaseModel], value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """The places and reasons of a refusal, as of a request's body; none if it is accepted."""
    try:
        kind.model_validate(value)
    except ValidationError as error:
        return list(explained([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]))
    return []


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("text", 1, "must be text"),
        ("text", "a", "must have 2 characters or more"),
        ("text", "abcd", "must have 3 characters or fewer"),
        ("count", "many", "must be a whole number"),
        ("count", 1.5, "must be a whole number"),
        ("count", 0, "must be 1 or more"),
        ("count", 10, "must be 9 or less"),
        ("share", [], "must be a number"),
        ("share", float("nan"), "must be a finite number"),
        ("share", 0, "must be greater than 0.0"),
        ("share", 1, "must be less than 1.0"),
        ("yes", "perhaps", "must be true or false"),
        ("choice", "c", "must be 'a' or 'b'"),
        ("texts", {}, "must be a list"),
        ("texts", [], "must have 1 items or more"),
        ("texts", ["a"] * 3, "must have 2 items or fewer"),
        ("either", 1, "must be text or a list"),
        ("Unknown", 1, "is not known here"),
    ],
)
def test_a_reason_says_what_the_value_must_be(field: str, value: object, why: str) -> None:
    """In plain words, under the field's own name."""
    assert refused(Shape, {field: value}) == [(("body", field), why)]


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]], ["text", 7]])
def test_token_lists_are_refused_in_one_sentence(given: object) -> None:
    """As OpenAI's clients send them: one place, and what is taken instead."""
    ((place, why),) = refused(schemas.EmbeddingRequest, {"input": given, "model": "m"})
    assert place == ("body", "input")
    assert why == "must be text or a list of texts; token ids are not read here"


REQUESTS = [
    kind
    for kind in vars(schemas).values()
    if isinstance(kind, type) and issubclass(kind, schemas.Accepted)
]
NONSENSE = [None, True, 7, -1, 1.5, float("nan"), "", "no such word", [], [[]], [7], {}, {"a": []},
            "x" * 200_000, ["x"] * 5000]  # fmt: skip
FOREIGN = re.compile(r"Input|a valid|is not valid$|function-|constrained|\[str|list\[|Value error")


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_no_request_is_refused_in_the_validator_s_words(kind: type[BaseModel]) -> None:
    """Whatever a field is sent, its reason names neither types of Python nor checks."""
    for value in NONSENSE:
        for body in (value, *({name: value} for name in kind.model_fields)):
            told = [f"{place} {why}" for place, why in refused(kind, body)]
            assert [why for why in told if FOREIGN.search(why)] == [], body
