"""`/v1/embeddings` as OpenAI's own client speaks to it."""

from __future__ import annotations

import base64

import numpy as np
import openai
import pytest

from tests.app.stack import Stack, assert_problem
from xclip.encoder import Encoder

TEXTS = ["a red square moves left", "circle", "a red square moves left"]


@pytest.fixture
def client(library: Stack) -> openai.OpenAI:
    return openai.OpenAI(
        base_url="http://127.0.0.1/v1", api_key="none", http_client=library.api, max_retries=0
    )


def test_the_client_gets_the_vectors_that_searches_begin_with(
    client: openai.OpenAI, library: Stack, encoder: Encoder
):
    """Of length 1, in the order of the texts, the same as floats and in base64."""
    expected = encoder.encode_text(TEXTS)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    model = library.settings.model
    for choice in ({}, {"encoding_format": "float"}):
        answer = client.embeddings.create(input=TEXTS, model=model, **choice)
        assert [item.index for item in answer.data] == [0, 1, 2]
        np.testing.assert_allclose([item.embedding for item in answer.data], expected, atol=1e-6)
        assert (answer.object, answer.data[0].object, answer.model) == ("list", "embedding", model)
    tokens = sum(len(read.ids) for read in encoder.tokenize(TEXTS))
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)


def test_one_text_needs_no_list(client: openai.OpenAI, library: Stack):
    """A string is a list of one."""
    answer = client.embeddings.create(input=TEXTS[0], model=library.settings.model)
    listed = client.embeddings.create(input=TEXTS[:1], model=library.settings.model)
    assert answer.data == listed.data


def test_many_texts_are_embedded_in_several_turns_of_the_model(library: Stack):
    """Between them the model serves others; the order stays."""
    texts = [f"red {number}" for number in range(70)]
    body = {"input": texts, "model": library.settings.model, "encoding_format": "base64"}
    before = library.worker.requests.count("/text")
    items = library.api.post("/v1/embeddings", json=body).json()["data"]
    assert library.worker.requests.count("/text") - before == 3
    single = library.api.post("/v1/embeddings", json={**body, "input": texts[50]}).json()["data"]
    vectors = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in items]
    alone = np.frombuffer(base64.b64decode(single[0]["embedding"]), "<f4")
    assert len(vectors) == 70
    np.testing.assert_allclose(vectors[50], alone, atol=1e-6)


def test_the_clients_errors_carry_the_services_codes(client: openai.OpenAI, library: Stack):
    """An unknown model is a NotFoundError, a bad input an UnprocessableEntityError."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(input="red", model="text-embedding-3-small")
    assert unknown.value.code == "model_not_found"
    for bad in ("", [], [[1, 2]], ["red", ""], ["x"] * 2049):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            client.embeddings.create(input=bad, model=library.settings.model)
        assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("odd", [{"dimensions": 8}, {"encoding_format": "int8"}, {"user": "me"}])
def test_options_that_would_do_nothing_are_refused(library: Stack, odd: dict):
    """Rather than to be taken for done."""
    body = {"input": "red", "model": library.settings.model, **odd}
    assert_problem(library.api.post("/v1/embeddings", json=body), 422, "invalid_request")


def test_while_the_worker_is_away_the_client_is_told_to_come_again(
    client: openai.OpenAI, library: Stack
):
    """503 with Retry-After, which the client's own retries respect."""
    library.worker.reachable = False
    try:
        with pytest.raises(openai.InternalServerError) as away:
            client.embeddings.create(input="red", model=library.settings.model)
    finally:
        library.worker.reachable = True
    assert (away.value.status_code, away.value.code) == (503, "worker_unavailable")
    assert int(away.value.response.headers["retry-after"]) > 0
