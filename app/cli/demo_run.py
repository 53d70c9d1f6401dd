"""Demo: runs the whole service on generated clips whose right answers are known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.text import Text

from app.cli.commands.ingest import Item, ingest, summary
from app.cli.output import errors, plain
from app.cli.supervisor import die_with
from app.cli.tables import moments_labelled, ranking
from app.server.listener import PortBusy, bind
from app.service_urls import base_url
from app.settings import PREFIX, load_settings, variable
from xclip_search import ApiError, Client

if TYPE_CHECKING:
    from app.cli.demo_clips import DemoQuery, Showcase

COLLECTION = "default"
MARKER = ".xclip-demo"
ROWS = 3
ABSENT = "a dog catching a frisbee"  # in no clip, and nothing that motion-tiny has seen
MIN_CONFIDENCE = 0.5
HOST = "127.0.0.1"
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 15.0  # the service's own grace, and a margin
MOSTLY = 0.7  # of a moment: then it shows the event
LOG = "service.log"
# Settings of the person at the keyboard that hold for the demo; the rest, above all where a
# catalog is, could lead it into a library that is real.
KEPT_SETTINGS = ("model", "model_revision", "device", "threads", "log_level")

ABOUT = (
    "60 clips of one event, each beside one of the opposite motion, and 4 of several events in a "
    "row. Half of the 60 show a combination of colour, shape and motion that the model never saw "
    "in training. ✓ marks the moments that do show what the query describes."
)


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def run_demo(
    showcase: Showcase, console: Console, data_dir: Path, port: int, *, stay: bool
) -> None:
    """Do all that the demo does; with `stay`, return only when interrupted.

    Raises DemoError, ApiError, SettingsError. The service is stopped in any case.
    """
    started = time.monotonic()
    environment = _environment(os.environ, data_dir, port)
    with (
        _fresh_folder(data_dir, console),
        _service(environment, data_dir / LOG) as service,
        Client(base_url(HOST, port)) as client,
    ):
        items = _make_clips(showcase, data_dir / "clips")
        _wait_until_ready(client, service, data_dir / LOG)
        console.print(f"\n{ABOUT}\n")
        outcome = ingest(client, COLLECTION, items, errors())
        if outcome.failures:
            console.print(summary(outcome))
            raise DemoError("Not all clips became searchable.")
        for question in showcase.questions:
            _ask(client, showcase, question, console)
        _ask_in_order(client, showcase, console)
        _ask_for_nothing(client, console)
        _label(client, showcase, outcome.video_ids[items[-1].source], console)
        console.print(f"\nThat took {time.monotonic() - started:.0f} s.")
        if stay:
            console.print(f"The service runs at {client.url} until you press Ctrl-C.")
            service.wait()
            raise DemoError(f"The service ended by itself; see {data_dir / LOG}.")


@contextmanager
def _fresh_folder(folder: Path, console: Console) -> Iterator[None]:
    """An empty folder of our own, locked against a second demo in it."""
    marker = folder / MARKER
    is_ours = marker.exists() or not folder.exists()
    if not is_ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise DemoError(
            f"{folder} is not empty and was not made by the demo, so the demo does not touch it. "
            "Choose another folder with --data-dir."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with marker.open("a") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"Another demo is running in {folder}. Stop it, or choose --data-dir and --port."
            ) from None
        left = [path for path in folder.iterdir() if path != marker]
        if left:
            console.print(f"Deleting what an earlier demo left in {folder}.", style="dim")
        for path in left:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield


def _environment(environ: Mapping[str, str], data_dir: Path, port: int) -> dict[str, str]:
    """The service's environment: a few of the user's settings; folder and ports are the demo's."""
    load_settings(environ)  # refuses what `serve` would refuse
    for number in (port, port + 1):
        try:
            bind(HOST, number).close()
        except PortBusy:
            raise DemoError(
                f"Port {number} is in use by another process. Stop that process, or choose "
                "another port with --port: the demo takes that one and the next."
            ) from None
    kept = {variable(name) for name in KEPT_SETTINGS}
    rest = {k: v for k, v in environ.items() if not k.startswith(PREFIX) or k in kept}
    overrides = {"data_dir": data_dir, "port": port, "worker_port": port + 1}
    return rest | {variable(name): str(value) for name, value in overrides.items()}


