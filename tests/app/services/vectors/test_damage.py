"""Damage: unreadable segments are counted, and their videos made again once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.records import SegmentOfVideo, Video
from app.services.vectors.damage import Damage, rebuild
from app.telemetry.metrics import Metrics
from tests.app.catalog.samples import HandClock, ingest, rows_of


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}", clock=HandClock()) as opened:
        opened.create_collection("default", model="m", window_s=5, stride_s=2.5)
        yield opened


@pytest.fixture
def videos(catalog: Catalog) -> list[Video]:
    """Two ready videos of three segments each."""
    return [ingest(catalog, number) for number in range(2)]


def found(catalog: Catalog, videos: list[Video]) -> list[SegmentOfVideo]:
    return catalog.segments_by_rows([row for video in videos for row in rows_of(catalog, video)])


def queued(catalog: Catalog) -> list[str]:
    """The videos that wait to be made again."""
    return sorted(job.video_id for job in catalog.list_jobs(status="queued").items)


def counted(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("xclip_damaged_segments_total") or 0.0


def test_damaged_segments_are_counted_and_their_videos_made_again(
    catalog: Catalog, videos: list[Video]
) -> None:
    """Two of one video are two segments and one job; the other video is left alone."""
    metrics = Metrics()
    damage = Damage(catalog, metrics.damaged_segments)
    flags = np.array([False, True, True, False, False, False])
    assert damage.count(found(catalog, videos), flags) == 2
    assert counted(metrics) == 2
    assert queued(catalog) == [videos[0].id]
    assert catalog.get_video("default", videos[0].id).status == "ready"


def test_a_segment_that_was_deleted_meanwhile_is_not_damaged(
    catalog: Catalog, videos: list[Video]
) -> None:
    """Its tensors cannot be read because they are gone: nothing is counted or made again."""
    metrics = Metrics()
    damage = Damage(catalog, metrics.damaged_segments)
    before = found(catalog, videos)
    catalog.delete_video("default", videos[0].id)
    assert damage.count(before, np.array([True, True, True, False, False, True])) == 1
    assert counted(metrics) == 1
    assert queued(catalog) == [videos[1].id]


def test_what_is_whole_costs_nothing(catalog: Catalog, videos: list[Video]) -> None:
    """No segment, and none that is damaged."""
    metrics = Metrics()
    damage = Damage(catalog, metrics.damaged_segments)
    assert damage.count([], np.zeros(0, np.bool_)) == 0
    assert damage.count(found(catalog, videos), np.zeros(6, np.bool_)) == 0
    assert (counted(metrics), queued(catalog)) == (0, [])


def test_damage_that_is_met_again_starts_no_second_job(
    catalog: Catalog, videos: list[Video], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged each time, with the job that mends it or that none was begun."""
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            rebuild(catalog, [videos[0].id, videos[0].id], "a vector")
    assert queued(catalog) == [videos[0].id]
    first, second = (record.getMessage() for record in caplog.records)
    (job,) = catalog.list_jobs(status="queued").items
    assert job.id in first
    assert "no new job" in second
    assert videos[0].id in first
    assert videos[0].id in second


def test_segments_and_flags_belong_together(catalog: Catalog, videos: list[Video]) -> None:
    """Flags of another number of segments would blame the wrong ones."""
    damage = Damage(catalog, Metrics().damaged_segments)
    with pytest.raises(ValueError, match="shorter"):
        damage.count(found(catalog, videos), np.ones(5, np.bool_))
    assert queued(catalog) == []
