"""Classification before the model: which segments are chosen, and how much one request may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.errors import LabelSetNotFound, SegmentNotFound, VideoNotFound
from app.catalog.records import Filter, Video
from app.errors import InvalidRequest, NotCalibrated, VideoNotReady
from app.model_api.client import WorkerClient
from app.model_api.messages import Scores
from app.services.classify.classify import Classify, _check_size
from app.services.classify.probabilities import HighestScores, MeanScores, softmax
from app.services.classify.types import ClassifyOptions, Labelling, Part
from app.services.library.segmentation import SegmentationDefaults
from app.services.vectors.damage import Damage
from app.telemetry.metrics import Metrics
from tests.app.catalog.samples import HandClock, ingest, new_video, rows_of


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Four ready videos of 1 to 4 segments, a failed one, one that waits; `empty` is empty."""
    path: Path = tmp_path_factory.mktemp("parts") / "catalog.sqlite"
    clock = HandClock()
    with Catalog.open(f"sqlite:///{path}", clock=clock) as opened:
        for name in ("default", "empty"):
            opened.create_collection(name, model="m", window_s=5, stride_s=2.5)
        for number in range(4):
            clock.advance(1)
            ingest(opened, number, count=number + 1, metadata={"number": number})
        clock.advance(1)
        _, job, _ = opened.add_video_with_job("default", new_video("bad"))
        opened.cancel_job(job.id)
        clock.advance(1)
        opened.add_video_with_job("default", new_video("waits"))
        opened.put_label_set("colours", ["red", "blue"], ["a {} thing"])
        yield opened


@pytest.fixture(scope="module")
def classify(catalog: Catalog) -> Classify:
    """Its worker is never reached."""

    def away(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"the model was asked for {request.url.path}")

    worker = WorkerClient("http://worker", secret=b"", transport=httpx.MockTransport(away))
    damage = Damage(catalog, Metrics().damaged_segments)
    return Classify(
        catalog,
        worker,
        damage,
        segmentation=SegmentationDefaults(5, 2.5),
        decode_timeout_s=1,
    )


@pytest.fixture(scope="module")
def ready(catalog: Catalog) -> list[Video]:
    """The ready videos, the oldest first."""
    return list(catalog.list_videos("default", status="ready").items)[::-1]


def chosen(classify: Classify, part: Part) -> list[tuple[str, list[int]]]:
    """The rows by video, in the order in which they are answered."""
    return [(name, rows.tolist()) for name, rows in classify._rows("default", part).items()]


def whole(catalog: Catalog, videos: list[Video]) -> list[tuple[str, list[int]]]:
    return [(video.id, rows_of(catalog, video)) for video in videos]


def test_everything_is_the_newest_video_first(
    catalog: Catalog, classify: Classify, ready: list[Video]
) -> None:
    """Videos without segments are passed over."""
    assert chosen(classify, Part()) == whole(catalog, ready[::-1])


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [3, 2, 1, 0]),
        ({"number": {"gte": 2}}, [3, 2]),
        ({"number": [0, 3]}, [3, 0]),
        ({"number": "3"}, []),
        ({"not": {"number": 1}}, [3, 2, 0]),
    ],
    ids=str,
)
def test_a_filter_keeps_the_order_of_everything(
    catalog: Catalog,
    classify: Classify,
    ready: list[Video],
    wanted: Filter,
    numbers: list[int],
) -> None:
    """Whole videos here, as the filter is of metadata; a video without any of it is left out."""
    expected = whole(catalog, [ready[number] for number in numbers])
    assert chosen(classify, Part(filter=wanted)) == expected