@contextmanager
def _service(environment: Mapping[str, str], log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The service in a process of its own, stopped at the end."""
    with log_file.open("wb") as log:
        # a session of its own: Ctrl-C reaches the demo only, which then stops the service
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),  # safe: no thread has been started yet
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _make_clips(showcase: Showcase, folder: Path) -> list[Item]:
    """Write all clips. Captions go along as metadata, where no search looks."""
    folder.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        paths = threads.map(lambda plan: plan.write(folder), showcase.clips)
        made = list(track(paths, "making clips", total=len(showcase.clips), console=errors()))
    return [
        Item(path, {"captions": [event.caption for event in plan.events]})
        for path, plan in zip(made, showcase.clips, strict=True)
    ]


def _wait_until_ready(client: Client, service: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with errors().status("waiting for the service"):
        while not client.is_ready():
            if service.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"The service did not start; see {log_file}.")
            time.sleep(0.2)


def _ask(client: Client, showcase: Showcase, question: DemoQuery, console: Console) -> None:
    answer = client.search(question.text, collection=COLLECTION, top_k=ROWS)

    def verdict(filename: str, start: float, end: float) -> Text:
        shown = showcase.shown(filename, start, end)
        return _mark(sum(share for subject, share in shown if subject == question.subject))

    console.print(f"\n[bold]“{question.text}”[/]  [dim]{question.remark}[/]")
    console.print(ranking(answer.results, verdict))


def _ask_in_order(client: Client, showcase: Showcase, console: Console) -> None:
    """Look for two events of a long clip, one after the other."""
    events = [event.subject for event in showcase.long[0].events[:2]]
    first, second = (subject.caption for subject in events)
    answer = client.search(then=[first, second], collection=COLLECTION, top_k=1)

    def verdict(filename: str, start: float, end: float) -> Text:
        shown = [subject for subject, _ in showcase.shown(filename, start, end)]
        return _mark(float(shown == events))

    console.print(f"\n[bold]“{first}”, then “{second}”[/]  [dim]in this order[/]")
    console.print(ranking(answer.results, verdict))


def _ask_for_nothing(client: Client, console: Console) -> None:
    """Search for something in no clip: with a minimum confidence, no result is the right answer."""
    console.print(
        f"\n[bold]“{ABSENT}”[/]  [dim]in no clip; confidence at least {MIN_CONFIDENCE:.0%}[/]"
    )
    try:
        answer = client.search(
            ABSENT, collection=COLLECTION, top_k=ROWS, min_confidence=MIN_CONFIDENCE
        )
    except ApiError as error:
        if error.code != "not_calibrated":
            raise
        console.print(plain(error.message))  # a model of the reader's own, as it was published
        return
    found = answer.results
    console.print(ranking(found) if found else "✓ nothing matches with that confidence")


def _label(client: Client, showcase: Showcase, video_id: str, console: Console) -> None:
    """Let the model say, moment by moment, which event of a long clip or its opposite it sees."""
    plan = showcase.long[-1]
    labels = showcase.labels(plan)

    def verdict(start: float, end: float, label: str) -> Text:
        shown = showcase.shown(plan.name, start, end)
        return _mark(sum(share for subject, share in shown if subject.caption == label))

    answer = client.classify(labels, collection=COLLECTION, video_ids=[video_id]).videos[0]
    console.print(f"\n[bold]{plan.name}[/]  [dim]{len(labels)} labels for each moment[/]")
    console.print(moments_labelled(answer.segments or [], verdict))


def _mark(share: float) -> Text:
    """Whether a moment shows what the query describes: fully, in part or not."""
    if share >= MOSTLY:
        return Text("✓", style="bold green")
    return Text("in part", style="yellow") if share >= 1 - MOSTLY else Text("–", style="dim")
