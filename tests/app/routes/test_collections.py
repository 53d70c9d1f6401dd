"""Collections: made once, found again, changed only in what may change."""

from __future__ import annotations

import pytest

from tests.app.conftest import MakeClip
from tests.app.stack import Stack, assert_problem
from tests.app.stored_files import content_file, thumbnail_file


def test_the_default_collection_is_there_from_the_start(stack: Stack):
    """A fresh service has `default`, with the segmentation of the settings."""
    body = stack.api.get("/v1/collections/default").json()
    assert body["segmentation"] == {"window_s": 1.0, "stride_s": 0.5}
    assert (body["videos"], body["segments"], body["metadata"]) == (0, 0, {})
    assert body["model"] == stack.settings.model
    assert body["created_at"].endswith("Z")


def test_put_creates_then_finds(stack: Stack):
    """201 for the first, 200 for the same again, whether or not the properties are repeated."""
    asked = {"window_s": 2, "stride_s": 0.5, "metadata": {"a": [1, None]}}
    first = stack.api.put("/v1/collections/news", json=asked)
    again = stack.api.put("/v1/collections/news", json=asked)
    bare = stack.api.put("/v1/collections/news")
    assert (first.status_code, again.status_code, bare.status_code) == (201, 200, 200)
    assert first.json() == again.json() == bare.json()
    assert first.json()["segmentation"] == {"window_s": 2.0, "stride_s": 0.5}
    assert first.json()["metadata"] == {"a": [1, None]}


@pytest.mark.parametrize("other", [{"window_s": 3}, {"stride_s": 0.25}, {"metadata": {"b": 1}}])
def test_put_of_another_shape_is_a_conflict(stack: Stack, other: dict[str, object]):
    """What exists is not silently something else."""
    stack.api.put("/v1/collections/news", json={"window_s": 2, "stride_s": 0.5})
    answer = stack.api.put("/v1/collections/news", json=other)
    assert_problem(answer, 409, "collection_exists_differs")


def test_a_short_window_brings_its_stride_along(stack: Stack):
    """A window below the default stride alone is enough to ask for."""
    body = stack.api.put("/v1/collections/short", json={"window_s": 0.2}).json()
    assert body["segmentation"] == {"window_s": 0.2, "stride_s": 0.2}


@pytest.mark.parametrize(
    "body",
    [
        {"window_s": 0},
        {"window_s": -1},
        {"window_s": "5"},
        {"window_s": True},
        {"window_s": 1, "stride_s": 2},
        {"windows": 1},
        {"metadata": {"deep": {"a": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}}},
        {"metadata": {"long": "x" * 20_000}},
        {"metadata": {"nul": "\0"}},
        {"metadata": {"big": 2**63}},
        {"metadata": []},
    ],
)
def test_malformed_properties_are_refused(library: Stack, body: dict[str, object]):
    """Every limit of a collection's properties is a 422, and nothing is created."""
    assert_problem(library.api.put("/v1/collections/bad", json=body), 422, "invalid_request")
    assert_problem(library.api.get("/v1/collections/bad"), 404, "collection_not_found")


@pytest.mark.parametrize("name", ["Upper", "-dash", "a b", "x" * 64, "%00", "ü", "a%2Fb"])
def test_names_that_are_none_are_refused(library: Stack, name: str):
    """A name is lower-case letters, digits, dashes; others never reach the catalog."""
    assert library.api.put(f"/v1/collections/{name}").status_code in (404, 422)
    assert len(library.api.get("/v1/collections").json()["items"]) == 1


def test_patch_replaces_metadata_and_nothing_else(stack: Stack):
    """Metadata is replaced whole; other fields are refused."""
    url = "/v1/collections/default"
    assert stack.api.patch(url, json={"metadata": {"b": 2}}).json()["metadata"] == {"b": 2}
    assert_problem(stack.api.patch(url, json={"window_s": 9}), 422, "invalid_request")
    assert stack.api.get(url).json()["metadata"] == {"b": 2}


def test_collections_are_listed_page_by_page(stack: Stack):
    """Pages follow each other by cursor, without gap or repetition."""
    for name in "abc":
        stack.api.put(f"/v1/collections/{name}")
    names, cursor = [], None
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = stack.api.get("/v1/collections", params=params).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["a", "b", "c", "default"]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 201}, {"cursor": "ü"}])
def test_pages_are_bounded(library: Stack, params: dict[str, object]):
    """Page sizes and cursors outside their range are refused."""
    answer = library.api.get("/v1/collections", params=params)
    assert_problem(answer, 422, "invalid_request")


def test_delete_takes_the_collection_its_videos_and_their_files(stack: Stack, make_clip: MakeClip):
    """After a delete nothing of it is found, on disk neither; a new one of that name is empty."""
    url = "/v1/collections/gone"
    stack.api.put(url)
    video = stack.ingest(make_clip(seconds=1), f"{url}/videos")
    content = content_file(stack.media, video["sha256"])
    picture = thumbnail_file(stack.media, video["id"], 0)
    found = stack.api.post(f"{url}/search", json={"text": "red"}).json()
    assert (content.exists(), picture.exists(), len(found["results"])) == (True, True, 1)
    assert stack.api.delete(url).status_code == 204
    assert not content.exists()
    assert not picture.exists()
    assert_problem(stack.api.get(url), 404, "collection_not_found")
    assert_problem(
        stack.api.post(f"{url}/search", json={"text": "red"}), 404, "collection_not_found"
    )
    stack.api.put(url)
    assert stack.api.post(f"{url}/search", json={"text": "red"}).json()["results"] == []


def test_the_default_collection_stays(stack: Stack):
    """Clients may rely on `default`."""
    assert_problem(stack.api.delete("/v1/collections/default"), 409, "collection_protected")
    assert stack.api.get("/v1/collections/default").status_code == 200