@pytest.mark.parametrize("start", [0.0, 2.5, 5.0, 7.5, 10.0])
def test_a_filter_of_times_cuts_videos_short(
    catalog: Catalog, classify: Classify, ready: list[Video], start: float
) -> None:
    """Each video has its later segments only, and the shorter ones go altogether."""
    expected = [
        (
            video.id,
            [s.row for s in catalog.list_segments("default", video.id) if s.start_s >= start],
        )
        for video in ready[::-1]
    ]
    part = Part(filter={"start": {"gte": start}})
    assert chosen(classify, part) == [(name, rows) for name, rows in expected if rows]


@given(order=st.lists(st.integers(0, 3), max_size=6))
def test_videos_come_in_the_order_given_and_once(
    catalog: Catalog, classify: Classify, ready: list[Video], order: list[int]
) -> None:
    """A video that is named twice stands where it was named first."""
    named = [ready[number] for number in order]
    part = Part(video_ids=[video.id for video in named])
    assert chosen(classify, part) == whole(catalog, once(named))


def once(videos: list[Video]) -> list[Video]:
    return [video for at, video in enumerate(videos) if video not in videos[:at]]


@given(data=st.data())
def test_segments_are_grouped_by_video_in_order_of_time(
    catalog: Catalog, classify: Classify, ready: list[Video], data: st.DataObject
) -> None:
    """Videos stand in the order of their first segment; each segment is there once."""
    everything = [
        segment for video in ready for segment in catalog.list_segments("default", video.id)
    ]
    named = data.draw(st.lists(st.sampled_from(everything), max_size=8))
    expected: dict[str, set[int]] = {}
    for segment in named:
        expected.setdefault(segment.video_id, set()).add(segment.row)
    # Rows of a video are numbered in order of time.
    part = Part(segment_ids=[segment.id for segment in named])
    assert chosen(classify, part) == [(name, sorted(rows)) for name, rows in expected.items()]


def test_what_is_named_must_be_there(catalog: Catalog, classify: Classify) -> None:
    """A video that is not there, or has nothing to label; a segment that is not there."""
    waiting = [*catalog.list_videos("default", status="processing").items]
    failed = [*catalog.list_videos("default", status="failed").items]
    for video in (*waiting, *failed):
        with pytest.raises(VideoNotReady, match=f"{video.id} is {video.status}"):
            chosen(classify, Part(video_ids=[video.id]))
    with pytest.raises(VideoNotFound):
        chosen(classify, Part(video_ids=["vid_none"]))
    with pytest.raises(SegmentNotFound):
        chosen(classify, Part(segment_ids=["seg_none"]))


def labels_of(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("labels", "templates", "none_of_these", "fits"),
    [
        (1_000, 0, True, True),
        (1_001, 0, True, False),
        (500, 2, True, True),
        (501, 2, True, False),
        (1_001, 0, False, True),
        (100_000, 0, False, True),
        (100_001, 0, False, False),
        (50_000, 2, False, True),
        (50_001, 2, False, False),
    ],
)
def test_texts_are_bounded_before_anything_is_scored(
    classify: Classify, labels: int, templates: int, none_of_these: bool, fits: bool
) -> None:
    """Labels times templates: 100,000 of a request, 1,000 if they are weighed all at once."""
    options = ClassifyOptions(
        labels=labels_of(labels),
        templates=["{}"] * templates,
        none_of_these=none_of_these,
        segments=False,
    )
    if fits:
        found = classify.stored("empty", Part(), options)
        assert (len(found.labels), found.videos, found.damaged) == (labels, [], 0)
    else:
        with pytest.raises(InvalidRequest):
            classify.stored("empty", Part(), options)


@pytest.mark.parametrize(
    ("given_templates", "expected"),
    [(None, ["a {} thing"]), ([], []), (["{}"], ["{}"])],
)
def test_a_label_sets_templates_are_taken_unless_others_are_given(
    classify: Classify, given_templates: list[str] | None, expected: list[str]
) -> None:
    """An empty list of templates is given, and says that there are none."""
    options = ClassifyOptions(label_set="colours", templates=given_templates)
    labelling = classify._labelling(options, "calibration")
    assert list(labelling.labels) == ["red", "blue"]
    assert list(labelling.templates) == expected
    assert labelling.calibration == "calibration"
    with pytest.raises(LabelSetNotFound):
        classify._labelling(ClassifyOptions(label_set="sounds"), None)


