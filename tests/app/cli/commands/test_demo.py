"""`xclip-search demo`: the whole service at work, started and stopped by one command."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from typer.testing import Result

from app.cli.demo_clips import Showcase, draw_showcase
from app.cli.demo_run import ABSENT, MARKER, run_demo
from tests.app.cli.conftest import WIDE_TERMINAL
from xclip.motion.world import HELD_OUT, OPPOSITE

RunCommand = Callable[..., Result]
ROOT = Path(__file__).parents[4]
PATIENCE_S = 3000  # ends what hangs


@pytest.fixture(scope="module")
def showcase() -> Showcase:
    """What the demo shows, for some seed."""
    return draw_showcase(7)


def _watched(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines that a process prints; stopped if it takes too long."""
    timer = threading.Timer(PATIENCE_S, process.terminate)
    timer.start()
    try:
        assert process.stdout is not None
        yield from process.stdout
    finally:
        timer.cancel()


@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_demo_shows_everything_and_stays_until_interrupted(
    tmp_path: Path, free_port: int
) -> None:
    """All clips go in, every question gets ranked rows, the page is there; Ctrl-C ends it all."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XCLIP_")}
    # the database is named to see that the demo does not go near it
    elsewhere = {"XCLIP_DATABASE_URL": "sqlite:////nowhere/real"}
    folder = tmp_path / "data"
    arguments = ["demo", "--data-dir", str(folder), "--port", str(free_port)]
    url = f"http://127.0.0.1:{free_port}"
    printed = []
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", *arguments],
        cwd=ROOT,
        env=inherited | elsewhere | WIDE_TERMINAL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        for line in _watched(demo):
            printed.append(line)
            if "until you press Ctrl-C" in line:
                assert url in line
                page = httpx.get(url, trust_env=False, timeout=120)
                assert "<title>X-CLIP Search</title>" in page.text
                demo.send_signal(signal.SIGINT)
    text = "".join(printed)
    assert demo.returncode == 0, text
    assert text.count("rank") == 7
    assert "in this order" in text
    assert "nothing matches with that confidence" in text
    assert text.count("clip-") + text.count("long-") >= 6 * 3 + 1
    assert "likeliest label" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    assert len(list((folder / "clips").glob("*.mp4"))) == 64


def test_a_killed_demo_takes_its_service_along(
    checkpoint: Path, tmp_path: Path, free_port: int
) -> None:
    """After `kill -9` of the demo nothing listens on its port any more."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XCLIP_")}
    arguments = ["demo", "--data-dir", str(tmp_path / "data"), "--port", str(free_port)]
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", *arguments],
        cwd=ROOT,
        env=inherited | {"XCLIP_MODEL": str(checkpoint)},
        stdout=subprocess.DEVNULL,
    ) as demo:
        _wait_until(lambda: _listens(free_port))
        demo.kill()
    _wait_until(lambda: not _listens(free_port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_demo_can_end_by_itself(showcase: Showcase, tmp_path: Path, free_port: int) -> None:
    """Without staying it stops the service and returns; the folder carries the demo's mark.

    With the embedded model the events in order are found, and what is in no clip is not.
    """
    small = dataclasses.replace(
        showcase, short=showcase.short[:2], long=showcase.long[:1], questions=showcase.questions[:1]
    )
    folder = tmp_path / "data"
    (folder / "clips").mkdir(parents=True)
    (folder / MARKER).touch()
    (folder / "clips" / "left.mp4").touch()
    console = Console(width=120, record=True)
    run_demo(small, console, folder, free_port, stay=False)
    text = console.export_text()
    assert "Deleting what an earlier demo left" in text
    assert not (folder / "clips" / "left.mp4").exists()
    assert (folder / MARKER).exists()
    assert small.questions[0].text in text
    in_order = text[text.index("in this order") :]
    assert "✓" in in_order[: in_order.index(ABSENT)]
    assert "✓ nothing matches with that confidence" in in_order
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", free_port)) != 0


def test_a_folder_that_is_not_the_demos_is_left_alone(
    command: RunCommand, tmp_path: Path, free_port: int
) -> None:
    """Without the mark nothing is deleted, and the way out is named."""
    (tmp_path / "thesis.txt").write_text("precious")
    result = command("demo", "--exit", "--data-dir", tmp_path, "--port", free_port)
    assert result.exit_code == 1
    assert "--data-dir" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_busy_port_is_said_before_anything_is_deleted(
    command: RunCommand, tmp_path: Path, free_port: int
) -> None:
    """The port's number and how to choose another; an earlier demo's data stay."""
    (tmp_path / MARKER).touch()
    (tmp_path / "left.mp4").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port + 1))
        result = command("demo", "--exit", "--data-dir", tmp_path, "--port", free_port)
    assert result.exit_code == 1
    assert str(free_port + 1) in result.output
    assert "--port" in result.output
    assert (tmp_path / "left.mp4").exists()


def test_every_short_clip_has_its_opposite(showcase: Showcase) -> None:
    """60 subjects, half never seen in training, each beside the same in the opposite motion."""
    subjects = [event.subject for plan in showcase.short for event in plan.events]
    assert len(set(subjects)) == 60
    assert sum(subject in HELD_OUT for subject in subjects) == 30
    for subject in subjects:
        assert dataclasses.replace(subject, motion=OPPOSITE[subject.motion]) in subjects


def test_every_question_has_an_answer(showcase: Showcase) -> None:
    """Each asks for an event of exactly one clip, two of them for one inside a long clip."""
    long_ones = []
    for question in showcase.questions:
        places = [p for p in showcase.clips for e in p.events if e.subject == question.subject]
        assert len(places) == 1
        long_ones += [place for place in places if place in showcase.long]
        assert ("never seen" in question.remark) == (question.subject in HELD_OUT)
    assert len(long_ones) == 2


def test_what_a_moment_shows_adds_up(showcase: Showcase) -> None:
    """A moment across two events shows each by its share; a whole event shows only itself."""
    plan = showcase.long[0]
    first, second = plan.events[:2]
    assert showcase.shown(plan.name, first.start, first.end) == [(first.subject, 1.0)]
    across = showcase.shown(plan.name, first.end - 1, second.start + 3)
    assert across == [(first.subject, 0.25), (second.subject, 0.75)]
