"""Score kinds: those of the encoder are documented, and no other is answered."""

from __future__ import annotations

import pytest

from app.main import create_app
from app.routes.score_kinds import SCORE_KINDS, documented_kind
from app.settings import Settings
from xclip.xclip_encoder import XCLIPEncoder


@pytest.mark.parametrize("suffix", ["", "_contrast", "_sequence"])
def test_the_kinds_of_the_encoder_are_documented(suffix: str) -> None:
    """X-CLIP's plain kind and the two made of it are in the list."""
    assert documented_kind(XCLIPEncoder.score_kind + suffix) in SCORE_KINDS


def test_a_kind_that_is_not_documented_is_refused() -> None:
    """The service does not answer with a kind that its document lacks."""
    with pytest.raises(ValueError, match="'loudness'"):
        documented_kind("loudness")


@pytest.mark.parametrize("answer", ["SearchAnswer", "SearchResult"])
def test_the_document_lists_the_kinds(answer: str) -> None:
    """The OpenAPI document has the list as the enum of `score_kind`."""
    schema = create_app(Settings()).openapi()["components"]["schemas"][answer]
    assert schema["properties"]["score_kind"]["enum"] == list(SCORE_KINDS)
