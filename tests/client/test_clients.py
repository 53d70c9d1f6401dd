"""The blocking and the asynchronous client: the same operations, answers and pages."""

from __future__ import annotations

import inspect
import pydoc
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from tests.app.stack import SEARCH, Stack
from tests.client.conftest import clients
from xclip_search import ApiError, AsyncClient, Client, StillWaiting, VideoVectors, schemas
from xclip_search.searches import SearchQuery
from xclip_search.steps import parse

MakeClip = Callable[..., Path]
LABELS = ["a red square", "a blue circle"]


def comparable(answer: Any) -> Any:
    """An answer without how long it took, and until when it can be gone on with."""
    if isinstance(answer, schemas.SearchAnswer):
        return answer.model_dump(exclude={"timings_ms", "next_cursor"})
    if isinstance(answer, VideoVectors):
        return [(each.segment_id, each.embedding.tolist()) for each in answer.items]
    return [comparable(each) for each in answer] if isinstance(answer, list) else answer


def everything(library: Stack, clip: Path) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """What is asked of both clients: every operation that leaves the library as it is."""
    video = library.catalog.list_videos("default").items[0]
    segment = library.catalog.list_segments("default", video.id)[0].id
    return {
        "models": ((), {}),
        "removals": ((), {}),
        "collections": ((), {}),
        "collection": (("default",), {}),
        "put_collection": (("default",), {"window_s": 1.0}),
        "videos": ((), {"status": "ready"}),
        "video": ((video.id,), {}),
        "segments": ((video.id,), {}),
        "embeddings": ((video.id,), {}),
        "picture": ((f"/v1/collections/default/videos/{video.id}/thumbnail",), {}),
        "jobs": ((), {"status": "succeeded"}),
        "job": ((video.job_id,), {}),
        "wait": ((video.job_id,), {"timeout_s": 1}),
        "search": (("a red square",), {"top_k": 3, "merge": True, "group_by": None}),
        "search_all": ((), {"segment_id": segment, "top_k": 2}),
        "search_batch": ((["one", {"then": ("one", "two"), "within_s": 2.0}],), {}),
        "search_clip": ((clip,), {"top_k": 2, "filter": {"odd": True}}),
        "heatmap": ((video.id, "a red square"), {}),
        "classify": ((LABELS,), {"video_ids": (video.id,), "segments": False}),
        "classify_file": ((clip, LABELS), {"top": 1, "window_s": 1.0}),
        "label_sets": ((), {}),
    }


CHANGING = {
    *("upload", "upload_url", "describe_collection", "delete_collection", "describe_video"),
    *("delete_video", "cancel", "retry", "label_set", "put_label_set", "delete_label_set"),
}
OF_ITSELF = {"run", "close", "is_ready"}


def test_both_clients_answer_alike(library: Stack, make_clip: MakeClip) -> None:
    """Operation by operation; none of either is left out."""
    blocking, awaited = clients(library)
    asked = everything(library, make_clip(seconds=1, seed=1))
    operations = {name for name, _ in inspect.getmembers(Client, inspect.isfunction)}
    operations = {name for name in operations if not name.startswith("_")}
    assert operations == {n for n in dir(AsyncClient) if n in operations}
    assert operations - CHANGING - OF_ITSELF == set(asked)

    async def ask(name: str, args: tuple[Any, ...], choices: dict[str, Any]) -> Any:
        answer = getattr(awaited, name)(*args, **choices)
        return [each async for each in answer] if hasattr(answer, "__aiter__") else await answer

    async def ask_all() -> dict[str, Any]:
        return {name: await ask(name, *choices) for name, choices in asked.items()}

    theirs = anyio.run(ask_all)
    for name, (args, choices) in asked.items():
        answer = getattr(blocking, name)(*args, **choices)
        ours = list(answer) if inspect.isgenerator(answer) else answer
        assert comparable(ours) == comparable(theirs[name]), name
        assert ours or name == "label_sets", name


