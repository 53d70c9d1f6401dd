"""`ingest`: send files, folders and URLs to the service and see each become searchable, or not."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydantic import JsonValue
from rich.console import Console, Group
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app import schemas
from app.cli.api_client import ApiClient, ApiError, ServiceAway
from app.cli.tables import plain

# In a folder only these are sent; a file that is named itself is sent whatever its name.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v"}
    | {".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".qt", ".ts"}
    | {".vob", ".webm", ".wmv"}
)
Source: TypeAlias = Path | str
_URL_SCHEMES = ("http://", "https://")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class Item:
    """A video and what to say about it: a file to send, or a URL that the service fetches."""

    source: Source
    metadata: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """How many bytes this command sends of it."""
        return self.source.stat().st_size if isinstance(self.source, Path) else 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a video did not become searchable: a stable code and a sentence."""

    source: Source
    code: str
    message: str


@dataclass(slots=True)
class Outcome:
    """What became of the videos so far."""

    succeeded: int = 0
    duplicates: int = 0
    failures: list[Failure] = field(default_factory=list)
    video_ids: dict[Source, str] = field(default_factory=dict)  # of those not failed

    @property
    def ended(self) -> int:
        """How many files it speaks of."""
        return self.succeeded + self.duplicates + len(self.failures)


def items_of(sources: Sequence[str]) -> list[Item]:
    """What arguments name: the videos of files and folders, then those at URLs.

    Raises FileNotFoundError if a path does not exist.
    """
    urls = [source for source in sources if source.lower().startswith(_URL_SCHEMES)]
    paths = [Path(source) for source in sources if source not in urls]
    return [*map(Item, files_under(paths)), *map(Item, dict.fromkeys(urls))]


def files_under(paths: Iterable[Path]) -> Iterator[Path]:
    """The files to send: those named, and the videos in the folders named, each file once.

    Raises FileNotFoundError if a path does not exist.
    """
    seen = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        videos = sorted(file for file in path.rglob("*") if _is_video(file))
        for file in videos if path.is_dir() else [path]:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def ingest(client: ApiClient, collection: str, items: Sequence[Item], console: Console) -> Outcome:
    """Hand the videos in one after another, wait for all their jobs, and show how far it is.

    A video that fails does not stop the others. Raises ServiceAway when the service is gone.
    """
    following = _Following(client, collection)
    with _bars(console) as progress:
        bytes_total = sum(item.size_bytes for item in items)
        sending = _Bar(progress, "sending", bytes_total, decimal)
        searchable = _Bar(progress, "making searchable", len(items), lambda n: f"{int(n)} videos")
        for item in items:
            following.send(item, sending.advance)
            searchable.show(following.look())
        pause_s = _FIRST_PAUSE_S
        while following.waiting:
            time.sleep(pause_s)
            ended = following.outcome.ended
            searchable.show(following.look())
            moved = following.outcome.ended > ended
            pause_s = _FIRST_PAUSE_S if moved else min(2 * pause_s, _LONGEST_PAUSE_S)
    return following.outcome


def summary(outcome: Outcome) -> Group:
    """The counts, and a line for every failure."""
    counts = Table(box=None, pad_edge=False, show_header=False)
    for word, count, style in (
        ("searchable", outcome.succeeded, "green"),
        ("already there", outcome.duplicates, ""),
        ("failed", len(outcome.failures), "red"),
    ):
        counts.add_row(word, Text(str(count), style=style if count else "dim"))
    if not outcome.failures:
        return Group(counts)
    failures = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("file", "code", "why"):
        failures.add_column(heading, overflow="fold")
    for failure in outcome.failures:
        failures.add_row(plain(str(failure.source)), failure.code, plain(failure.message))
    return Group(counts, Text(), failures)


class _Following:
    """Files on their way: what was sent, and its jobs in the order in which they are taken up."""

    def __init__(self, client: ApiClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self.waiting: deque[tuple[Source, str, bool]] = deque()
        self.outcome = Outcome()

    def send(self, item: Item, on_bytes: Callable[[int], None]) -> None:
        """Send a file and follow its job; a duplicate's too, since the first copy may yet fail."""
        try:
            answer, is_new = self._hand_in(item, on_bytes)
        except ServiceAway:
            raise
        except ApiError as error:
            self._fail(item.source, error.code, error.message)
        except OSError as error:
            self._fail(item.source, "unreadable_file", f"{error.strerror or error}.")
        else:
            self.waiting.append((item.source, answer.job.id, is_new))

    def _hand_in(
        self, item: Item, on_bytes: Callable[[int], None]
    ) -> tuple[schemas.UploadAnswer, bool]:
        if isinstance(item.source, Path):
            return self._client.upload(self._collection, item.source, item.metadata, on_bytes)
        return self._client.upload_url(self._collection, item.source, item.metadata)

    def look(self) -> float:
        """Count the jobs that have ended; the files ended so far, and the share of the next."""
        while self.waiting:
            source, job_id, is_new = self.waiting[0]
            try:
                job = self._client.job(job_id)
            except ServiceAway:
                raise
            except ApiError as error:  # deleted meanwhile, with its video
                self._fail(source, error.code, error.message)
            else:
                if job.status in ("queued", "running"):
                    return self.outcome.ended + job.progress
                self._settle(source, job, is_new)
            self.waiting.popleft()
        return self.outcome.ended

    def _settle(self, source: Source, job: schemas.JobAnswer, is_new: bool) -> None:
        if job.status == "succeeded":
            self.outcome.succeeded += is_new
            self.outcome.duplicates += not is_new
            self.outcome.video_ids[source] = job.video_id
        elif job.error is not None:
            self._fail(source, job.error.code, job.error.message)
        else:
            self._fail(source, job.status, "The job was canceled.")

    def _fail(self, source: Source, code: str, message: str) -> None:
        self.outcome.failures.append(Failure(source, code, message))


class _Bar:
    """One line of progress, counted in its own unit."""

    def __init__(
        self, progress: Progress, name: str, total: int, unit: Callable[[int], str]
    ) -> None:
        self._progress = progress
        self._unit = unit
        self._total = total
        self._completed = 0.0
        self._task = progress.add_task(name, total=total, count="")
        self.show(0)

    def advance(self, amount: int) -> None:
        """Go on by so much."""
        self.show(self._completed + amount)

    def show(self, completed: float) -> None:
        """Be at so much."""
        self._completed = completed
        count = f"{self._unit(int(completed))} of {self._unit(self._total)}"
        self._progress.update(self._task, completed=completed, count=count)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        console=console,
    )
