"""The main job over HTTP: videos in, words asked, moments back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.service import running, upload, wait_for_job
from xclip.motion.clips import write_clip
from xclip.motion.world import HELD_OUT, MOTIONS, Subject, sample_scene

VIDEOS = "/v1/collections/default/videos"
EVENTS = (
    Subject("cyan", "ring", "left"),
    Subject("green", "circle", "up"),
    Subject("white", "square", "grow"),
)


@dataclass(frozen=True)
class Archive:
    client: httpx.Client
    files: dict[str, Path]
    videos: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Six single clips of held-out subjects and a long one of three events, on motion-tiny."""
    folder = tmp_path_factory.mktemp("archive")
    random = np.random.default_rng(3)
    scenes = {s.caption: [(sample_scene(s, random), 4.0)] for s in HELD_OUT[::7]}
    scenes["long"] = [(sample_scene(event, random), 5.0) for event in EVENTS]
    files = {}
    for number, (caption, events) in enumerate(scenes.items()):
        files[caption] = folder / f"clip {number}.mp4"
        write_clip(files[caption], events, 160, 120, 24, random)
    with running(folder / "data") as service, service.client() as client:
        videos = {}
        for caption, file in files.items():
            answer = upload(client, file, metadata=json.dumps({"kind": caption.split()[-1]}))
            assert answer.status_code == httpx.codes.ACCEPTED, answer.text
            assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
            job = wait_for_job(client, answer.json()["job"]["id"])
            assert job["status"] == "succeeded", job
            videos[caption] = client.get(f"{VIDEOS}/{job['video_id']}").json()
        yield Archive(client, files, videos)


