"""`/v1/label-sets`: labels kept under a name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.stack import Stack, assert_problem

SETS = "/v1/label-sets"


def test_a_label_set_is_put_read_listed_and_deleted(stack: Stack):
    """201 when it is new, 200 when it replaces; the same request twice has the same result."""
    body = {"labels": ["judo", "sumo"], "templates": ["a video of {}"]}
    created = stack.api.put(f"{SETS}/sports", json=body)
    assert created.status_code == 201
    assert created.json().items() >= {"name": "sports", **body}.items()
    again = stack.api.put(f"{SETS}/sports", json=body)
    assert (again.status_code, again.json()) == (200, created.json())
    replaced = stack.api.put(f"{SETS}/sports", json={"labels": ["golf", "polo", "judo"]})
    assert replaced.json()["templates"] == []
    looked_up = {**replaced.json(), "truncated_texts": None}  # no model reads it then
    assert stack.api.get(f"{SETS}/sports").json() == looked_up
    (listed,) = stack.api.get(SETS).json()["items"]
    assert listed.items() >= {"name": "sports", "size": 3, "templates": []}.items()
    assert "labels" not in listed
    assert stack.api.delete(f"{SETS}/sports").status_code == 204
    for method in ("GET", "DELETE"):
        missing = stack.api.request(method, f"{SETS}/sports")
        assert_problem(missing, 404, "label_set_not_found")


def test_the_list_comes_in_pages(stack: Stack):
    """By name, with a cursor."""
    for name in "cab":
        stack.api.put(f"{SETS}/{name}", json={"labels": ["x", "y"]})
    first = stack.api.get(SETS, params={"limit": 2}).json()
    rest = stack.api.get(SETS, params={"cursor": first["next_cursor"]}).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None


def test_ten_thousand_long_labels_fit(stack: Stack):
    """The most labels of the most characters are one request, and are read back whole."""
    labels = [f"{number:05}{'x' * 995}" for number in range(10_000)]
    assert stack.api.put(f"{SETS}/large", json={"labels": labels}).status_code == 201
    assert stack.api.get(f"{SETS}/large").json()["labels"] == labels


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"labels": ["one"]}, ["body", "labels"]),
        ({"labels": ["same", "same"]}, ["body", "labels"]),
        ({"labels": ["Red circle", "red circle"]}, ["body", "labels"]),
        ({"labels": ["red circle", "red \t circle"]}, ["body", "labels"]),
        ({"labels": ["a", ""]}, ["body", "labels", 1]),
        ({"labels": ["a", "x" * 1001]}, ["body", "labels", 1]),
        ({"labels": [str(n) for n in range(10_001)]}, ["body", "labels"]),
        ({"labels": ["a", "b"], "templates": ["{}", "no place"]}, ["body", "templates", 1]),
        ({"labels": ["a", "b"], "templates": ["{} and {}"]}, ["body", "templates", 0]),
        ({"labels": ["a", "b"], "template": ["{}"]}, ["body", "template"]),
        ({}, ["body", "labels"]),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_malformed_label_set_is_refused(stack: Stack, body: dict[str, Any], place: list[Any]):
    """The refusal says where."""
    problem = assert_problem(stack.api.put(f"{SETS}/s", json=body), 422, "invalid_request")
    assert [error["loc"] for error in problem["errors"]] == [place]
    assert stack.api.get(SETS).json()["items"] == []


def test_a_name_is_short_and_plain(stack: Stack):
    """As a collection's."""
    for name in ("Sports", "a b", "a" * 64, "-a"):
        answer = stack.api.put(f"{SETS}/{name}", json={"labels": ["a", "b"]})
        assert_problem(answer, 422, "invalid_request")
