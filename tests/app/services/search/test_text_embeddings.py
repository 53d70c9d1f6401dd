"""Text embeddings: how texts are shared out to the model, which others wait for in between."""

from __future__ import annotations

import re

import numpy as np
import pytest

from app.errors import ModelNotFound
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.services.search.text_embeddings import Embeddings
from tests.app.stack import Stack
from xclip.encoder import Encoder

WORDS = ("a", "red", "blue", "square", "circle", "moves", "left", "right", "up", "down")
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS]


@pytest.fixture
def embeddings(library: Stack) -> Embeddings:
    secret = library.catalog.secret(SECRET)
    worker = WorkerClient("http://worker", secret=secret, transport=library.worker)
    return Embeddings(worker)


@pytest.mark.parametrize(("texts", "calls"), [(1, 1), (31, 1), (32, 1), (33, 2), (64, 2), (65, 3)])
def test_texts_go_to_the_model_32_at_a_time(
    library: Stack, encoder: Encoder, embeddings: Embeddings, texts: int, calls: int
) -> None:
    """Joined in their order, to the model's own vectors of length 1, whatever the calls."""
    before = library.worker.requests.count("/text")
    found = embeddings.of(TEXTS[:texts], encoder.name)
    assert library.worker.requests.count("/text") - before == calls
    expected = encoder.encode_text(TEXTS[:texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


def test_tokens_are_counted_over_all_calls(encoder: Encoder, embeddings: Embeddings) -> None:
    """As many as the texts have one by one, also for a text that is there twice."""
    texts = [*TEXTS[:40], TEXTS[0]]
    assert embeddings.of(texts, encoder.name).tokens == sum(
        embeddings.of([text], encoder.name).tokens for text in texts
    )


@pytest.mark.parametrize("name", ["", "MODEL", "model"])
def test_another_model_is_not_found(
    library: Stack, encoder: Encoder, embeddings: Embeddings, name: str
) -> None:
    """By exactly its name; nothing is embedded then."""
    before = library.worker.requests.count("/text")
    with pytest.raises(ModelNotFound, match=f"there is '{re.escape(encoder.name)}'"):
        embeddings.of(["red"], name)
    assert library.worker.requests.count("/text") == before