ROW_CHARACTERS = 200 + 24  # with one empty label


@pytest.mark.parametrize(
    ("labels", "options", "videos", "segments", "fits"),
    [
        (1_000, ClassifyOptions(segments=False), 1_000, 10**9, True),
        (1_000, ClassifyOptions(segments=False), 1_001, 0, False),
        (1_000, ClassifyOptions(), 1, 999, True),
        (1_000, ClassifyOptions(), 1, 1_000, False),
        (1_000, ClassifyOptions(top=1), 1, 100_000, True),
        (1_000, ClassifyOptions(top=2_000), 1, 1_000, False),
        (1, ClassifyOptions(), 0, 0, True),
    ],
)
def test_an_answer_has_a_million_numbers_at_most(
    labels: int, options: ClassifyOptions, videos: int, segments: int, fits: bool
) -> None:
    """Rows of videos, and of segments if they are answered, times the labels of each."""
    texts = ["a"] * labels
    if fits:
        _check_size(texts, options, videos, segments)
    else:
        with pytest.raises(InvalidRequest, match="too much for one answer"):
            _check_size(texts, options, videos, segments)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("top", [None, 1])
def test_long_labels_are_counted_by_their_characters(more: int, top: int | None) -> None:
    """A thousand rows of the longest labels that may be in a row; of the top, the longest ones."""
    length = 100_000 - ROW_CHARACTERS + more
    texts = ["x" * length] if top is None else ["short", "x" * length]
    if more:
        with pytest.raises(InvalidRequest):
            _check_size(texts, ClassifyOptions(segments=False, top=top), 1_000, 0)
    else:
        _check_size(texts, ClassifyOptions(segments=False, top=top), 1_000, 0)


LOGITS = np.array([[1, 2], [3, -1], [0, 0]], np.float32)


def test_one_label_fits_in_mode_single() -> None:
    """Each row is a softmax; with the rest, which competes, it has one number more."""
    labelling = Labelling(["a", "b"], [], "single", none_of_these=False)
    assert labelling.confidence is None
    assert np.allclose([*labelling.rows(Scores(LOGITS))], softmax(LOGITS))
    rest = np.array([0.0, 5.0, 0.0])
    rows = np.array([*labelling.rows(Scores(LOGITS, rest=rest))])
    assert np.allclose(rows, softmax(np.column_stack([LOGITS, rest]).astype(np.float32)))
    assert rows[2].tolist() == pytest.approx([1 / 3] * 3)


def test_each_label_may_fit_in_mode_multi() -> None:
    """A row is the model's confidence as it is; without any there is nothing to answer."""
    labelling = Labelling(["a", "b"], [], "multi", none_of_these=False, calibration="c")
    assert labelling.confidence is not None
    assert (labelling.confidence.calibration, labelling.confidence.eligible) == ("c", 1)
    confidence = np.array([[0.9, 0.8], [0.0, 1.0], [0.5, 0.5]])
    found = np.array([*labelling.rows(Scores(LOGITS, confidence, "calibrated"))])
    assert (found == confidence).all()
    with pytest.raises(NotCalibrated):
        next(labelling.rows(Scores(LOGITS)))


def test_a_video_is_pooled_as_its_mode_says() -> None:
    """The mean of shares that sum to one, or the highest of confidences; begun anew each time."""
    for mode, kind in (("single", MeanScores), ("multi", HighestScores)):
        options = ClassifyOptions(labels=["a"], mode=mode)  # type: ignore[arg-type]
        first, second = options.pool(), options.pool()
        assert type(first) is type(second) is kind
        first.add(np.ones(1))
        assert second.value.size == 0
