"""What tables and progress show, of any numbers and names."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text

from app.cli.commands.ingest import IngestFailure, Outcome, summary
from app.cli.commands.library import _heat
from app.cli.commands.maintenance import _bytes
from app.cli.ingest_view import IngestView
from app.cli.output import length, moment, plain, span
from app.cli.tables import (
    likeliest_first,
    moments_labelled,
    print_labelled,
    ranking,
    videos_labelled,
    warn_of_cut_texts,
)
from xclip_search import schemas

SCORES = st.dictionaries(st.text(max_size=5), st.floats(0, 1), min_size=1, max_size=6)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def shown(what: RenderableType, width: int = 120) -> list[str]:
    """The lines that a terminal of that width shows, without blanks at their ends."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(what)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def found(
    name: str, confidence: float | None = 0.5, *, steps: list[schemas.SearchStep] | None = None
) -> schemas.SearchResult:
    """A result from 59.96 s to 62 s."""
    return schemas.SearchResult(
        segment_id="seg_1", video_id="vid_1", filename=name, start=59.96, end=62, score=-0.005,
        score_kind="xclip_logit", confidence=confidence, segment_ids=["seg_1"], steps=steps,
        thumbnail_url="", clip_url="", metadata={},
    )  # fmt: skip


def job(job_id: str, **changed: object) -> schemas.JobAnswer:
    """A running job, half done."""
    fields = {
        "id": job_id, "kind": "ingest", "collection": "default", "video_id": "vid_1",
        "status": "running", "revision": 1, "stage": "encode", "progress": 0.5,
        "seconds_done": None, "seconds_total": None, "eta_s": None, "attempts": 1,
        "not_before": None, "error": None, "created_at": NOW, "started_at": NOW,
        "finished_at": None, "searchable_at": None,
    }  # fmt: skip
    return schemas.JobAnswer.model_validate(fields | changed)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0, "0:00.0"),
        (0.04, "0:00.0"),
        (0.06, "0:00.1"),
        (59.94, "0:59.9"),
        (3599.96, "60:00.0"),
        (86_400, "1440:00.0"),
    ],
)
def test_a_length_is_minutes_and_seconds(seconds: float | None, said: str) -> None:
    """Rounded over the minute, never in hours; a dash until it is known."""
    assert length(seconds).shown.plain == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 KiB"),
        (1023, "1 KiB"),
        (1023 * 1024, "1023 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (1 << 20, "1.0 MiB"),
        (1 << 40, "1048576.0 MiB"),
    ],
)
def test_a_size_is_in_its_unit(count: int, said: str) -> None:
    """Nobody reads of 1024 KiB."""
    assert _bytes(count) == said


def test_a_result_is_a_row_and_its_events_are_below_it() -> None:
    """Rank, name, moment, confidence and score, in their columns; an event has no rank."""
    step = schemas.SearchStep(
        text="a cat", segment_id="seg_2", start=0, end=2, score=1.005, confidence=None
    )
    head, *rows = shown(
        ranking([found("a.mp4", None), found("b.mp4", 0.996, steps=[step])], first=9)
    )
    assert head.split() == ["rank", "video", "moment", "confidence", "score"]
    assert [row.split() for row in rows] == [
        ["9", "a.mp4", "1:00.0–1:02.0", "—", "-0.01"],
        ["10", "b.mp4", "1:00.0–1:02.0", ">99%", "-0.01"],
        ["a", "cat", "0:00.0–0:02.0", "—", "1.00"],
    ]
    assert len({row.index("–") for row in rows}) == 1


def test_a_verdict_is_a_column_of_its_own() -> None:
    """Asked with the name and the moment of each result."""
    asked: list[tuple[str, float, float]] = []

    def verdict(name: str, start: float, end: float) -> Text:
        asked.append((name, start, end))
        return Text("yes")

    head, row = shown(ranking([found("a.mp4")], verdict))
    assert (head.split()[-2:], row.split()[-1]) == (["shows", "it"], "yes")
    assert asked == [("a.mp4", 59.96, 62)]


@given(name=st.text(min_size=1, max_size=30))
@example(name="[bold]clip[/bold] \x1b[31m.mp4")
@example(name="\u202egnp.mp4")
def test_no_name_breaks_a_table(name: str) -> None:
    """Markup stays text, nothing steers the terminal, and the columns after it are whole."""
    lines = shown(ranking([found(name), found("b.mp4")]), width=200)
    assert len(lines) == 3
    assert plain(name).plain.strip() in lines[1]
    assert all(char.isprintable() for line in lines for char in line)
    assert lines[1].endswith("-0.01")


@given(SCORES)
def test_labels_come_likeliest_first(scores: dict[str, float]) -> None:
    """Each once, with the probability that it has."""
    ordered = likeliest_first(scores)
    assert dict(ordered) == scores
    assert [score for _, score in ordered] == sorted(scores.values(), reverse=True)


