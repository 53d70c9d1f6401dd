"""What is measured when it is asked for: the numbers are those of the catalog, index and worker."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import write_clip
from tests.app.stack import SEARCH, Stack


def figures(stack: Stack) -> dict[str, float]:
    """Every sample at /metrics, by its name and the values of its labels."""
    text = stack.api.get("/metrics").text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_follow_a_video_from_the_queue_to_the_index(stack: Stack, tmp_path: Path):
    """Queued, then ingested, then searchable, then deleted."""
    clip = write_clip(tmp_path / "a.mp4", seconds=2.0)
    video = stack.upload(clip)["video"]
    queued = figures(stack)
    assert (queued["xclip_jobs queued"], queued["xclip_jobs running"]) == (1, 0)
    while stack.puller.run_one():
        pass
    stack.api.post(SEARCH, json={"text": "red"})
    done = figures(stack)
    assert done["xclip_jobs queued"] == 0
    assert done["xclip_index_segments default"] == 3
    assert done["xclip_ingest_seconds_count succeeded"] == 1
    assert done["xclip_ingested_video_seconds_total"] == 2.0
    assert done["xclip_tensor_bytes"] > 0
    assert 0 < done["xclip_disk_free_bytes"] <= done["xclip_disk_bytes"]
    stack.api.delete(f"/v1/collections/default/videos/{video['id']}")
    stack.api.post(SEARCH, json={"text": "red"})
    assert figures(stack)["xclip_index_segments default"] == 0


def test_stages_of_an_ingest_add_up_to_the_whole(stack: Stack, tmp_path: Path):
    """No second of a job is in two stages or in none."""
    stack.ingest(write_clip(tmp_path / "a.mp4", seconds=2.0))
    found = figures(stack)
    stages = sum(
        found[f"xclip_ingest_stage_seconds_sum {stage}"] for stage in ("probe", "encode", "commit")
    )
    whole = found["xclip_ingest_seconds_sum succeeded"]
    assert 0.8 * whole <= stages <= whole


def test_a_failed_ingest_is_counted_as_one(stack: Stack, tmp_path: Path):
    """An alert on failures must see them."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    stack.ingest(broken)
    found = figures(stack)
    assert found["xclip_ingest_seconds_count failed"] == 1
    assert found["xclip_ingested_video_seconds_total"] == 0


def test_without_a_worker_the_rest_is_still_there(stack: Stack):
    """The figure that says so must not be lost with it."""
    assert figures(stack)["xclip_worker_up"] == 1
    stack.worker.reachable = False
    found = figures(stack)
    assert found["xclip_worker_up"] == 0
    assert "xclip_jobs queued" in found
    assert "xclip_model_calls_waiting" not in found


def test_a_hole_in_a_tensor_file_takes_no_space(stack: Stack):
    """What removals have freed counts as free, although the file keeps its length."""
    folder = stack.settings.layout.tensors
    with (folder / "a.tensors").open("wb") as file:
        file.truncate(50_000_000)
    assert figures(stack)["xclip_tensor_bytes"] < 1_000_000
    (folder / "b.tensors").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= figures(stack)["xclip_tensor_bytes"] < 3_000_000
