"""Wire models of text embeddings, compatible with OpenAI's clients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xclip_search.schemas.values import Accepted, Answer, Text


class EmbeddingRequest(Accepted):
    """Texts to embed; lists of tokens are not accepted."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2_048)]
    model: Text = Field(description="the name that /v1/models gives")
    encoding_format: Literal["float", "base64"] = "float"


class EmbeddingAnswer(Answer):
    """The vector of one text, of length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
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

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Answer):
    """The vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[EmbeddingAnswer]
    model: str
    usage: EmbeddingUsage
    truncated: bool = Field(default=False, description="whether one of the texts was cut off")
