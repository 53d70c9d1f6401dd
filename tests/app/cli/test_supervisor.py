"""The supervisor: children are started again when they die, and none is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.supervisor import FIRST_PAUSE_S, Supervisor

FINAL = 78
PATIENCE_S = 300  # that nothing hangs for ever: other work may share the machine


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def run(supervisor: Supervisor, stop_when: Callable[[], bool]) -> int:
    stop = threading.Event()
    deadline = time.monotonic() + PATIENCE_S

    def on_tick() -> None:
        if stop_when() or time.monotonic() > deadline:
            stop.set()

    return supervisor.run(stop, on_tick)


def noting(path: Path, then: str) -> list[str]:
    """A child that writes its id and then does something."""
    return python(
        f"""
        import os, signal, sys, time
        with open({str(path)!r}, "a") as notes:
            print(os.getpid(), file=notes)
        {then}
        """
    )


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    """Its sibling is left in peace."""
    short, long = tmp_path / "short", tmp_path / "long"
    commands = {
        "short": noting(short, "os.kill(os.getpid(), signal.SIGKILL)"),
        "long": noting(long, "time.sleep(6000)"),
    }
    supervisor = Supervisor(commands, grace_s=PATIENCE_S, final_statuses=(FINAL,))
    assert run(supervisor, lambda: len(lines(short)) >= 3) == 0
    assert len(lines(short)) >= 3
    assert len(lines(long)) == 1
    assert not any(alive(int(pid)) for pid in lines(short) + lines(long))


def test_the_pauses_grow_while_a_child_keeps_dying(tmp_path: Path) -> None:
    """A service that cannot start must not spend the machine on trying."""
    notes = tmp_path / "notes"
    child = python(
        f"""
        import sys, time
        with open({str(notes)!r}, "a") as notes:
            print(time.monotonic(), file=notes)
        sys.exit(1)
        """
    )
    supervisor = Supervisor({"a": child}, grace_s=PATIENCE_S, final_statuses=())
    run(supervisor, lambda: len(lines(notes)) >= 3)
    first, second, third = map(float, lines(notes)[:3])
    assert second - first >= FIRST_PAUSE_S
    assert third - second >= 2 * FIRST_PAUSE_S


def test_a_child_that_says_it_cannot_work_ends_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A busy port or a wrong setting is an error for the operator, not a restart loop."""
    notes = tmp_path / "notes"
    hopeless = python(
        f"""
        import pathlib, time
        while not pathlib.Path({str(notes)!r}).exists():
            time.sleep(0.02)
        raise SystemExit({FINAL})
        """
    )
    commands = {"a": noting(notes, "time.sleep(6000)"), "b": hopeless}
    supervisor = Supervisor(commands, grace_s=PATIENCE_S, final_statuses=(FINAL,))
    assert run(supervisor, lambda: False) == FINAL
    assert len(lines(notes)) == 1
    assert not any(alive(int(pid)) for pid in lines(notes))
    assert "b ended for good" in caplog.text
    assert "restart_in" not in caplog.text


def test_children_are_asked_to_stop_and_given_time(tmp_path: Path) -> None:
    """Work in progress can be put down in order."""
    notes, farewell = tmp_path / "notes", tmp_path / "farewell"
    then = f"""
        def end(*_):
            time.sleep(0.5)
            open({str(farewell)!r}, "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        with open({str(notes)!r}, "a") as notes:
            print("ready", file=notes)
        time.sleep(6000)"""
    supervisor = Supervisor({"a": noting(notes, then)}, grace_s=PATIENCE_S, final_statuses=())
    assert run(supervisor, lambda: "ready" in lines(notes)) == 0
    assert farewell.exists()


def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    """The grace has an end."""
    notes = tmp_path / "notes"
    then = f"""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open({str(notes)!r}, "a") as notes:
            print("ready", file=notes)
        time.sleep(6000)"""
    supervisor = Supervisor({"a": noting(notes, then)}, grace_s=0.1, final_statuses=())
    assert run(supervisor, lambda: "ready" in lines(notes)) == 0
    assert not alive(int(lines(notes)[0]))


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the parent gives it no chance to stop anything, so the kernel does."""
    notes = tmp_path / "notes"
    parent = subprocess.Popen(
        python(
            f"""
            import threading
            from app.cli.supervisor import Supervisor
            child = {noting(notes, "time.sleep(6000)")!r}
            Supervisor({{"a": child, "b": child}}, grace_s=5, final_statuses=()).run(
                threading.Event(), lambda: None
            )
            """
        ),
        cwd=Path(__file__).parents[3],
    )
    assert eventually(lambda: len(lines(notes)) == 2)
    assert all(alive(int(pid)) for pid in lines(notes))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert eventually(lambda: not any(alive(int(pid)) for pid in lines(notes)))
