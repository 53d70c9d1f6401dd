"""Wire models of text embeddings, compatible with OpenAI's clients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from xclip_search.schemas.fields import ModelName
from xclip_search.schemas.values import Accepted, Answer, Text


class EmbeddingRequest(Accepted):
    """Texts to embed; lists of tokens are not accepted."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2_048)] = Field(
        description="a text, or up to 2048 of them"
    )
    model: Text = Field(description="the name that /v1/models gives; another one is refused")
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="vectors as lists of numbers, or as float32 in base64"
    )

    @field_validator("input", mode="before")
    @classmethod
    def _refuse_tokens(cls, given: object) -> object:
        """OpenAI's clients may send texts as numbers, which only OpenAI's models can read."""
        if isinstance(given, list) and any(isinstance(each, int | list) for each in given):
            raise ValueError("must be text or a list of texts; token ids are not read here")
        return given


class EmbeddingAnswer(Answer):
    """The vector of one text, of length 1."""

    object: Literal["embedding"] = Field(
        default="embedding", description="what this is, in the words of OpenAI's interface"
    )
    index: int = Field(description="the text's place in the request, from 0")
    embedding: list[float] | str = Field(
        description="numbers, or with encoding_format base64 little-endian float32"
    )
    truncated: bool = Field(
        default=False,
        description="whether the text has more tokens than the model reads (77 with X-CLIP), so "
        "that its end has no part in the vector",
    )


class EmbeddingUsage(Answer):
    """How many tokens the model has read."""

    prompt_tokens: int = Field(
        description="tokens of all texts, a start and an end of each included"
    )
    total_tokens: int = Field(description="the same number: the model writes no tokens")


class EmbeddingList(Answer):
    """The vectors in the order of the texts."""

    object: Literal["list"] = Field(
        default="list", description="what this is, in the words of OpenAI's interface"
    )
    data: list[EmbeddingAnswer] = Field(description="one vector for each text, in their order")
    model: ModelName
    usage: EmbeddingUsage = Field(description="how many tokens the model has read")
    truncated: bool = Field(default=False, description="whether one of the texts was cut off")
