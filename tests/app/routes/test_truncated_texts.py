"""Texts longer than the model reads: every answer that is made from one says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.app.stack import CLASSIFY, SEARCH, VIDEOS, Stack, assert_problem
from xclip.encoder import Encoder

# The model of these tests reads 16 tokens, start and end included.
LONG = "a red square moves left " * 5
SHORT = "a red square"


def told(answer: dict[str, Any]) -> tuple[bool, list[str], int]:
    return answer["truncated"], answer["truncated_texts"], answer["tokens"]


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        ({"text": LONG}, [LONG]),
        ({"text": SHORT, "negative_text": LONG}, [LONG]),
        ({"text": LONG, "negative_text": SHORT}, [LONG]),
        ({"then": [SHORT, LONG]}, [LONG]),
        ({"text": SHORT, "negative_text": "blue"}, []),
        ({"then": [SHORT, "blue"]}, []),
    ],
    ids=str,
)
def test_a_search_names_each_text_whose_end_was_not_read(
    library: Stack, encoder: Encoder, body: dict[str, Any], cut: list[str]
) -> None:
    """Text, negative text and events alike, with the tokens that the model has read of all."""
    answers = (
        library.api.post(SEARCH, json=body),
        library.api.post(f"{SEARCH}:batch", json={"queries": [body]}),
    )
    texts = body["then"] if "then" in body else list(body.values())
    tokens = sum(len(read.ids) for read in encoder.tokenize(texts))
    expected = (bool(cut), [text.strip() for text in cut], tokens)
    assert told(answers[0].json()) == expected
    assert told(answers[1].json()["answers"][0]) == expected


def test_a_search_by_example_has_read_nothing(library: Stack) -> None:
    """No text, no tokens."""
    segment = library.api.post(SEARCH, json={"text": SHORT}).json()["results"][0]["segment_id"]
    answer = library.api.post(SEARCH, json={"segment_id": segment}).json()
    assert told(answer) == (False, [], 0)


def test_a_heat_map_says_that_its_text_was_cut(library: Stack) -> None:
    """And says that a short one was not."""
    video = library.api.get(VIDEOS).json()["items"][0]["id"]
    address = f"{VIDEOS}/{video}/heatmap"
    assert told(library.api.get(address, params={"q": LONG}).json()) == (True, [LONG.strip()], 16)
    assert told(library.api.get(address, params={"q": SHORT}).json()) == (False, [], 5)


def test_embeddings_say_which_text_was_cut(library: Stack) -> None:
    """Each vector says it for its text, and the answer for all."""
    body = {"input": [SHORT, LONG], "model": library.settings.model}
    answer = library.api.post("/v1/embeddings", json=body).json()
    assert [item["truncated"] for item in answer["data"]] == [False, True]
    assert answer["truncated"] is True
    assert answer["usage"]["prompt_tokens"] == 5 + 16


def test_classification_names_the_labels_that_were_cut(library: Stack) -> None:
    """Also where only a template makes a label too long."""
    answer = library.api.post(CLASSIFY, json={"labels": [LONG, SHORT]}).json()
    assert told(answer) == (True, [LONG.strip()], 16 + 5)
    body = {"labels": ["red", "blue"], "templates": [f"{{}} {LONG}", "{}"], "top": 1}
    answer = library.api.post(CLASSIFY, json=body).json()
    assert told(answer) == (True, ["red", "blue"], 2 * (16 + 3))
    answer = library.api.post(CLASSIFY, json={"labels": ["red", "blue"]}).json()
    assert told(answer) == (False, [], 6)


@pytest.mark.parametrize(
    ("labels", "templates"),
    [
        (["Red circle", "red circle"], []),
        (["red circle", "blue", "red  circle"], []),
        ([f"{LONG} up", f"{LONG} down"], []),
        (["up", "down"], [f"{LONG} {{}}"]),
    ],
    ids=["case", "spaces", "cut", "cut-by-template"],
)
def test_labels_that_are_one_to_the_model_are_refused(
    library: Stack, labels: list[str], templates: list[str], make_clip: Any
) -> None:
    """They would share their probability, so the answer names the two; for a file as well."""
    body: dict[str, Any] = {"labels": labels, "templates": templates}
    problem = assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")
    assert repr(" ".join(labels[-1].split()))[:20] in json.dumps(problem)
    clip = make_clip(seconds=1.0)
    form = {"labels": json.dumps(labels), "templates": json.dumps(templates)}
    answer = library.api.post(
        "/v1/classify", files={"file": ("clip.mp4", clip.read_bytes())}, data=form
    )
    assert_problem(answer, 422, "invalid_request")


def test_a_label_set_names_the_labels_that_were_cut(library: Stack) -> None:
    """When it is put; when it is looked up no model reads it."""
    address = "/v1/label-sets/long"
    put = library.api.put(address, json={"labels": [LONG, SHORT]}).json()
    assert put["truncated_texts"] == [LONG.strip()]
    assert library.api.get(address).json() == {**put, "truncated_texts": None}
    assert (
        library.api.put(address, json={"labels": [SHORT, "blue"]}).json()["truncated_texts"] == []
    )


@pytest.mark.parametrize("labels", [[f"{LONG} up", f"{LONG} down"], ["Red", "red"]])
def test_a_label_set_is_refused_where_two_labels_are_one(library: Stack, labels: list[str]) -> None:
    """When it is made, and when it takes the place of another, which stays as it was."""
    put = library.api.put("/v1/label-sets/alike", json={"labels": labels})
    assert_problem(put, 422, "invalid_request")
    assert library.api.put("/v1/label-sets/alike", json={"labels": ["a", "b"]}).status_code == 201
    assert_problem(
        library.api.put("/v1/label-sets/alike", json={"labels": labels}), 422, "invalid_request"
    )
    assert library.api.get("/v1/label-sets/alike").json()["labels"] == ["a", "b"]
    library.api.delete("/v1/label-sets/alike")


def test_a_stored_label_set_is_checked_when_it_is_used(library: Stack) -> None:
    """With another model, or with the templates of a request, its labels may be one."""
    put = library.api.put("/v1/label-sets/alike", json={"labels": ["up", "down"]})
    assert put.status_code == 201
    body = {"label_set": "alike", "templates": [LONG + "{}"]}
    assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")
    library.api.delete("/v1/label-sets/alike")


def test_labels_that_differ_before_the_cut_are_told_apart(library: Stack) -> None:
    """A long label is scored by its beginning."""
    answer = library.api.post(CLASSIFY, json={"labels": [f"up {LONG}", f"down {LONG}"]})
    assert answer.status_code == 200
    assert answer.json()["truncated"] is True