def test_an_async_client_changes_things_too(stack: Stack, make_clip: MakeClip) -> None:
    """From an upload in pieces to the deletion, with refusals as the same errors."""
    _, client = clients(stack)
    clip = make_clip(seconds=1)

    async def live() -> None:
        async with client:
            assert await client.is_ready()
            uploaded = await client.upload(clip)
            with pytest.raises(StillWaiting):
                await client.wait(uploaded.job.id, timeout_s=0)
            assert (await client.cancel(uploaded.job.id)).status == "canceled"
            assert (await client.retry(uploaded.job.id)).status == "queued"
            described = await client.describe_video(uploaded.video.id, {"a": 1})
            assert described.metadata == {"a": 1}
            assert await client.delete_video(uploaded.video.id) == 0
            with pytest.raises(ApiError) as gone:
                await client.video(uploaded.video.id)
            assert gone.value.code == "video_not_found"

    anyio.run(live)


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_an_upload_in_pieces_from_either(
    kind: str, stack: Stack, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that arrive are the file's."""
    monkeypatch.setattr("xclip_search.uploads.CHUNK_BYTES", 512)
    blocking, awaited = clients(stack)
    clip = make_clip(seconds=2, size=128)

    async def upload() -> Any:
        return await awaited.upload(clip)

    uploaded = blocking.upload(clip) if kind == "blocking" else anyio.run(upload)
    content = stack.api.get(uploaded.video.content_url).content
    assert content == clip.read_bytes()


def test_pages_are_walked_to_their_end(library: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and searches alike: every item once, in the order of the service."""
    monkeypatch.setattr("xclip_search.library.PAGE", 3)
    client, _ = clients(library)
    videos = [video.id for video in client.videos()]
    assert videos == [video.id for video in library.catalog.list_videos("default").items]
    assert len(videos) == 4
    at_once = client.search("a red square", top_k=1000).results
    walked = list(client.search_all("a red square", top_k=4))
    assert [moment.segment_id for moment in walked] == [m.segment_id for m in at_once]
    assert len(walked) > 8


def test_vectors_are_those_that_searches_rank_by(library: Stack) -> None:
    """The cosine of two exported vectors is the score of a search by example."""
    client, _ = clients(library)
    vectors = {
        item.segment_id: item.embedding
        for video in client.videos()
        for item in client.embeddings(video.id).items
    }
    example, *_ = vectors
    for found in client.search(segment_id=example, top_k=3).results:
        first, second = vectors[example], vectors[found.segment_id]
        assert isinstance(first, np.ndarray)
        assert isinstance(second, np.ndarray)
        assert (first.dtype, first.ndim, first.flags.writeable) == (np.float32, 1, True)
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert found.score == pytest.approx(float(cosine), abs=1e-3)


@pytest.mark.parametrize(
    ("operation", "body", "own"),
    [
        ("search", schemas.SearchRequest, {"collection"}),
        ("search_all", schemas.SearchRequest, {"collection"}),
        ("search_clip", schemas.SearchOptions, {"collection", "file", "filename"}),
        ("classify", schemas.ClassifyRequest, {"collection"}),
        ("classify_file", schemas.ClipRequest, {"file", "filename"}),
    ],
)
def test_every_option_of_the_service_is_the_clients(operation: str, body: Any, own: Any) -> None:
    """And no other: a field that is added to a request has to be added here."""
    taken = set(inspect.signature(getattr(Client, operation)).parameters)
    assert taken - {"self"} - own == set(body.model_fields)
    assert taken >= own


def test_a_search_of_a_batch_takes_what_a_search_takes() -> None:
    """The dicts of `search_batch` have the parameters of `search`, but for the collection."""
    taken = set(inspect.signature(Client.search).parameters) - {"self", "collection"}
    assert SearchQuery.__optional_keys__ == taken


OPERATIONS = [name for name in vars(Client) if not name.startswith("_") and name not in OF_ITSELF]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_help_shows_what_an_operation_takes_and_returns(kind: Any) -> None:
    """Under its own name, with each parameter and no word of how the client is built."""
    for name in OPERATIONS:
        shown = pydoc.plain(pydoc.render_doc(getattr(kind, name)))
        heading, *documentation = shown.splitlines()[2:]
        assert re.match(rf"(async )?{name}\(self, /", heading)
        assert " -> " in heading
        assert documentation[0].strip(), name
        for word in ("Flow", "Unpack", "kwargs", "_page", "Generator", "lambda"):
            assert word not in shown, name


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_collection_is_always_named(kind: Any) -> None:
    """Whatever is given without a name is what the operation is about, never the collection."""
    for name in OPERATIONS:
        method = getattr(kind, name)
        collection = inspect.signature(method).parameters.get("collection")
        assert collection is None or collection.kind is inspect.Parameter.KEYWORD_ONLY, name
        assert "Flow" not in str(typing.get_type_hints(method)), name


def test_a_text_alone_is_what_is_searched(library: Stack) -> None:
    """`search("…")` is a search of the default collection by that text."""
    client, _ = clients(library)
    assert client.search("a red square").query == "a red square"
    assert [answer.query for answer in client.search_batch(["one", {"text": "two"}])] == [
        "one",
        "two",
    ]
    with pytest.raises(TypeError):
        client.search("a red square", "default")
    with pytest.raises(TypeError, match="list of searches"):
        client.search_batch("a red square")


def test_a_text_in_place_of_a_list_is_refused(library: Stack) -> None:
    """Its letters are no labels."""
    client, _ = clients(library)
    for ask in (
        lambda: client.classify("squares"),
        lambda: client.put_label_set("squares", "squares"),
        lambda: client.search(then="squares"),
    ):
        with pytest.raises(ApiError) as refused:
            ask()
        assert refused.value.status == 422


def test_a_score_kind_of_a_newer_encoder_is_read(library: Stack) -> None:
    """The client returns a kind of score that it does not know as the string that it is."""
    answer = library.api.post(SEARCH, json={"text": "a red square"})
    newer = httpx.Response(200, content=answer.content.replace(b'"xclip_logit"', b'"loudness"'))
    read = parse(newer, schemas.SearchAnswer)
    assert {read.score_kind, *(one.score_kind for one in read.results)} == {"loudness"}