def search(archive: Archive, **body: Any) -> dict[str, Any]:
    answer = archive.client.post("/v1/collections/default/search", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    result: dict[str, Any] = answer.json()
    return result


def test_words_find_the_moment_inside_a_long_video(archive: Archive) -> None:
    """Each event of the long video is found at its own five seconds."""
    for number, event in enumerate(EVENTS):
        best = search(archive, text=event.caption, top_k=1)["results"][0]
        assert best["video_id"] == archive.videos["long"]["id"]
        assert (best["start"], best["end"]) == (5.0 * number, 5.0 * number + 5.0)
        assert best["clip_url"].endswith(f"#t={best['start']:g},{best['end']:g}")


def test_combinations_never_seen_in_training_are_found(archive: Archive) -> None:
    """Most held-out captions rank their own clip first, among all of them."""
    captions = [caption for caption in archive.files if caption != "long"]
    first = [search(archive, text=caption, top_k=1)["results"][0] for caption in captions]
    right = [
        hit["video_id"] == archive.videos[caption]["id"]
        for hit, caption in zip(first, captions, strict=True)
    ]
    assert sum(right) >= len(captions) - 1


def test_an_answer_says_what_was_done(archive: Archive) -> None:
    """Scores fall, every field of a result is there, and the index tells what it searched."""
    answer = search(archive, text="a red circle moving left", top_k=200)
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["index"]["segments_total"] == len(scores) == len(archive.files) - 1 + 5
    assert answer["index"]["exact"] is True
    assert answer["index"]["model"] == "motion-tiny"
    assert {result["score_kind"] for result in answer["results"]} == {"xclip_logit"}
    assert set(answer["timings_ms"]) == {"encode", "filter", "recall", "score", "total"}


def test_a_filter_restricts_before_the_ranking(archive: Archive) -> None:
    """Only videos with the metadata are ranked, however badly they match the words."""
    other = archive.videos["long"]
    answer = search(archive, text=HELD_OUT[0].caption, top_k=5, filter={"video_id": other["id"]})
    assert {result["video_id"] for result in answer["results"]} == {other["id"]}
    assert answer["index"]["segments_eligible"] == len(answer["results"]) == 5
    assert search(archive, text="x", filter={"kind": "nothing"})["results"] == []


def test_what_is_not_there_is_not_found(archive: Archive) -> None:
    """Asked to be sure, the service finds each event of the long video, and nothing else."""
    for event in EVENTS:
        found = search(archive, text=event.caption, min_confidence=0.5)
        assert found["results"][0]["video_id"] == archive.videos["long"]["id"]
        assert found["abstained"] is False
    for absent in ("a purple star moving down", "an orange ring shrinking", "a dog running"):
        assert absent not in archive.files
        found = search(archive, text=absent, min_confidence=0.5)
        assert (found["results"], found["abstained"]) == ([], True)
        assert search(archive, text=absent)["results"][0]["confidence"] < 0.5


def test_events_are_found_in_their_order(archive: Archive) -> None:
    """The first followed by the second, over its own ten seconds; the reverse is not there."""
    first, second = EVENTS[0].caption, EVENTS[1].caption
    found = search(archive, then=[first, second], within_s=10, min_confidence=0.25)
    best = found["results"][0]
    assert best["video_id"] == archive.videos["long"]["id"]
    assert (best["start"], best["end"]) == (0.0, 10.0)
    assert [step["text"] for step in best["steps"]] == [first, second]
    assert search(archive, then=[second, first], within_s=10, min_confidence=0.25)["abstained"]


def test_an_upload_is_waited_for(archive: Archive, tmp_path: Path) -> None:
    """A search that names the job of an upload sees the video, without polling."""
    random = np.random.default_rng(11)
    file = tmp_path / "new.mp4"
    write_clip(file, [(sample_scene(EVENTS[0], random), 3.0)], 96, 96, 12, random)
    job = upload(archive.client, file).json()["job"]
    found = search(
        archive, text=EVENTS[0].caption, top_k=20, after_job=job["id"], deadline_ms=60_000
    )
    assert job["video_id"] in {result["video_id"] for result in found["results"]}
    assert archive.client.delete(f"{VIDEOS}/{job['video_id']}").status_code == 204


def test_labels_get_zero_shot_scores(archive: Archive) -> None:
    """The motion of most held-out clips is the most probable of all eight motions."""
    right = 0
    subjects = {s.caption: s for s in HELD_OUT[::7]}
    for caption, subject in subjects.items():
        labels = [f"a {subject.colour} {subject.shape} {says[0]}" for says in MOTIONS.values()]
        answer = archive.client.post(
            "/v1/collections/default/classify",
            json={"labels": labels, "video_ids": [archive.videos[caption]["id"]]},
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        scores = answer.json()["videos"][0]["scores"]
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        best = max(scores, key=scores.__getitem__)
        right += best == f"a {subject.colour} {subject.shape} {MOTIONS[subject.motion][0]}"
    assert right >= len(subjects) - 1


def test_an_upload_can_be_classified_without_being_kept(archive: Archive) -> None:
    """The answer is that of the stored clip, and the library does not grow."""
    caption = HELD_OUT[0].caption
    labels = [caption, "a white star growing"]
    with archive.files[caption].open("rb") as body:
        answer = archive.client.post(
            "/v1/classify", files={"file": ("x.mp4", body)}, data={"labels": json.dumps(labels)}
        )
    assert answer.status_code == httpx.codes.OK, answer.text
    stored = archive.client.post(
        "/v1/collections/default/classify",
        json={"labels": labels, "video_ids": [archive.videos[caption]["id"]]},
    ).json()["videos"][0]["scores"]
    assert answer.json()["scores"] == pytest.approx(stored, abs=1e-3)
    assert len(archive.client.get(VIDEOS).json()["items"]) == len(archive.files)


def test_the_same_bytes_are_the_same_video(archive: Archive) -> None:
    """A second upload answers 200 with the video that is there."""
    answer = upload(archive.client, archive.files["long"])
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["video"]["id"] == archive.videos["long"]["id"]


def test_a_video_plays_back_by_ranges(archive: Archive) -> None:
    """The whole file, its middle, its tail, and a clear refusal of what it does not have."""
    url = archive.videos["long"]["content_url"]
    whole = archive.client.get(url)
    content = archive.files["long"].read_bytes()
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["x-content-type-options"] == "nosniff"
    middle = archive.client.get(url, headers={"range": "bytes=100-199"})
    assert (middle.status_code, middle.content) == (206, content[100:200])
    tail = archive.client.get(url, headers={"range": "bytes=-10"})
    assert (tail.status_code, tail.content) == (206, content[-10:])
    beyond = archive.client.get(url, headers={"range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416


def test_a_result_has_a_picture(archive: Archive) -> None:
    """The thumbnail of a hit is a small webp of the video's shape."""
    hit = search(archive, text=EVENTS[0].caption, top_k=1)["results"][0]
    answer = archive.client.get(hit["thumbnail_url"])
    assert answer.headers["content-type"] == "image/webp"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.width / picture.height == pytest.approx(160 / 120, rel=0.02)


def test_a_deleted_video_is_gone_from_everything(archive: Archive, tmp_path: Path) -> None:
    """Deleted, it is found by no search and no path, and its bytes can come again."""
    random = np.random.default_rng(9)
    file = tmp_path / "brief.mp4"
    write_clip(file, [(sample_scene(EVENTS[0], random), 2.0)], 96, 96, 12, random)
    job = wait_for_job(archive.client, upload(archive.client, file).json()["job"]["id"])
    video = job["video_id"]
    total = search(archive, text="x")["index"]["segments_total"]
    assert archive.client.delete(f"{VIDEOS}/{video}").status_code == 204
    after = search(archive, text=EVENTS[0].caption, top_k=200)
    assert after["index"]["segments_total"] == total - 1
    assert video not in {result["video_id"] for result in after["results"]}
    gone = archive.client.get(f"{VIDEOS}/{video}")
    assert (gone.status_code, gone.json()["code"]) == (404, "video_not_found")
    assert gone.headers["content-type"] == "application/problem+json"
    again = upload(archive.client, file)
    assert again.status_code == httpx.codes.ACCEPTED
    new = wait_for_job(archive.client, again.json()["job"]["id"])["video_id"]
    assert archive.client.delete(f"{VIDEOS}/{new}").status_code == 204


def test_page_metrics_and_documentation_are_served(archive: Archive) -> None:
    """What a person and a machine look at first answers."""
    for path, kind in (
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/openapi.json", "application/json"),
        ("/metrics", "text/plain"),
        ("/livez", "application/json"),
        ("/v1/models", "application/json"),
    ):
        answer = archive.client.get(path)
        assert answer.status_code == httpx.codes.OK, path
        assert answer.headers["content-type"].startswith(kind), path