def test_a_video_is_named_above_its_labels() -> None:
    """Once, however many labels there are; with none there is a sentence."""
    videos = [
        schemas.ClassifiedVideo(
            video_id="vid_1", filename="a.mp4", scores={"cat": 0.25, "dog": 0.75}
        ),
        schemas.ClassifiedVideo(video_id="vid_2", filename="b.mp4", scores={"cat": 0.99951}),
    ]
    assert [row.split() for row in shown(videos_labelled(videos))[1:]] == [
        ["a.mp4", "dog", "75.0%"],
        ["cat", "25.0%"],
        ["b.mp4", "cat", "100.0%"],
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_moments_are_listed_where_there_are_several(count: int) -> None:
    """Of one moment, the video's own labels say all there is."""
    segments = [
        schemas.ClassifiedStretch(
            start=2.0 * each, end=2.0 * each + 2, scores={"cat": 0.4, "dog": 0.6}
        )
        for each in range(count)
    ]
    answer = schemas.ClipAnswer.model_construct(
        filename="a.mp4", scores={"cat": 0.4, "dog": 0.6}, segments=segments
    )
    file = io.StringIO()
    print_labelled(answer, Console(file=file, width=120, force_terminal=True, color_system=None))
    lines = file.getvalue().splitlines()
    assert lines[0] == "a.mp4"
    assert sum("–" in line for line in lines) == (count if count > 1 else 0)


def test_a_moment_has_its_likeliest_label() -> None:
    """And whether that is right, where somebody knows."""
    segment = schemas.ClassifiedStretch(start=0, end=2, scores={"cat": 0.4, "dog": 0.6})
    table = moments_labelled([segment], lambda start, end, label: Text(f"{start}-{end}-{label}"))
    assert shown(table)[1].split() == [span(0, 2).shown.plain, "dog", "60.0%", "0.0-2.0-dog"]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
@example([1.0])
@example([2.0, 2.0])
def test_a_heat_map_is_as_long_as_its_scores(scores: list[float]) -> None:
    """The highest score fills the line, the lowest still shows, and none is out of order."""
    pieces = [
        schemas.HeatmapPiece(start=at, end=at + 1, score=score, confidence=None)
        for at, score in enumerate(scores)
    ]
    lines = shown(_heat(pieces))[1:]
    bars = [line.count("█") for line in lines]
    assert max(bars) == 40
    assert min(bars) >= 1
    ordered = [bar for _, bar in sorted(zip(scores, bars, strict=True))]
    assert ordered == sorted(bars)
    assert [line.split()[0] for line in lines] == [
        span(at, at + 1).shown.plain for at in range(len(scores))
    ]


def test_a_summary_counts_and_says_what_failed() -> None:
    """A line for each failure, with its code; none of that where nothing failed."""
    assert [line.split() for line in shown(summary(Outcome(2, 1)))] == [
        ["searchable", "2"],
        ["already", "there", "1"],
        ["failed", "0"],
    ]
    failed = Outcome(0, 0, [IngestFailure("https://a/[b].mp4", "url_too_slow", "Too slow.")])
    *_, line = shown(summary(failed))
    assert line.split() == ["https://a/[b].mp4", "url_too_slow", "Too", "slow."]


def test_a_pipe_gets_whole_values() -> None:
    """A line a row, tabs between, numbers as they are; nothing is shortened, coloured or broken."""
    file = io.StringIO()
    name = "[b]" + "long " * 40
    step = schemas.SearchStep(
        text="a cat", segment_id="seg_2", start=0, end=2, score=1.005, confidence=None
    )
    console = Console(file=file, width=80, soft_wrap=True)
    console.print(ranking([found(name, 0.123456, steps=[step])]))
    assert file.getvalue().splitlines() == [
        f"1\t{name}\t59.96-62.0\t0.123456\t-0.005",
        "\ta cat\t0.0-2.0\t\t1.005",
    ]


def view_lines(view: IngestView) -> list[str]:
    """What the view shows now."""
    return shown(view._render())


def test_progress_counts_bytes_and_videos() -> None:
    """What has arrived of the file under way counts; what is running counts by its part."""
    view = IngestView(Console(file=io.StringIO()), bytes_total=3000, videos_total=4)
    view.sends("a/[b].mp4")
    view.arrived(500)
    assert "500 bytes of 3.0 kB" in view_lines(view)[0]
    assert view_lines(view)[2].split() == ["a/[b].mp4", "sending", "500", "bytes"]
    view.sent(1000)
    view.show(1, [("folder/c.mp4", job("job_1", eta_s=90.0))], queued=2)
    sending, searchable, running, queued = view_lines(view)
    assert "1.0 kB of 3.0 kB" in sending
    assert "1 videos of 4 videos" in searchable
    assert running.split() == ["c.mp4", "encode", "50%", moment(90), "left"]
    assert queued == "2 waiting in the queue"


def test_progress_lists_a_few_of_many_running_jobs() -> None:
    """A terminal is not high enough for all of them."""
    view = IngestView(Console(file=io.StringIO()), bytes_total=0, videos_total=20)
    view.show(0, [(f"{number}.mp4", job(f"job_{number}")) for number in range(20)], queued=0)
    assert sum(".mp4" in line for line in view_lines(view)) == 8


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_ends_with_its_bars(is_terminal: bool) -> None:
    """A terminal keeps them, with the last numbers; a file or a pipe gets nothing of them."""
    file = io.StringIO()
    console = Console(
        file=file, width=120, force_terminal=is_terminal, force_interactive=is_terminal
    )
    with IngestView(console, bytes_total=10, videos_total=1) as view:
        view.sends("a.mp4")
        view.arrived(5)
        view.sent(10)
        view.show(1, [], queued=0)
    if not is_terminal:
        assert file.getvalue() == ""
        return
    sending, searchable, _ = file.getvalue().splitlines()[-3:]
    assert "10 bytes of 10 bytes" in sending
    assert "1 videos of 1 videos" in searchable


def test_texts_that_were_cut_are_named_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line each, shortened and made safe; standard output stays the answer's."""
    answer = schemas.TextUsage(
        truncated=True, truncated_texts=["red\x1b[2J " * 40, "blue"], tokens=9
    )
    warn_of_cut_texts(answer)
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first.startswith("warning: the model has read only the beginning of 'red")
    assert "\x1b" not in first
    assert len(first) < 200
    assert second == "warning: the model has read only the beginning of 'blue'"
