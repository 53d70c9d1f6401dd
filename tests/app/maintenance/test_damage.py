"""Damage that a search meets: left out, counted, and made again; the rest is found as ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import MakeClip
from tests.app.maintenance.disk import change_rows, flip_tensor, segments_of, work
from tests.app.stack import CLASSIFY, SEARCH, VIDEOS, Stack, assert_problem, open_stack
from tests.app.stored_files import content_file
from xclip.encoder import Encoder


def ask(stack: Stack, **fields: Any) -> dict[str, Any]:
    answer = stack.api.post(SEARCH, json={"text": "a red square moves", "top_k": 100, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(answer: dict[str, Any]) -> dict[str, float]:
    return {result["segment_id"]: result["score"] for result in answer["results"]}


def metric(stack: Stack) -> float:
    lines = stack.api.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("xclip_damaged_segments_total")]
    return float(line.split()[-1])


@pytest.fixture
def two(stack: Stack, make_clip: MakeClip) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two videos of five segments and of one."""
    return (
        stack.ingest(make_clip("a.mp4", seconds=3.0, seed=1)),
        stack.ingest(make_clip("b.mp4", seconds=1.0, seed=2)),
    )


def test_a_damaged_segment_is_left_out_and_made_again(stack: Stack, two: Any):
    """The others keep their scores; the answer says what is missing; a new ingest mends it."""
    whole = ask(stack)
    assert (whole["index"]["segments_damaged"], whole["index"]["exact"]) == (0, True)
    victims = segments_of(stack, two[0])[1:3]
    for victim in victims:
        flip_tensor(stack, victim)
    answer = ask(stack)
    expected = dict(found(whole))
    for victim in victims:
        del expected[victim.id]
    assert found(answer) == pytest.approx(expected, abs=1e-5)
    assert (answer["index"]["segments_damaged"], answer["index"]["exact"]) == (2, False)
    assert metric(stack) == 2
    ask(stack)  # a second search queues no second job
    waiting = stack.api.get("/v1/jobs", params={"status": "queued"}).json()["items"]
    assert [job["video_id"] for job in waiting] == [two[0]["id"]]
    work(stack)
    mended = ask(stack)
    assert (mended["index"]["segments_damaged"], mended["index"]["exact"]) == (0, True)
    assert sorted(found(mended).values()) == pytest.approx(sorted(found(whole).values()), abs=1e-5)


@pytest.mark.parametrize("file", [True, False], ids=["all in one file", "one record"])
def test_every_way_to_ask_goes_on(stack: Stack, two: Any, file: bool):
    """Sequences, heat maps and classification leave the same segments out."""
    segments = segments_of(stack, two[0])
    if file:
        for name in stack.tensors.files():
            (stack.settings.layout.tensors / name).unlink()
    else:
        flip_tensor(stack, segments[0])
    left = 0 if file else 5  # of six
    assert len(ask(stack)["results"]) == left
    body = {"then": ["red", "blue"], "within_s": 30}
    chains = stack.api.post(SEARCH, json=body).json()
    assert chains["index"]["segments_damaged"] == 6 - left
    labels = stack.api.post(CLASSIFY, json={"labels": ["red", "blue"]}).json()
    assert labels["segments_damaged"] == 6 - left
    labelled = [row["segment_id"] for video in labels["videos"] for row in video["segments"]]
    assert len(labelled) == left
    assert segments[0].id not in labelled
    heatmap = stack.api.get(f"{VIDEOS}/{two[0]['id']}/heatmap", params={"q": "red"})
    one = stack.api.post(CLASSIFY, json={"labels": ["red", "blue"], "video_ids": [two[0]["id"]]})
    if file:
        assert_problem(heatmap, 409, "video_not_ready")
        assert_problem(one, 409, "video_not_ready")
    else:
        assert heatmap.json()["pieces"][0]["start"] == segments[1].start_s
        assert len(one.json()["videos"][0]["segments"]) == 4


def test_damage_that_a_new_ingest_did_not_mend_is_not_tried_forever(stack: Stack, two: Any):
    """Its file is gone: one job fails, and searches go on without starting another."""
    flip_tensor(stack, segments_of(stack, two[0])[0])
    content_file(stack.media, two[0]["sha256"]).unlink()
    ask(stack)
    work(stack)
    ask(stack)
    assert stack.api.get("/v1/jobs", params={"status": "queued"}).json()["items"] == []
    video = stack.api.get(f"{VIDEOS}/{two[0]['id']}").json()
    assert video["status"] == "ready"  # its other segments are found as before
    assert len(ask(stack)["results"]) == 5


def test_a_vector_that_cannot_be_one_stops_no_start(
    tmp_path: Path, encoder: Encoder, make_clip: MakeClip
):
    """Too short, missing or not a number: left out, counted, made again."""
    with open_stack(tmp_path / "data", encoder) as stack:
        video = stack.ingest(make_clip(seconds=3.0))
        rows = [segment.row for segment in segments_of(stack, video)]
        cut = "UPDATE embeddings SET vector = ? WHERE row = ?"
        change_rows(stack, cut, b"\0" * 7, rows[0])
        change_rows(stack, cut, b"\xff" * 4 * encoder.dim, rows[1])
        change_rows(stack, "DELETE FROM embeddings WHERE row = ?", rows[2])
    with open_stack(tmp_path / "data", encoder) as stack:
        answer = ask(stack)
        assert len(answer["results"]) == 2
        assert (answer["index"]["segments_damaged"], answer["index"]["exact"]) == (3, False)
        like = segments_of(stack, video)[0].id
        asked = stack.api.post(SEARCH, json={"segment_id": like})
        assert_problem(asked, 409, "video_not_ready")
        work(stack)
        answer = ask(stack)
        assert len(answer["results"]) == 5
        assert (answer["index"]["segments_damaged"], answer["index"]["exact"]) == (0, True)
