"""Ingest command: sends files, folders and URLs to the service and follows each job to its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import JsonValue
from rich.console import Console, Group, RenderableType
from rich.text import Text

from app.cli.folder_scan import FolderScan
from app.cli.ingest_view import IngestView
from app.cli.output import Listing, plain
from xclip_search import ApiError, Client, ServiceAway, Unfinished, Uploaded, schemas
from xclip_search.addresses import without_secrets
from xclip_search.library import JobStatus
from xclip_search.steps import label

Source: TypeAlias = Path | str
_URL_SCHEMES = ("http://", "https://")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_FURTHER_NAMES: Final = 100  # that the service keeps of a video
_OPEN: Final[tuple[JobStatus, ...]] = ("queued", "running")


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
class IngestFailure:
    """Why a video did not become searchable: a stable code and a sentence."""

    source: Source
    code: str
    message: str


@dataclass(slots=True)
class Outcome:
    """The outcome of the videos so far."""

    succeeded: int = 0
    duplicates: int = 0
    failures: list[IngestFailure] = field(default_factory=list)
    video_ids: dict[Source, str] = field(default_factory=dict)  # of those not failed

    @property
    def ended(self) -> int:
        """How many files it speaks of."""
        return self.succeeded + self.duplicates + len(self.failures)


def items_of(sources: Sequence[str], scan: FolderScan) -> list[Item]:
    """What arguments name: the videos of files and folders, then those at URLs.

    A file found in a folder has its place there as metadata, under "path".

    Raises FileNotFoundError if a path does not exist.
    """
    urls = [source for source in sources if source.lower().startswith(_URL_SCHEMES)]
    paths = [Path(source) for source in sources if source not in urls]
    files = [
        Item(found.path, {} if found.place is None else {"path": found.place})
        for found in scan.files(paths)
    ]
    return [*files, *map(Item, dict.fromkeys(urls))]


def ingest(
    client: Client,
    collection: str,
    items: Sequence[Item],
    console: Console,
    unfinished: Unfinished | None = None,
) -> Outcome:
    """Upload the videos one after another, wait for all their jobs, and show the progress.

    What the service holds already is not sent again, and with `unfinished` an upload that an
    earlier run began goes on. A video that fails does not stop the others. Raises ServiceAway when
    the service is gone.
    """
    with IngestView(console, sum(item.size_bytes for item in items), len(items)) as view:
        following = _Following(client, collection, view, unfinished)
        following.look_up_stored(items)
        for item in items:
            following.send(item)
            following.look_if_due()
        pause_s = _FIRST_PAUSE_S
        while following.waiting:
            time.sleep(pause_s)
            ended = following.outcome.ended
            following.look()
            moved = following.outcome.ended > ended
            pause_s = _FIRST_PAUSE_S if moved else min(2 * pause_s, _LONGEST_PAUSE_S)
        following.look()
    return following.outcome


def nothing_in(skipped: Mapping[str, int]) -> str:
    """The sentence for folders without a video, with what they have instead."""
    found = "; ".join(f"{count} {why}" for why, count in skipped.items())
    return f"Those folders contain no video{f' (skipped: {found})' if found else ''}."


def summary(outcome: Outcome, skipped: Mapping[str, int] | None = None) -> Group:
    """The counts, a line for what was left out of folders, and a line for every failure."""
    counts = Listing("outcome", "videos", show_header=False)
    for word, count, style in (
        ("searchable", outcome.succeeded, "green"),
        ("already there", outcome.duplicates, ""),
        ("failed", len(outcome.failures), "red"),
    ):
        counts.add_row(word, Text(str(count), style=style if count else "dim"))
    parts: list[RenderableType] = [counts]
    parts += [Text(f"{count} skipped: {why}", "dim") for why, count in (skipped or {}).items()]
    if not outcome.failures:
        return Group(*parts)
    failures = Listing("file", "code", "why")
    for failure in outcome.failures:
        source = without_secrets(str(failure.source))
        failures.add_row(plain(source), failure.code, plain(failure.message))
    return Group(*parts, Text(), failures)


def _knows_name(video: schemas.VideoAnswer, file: Path) -> bool:
    """Whether the stored bytes need not be sent again to have the file's name kept, too.

    A name that the service keeps in another form than it has here would be new each time.
    """
    name = label(file.name)
    is_kept_as_it_is = name.isprintable() and name == name.strip() and "\\" not in name
    has_room = len(video.further_names) < _FURTHER_NAMES
    return name in (video.filename, *video.further_names) or not (is_kept_as_it_is and has_room)


class _Following:
    """Files in progress: what was sent, and the jobs that have not ended."""

    def __init__(
        self, client: Client, collection: str, view: IngestView, unfinished: Unfinished | None
    ) -> None:
        self._client = client
        self._collection = collection
        self._view = view
        self._unfinished = unfinished
        self._stored: dict[int, list[schemas.VideoAnswer]] = {}  # by size in bytes
        self._looked_at = time.monotonic()
        self.waiting: dict[str, list[tuple[Source, bool]]] = {}  # by job; whether its bytes are new
        self.outcome = Outcome()

    def look_up_stored(self, items: Sequence[Item]) -> None:
        """List what the collection holds; if it does not exist, each file reports so."""
        if not any(isinstance(item.source, Path) for item in items):
            return
        try:
            for video in self._client.videos(collection=self._collection):
                if video.status != "failed":  # else it is worth another try
                    self._stored.setdefault(video.size_bytes, []).append(video)
        except ServiceAway:
            raise
        except ApiError:
            return

    def send(self, item: Item) -> None:
        """Send a file and follow its job; a duplicate's too, since the first copy may yet fail."""
        try:
            uploaded = self._hand_in(item)
        except ServiceAway:
            raise
        except ApiError as error:
            self._fail(item.source, error.code, error.message)
        except OSError as error:
            self._fail(item.source, "unreadable_file", f"{error.strerror or error}.")
        else:
            if uploaded.job.status in _OPEN:
                of_job = self.waiting.setdefault(uploaded.job.id, [])
                of_job.append((item.source, uploaded.is_new))
            else:
                self._settle(item.source, uploaded.job, uploaded.is_new)
        self._view.sent(item.size_bytes)

    def _hand_in(self, item: Item) -> Uploaded:
        source, metadata = item.source, item.metadata
        if not isinstance(source, Path):
            return self._client.upload_url(source, collection=self._collection, metadata=metadata)
        video = self._find_stored(source)
        if video is not None and _knows_name(video, source):
            self._add_keys(video, metadata)
            return Uploaded(video, self._client.job(video.job_id), is_new=False)
        self._view.sends(source.name)

        def progress(arrived: int) -> None:
            self._view.arrived(arrived)
            self.look_if_due()

        return self._client.upload(
            source,
            collection=self._collection,
            metadata=metadata,
            on_progress=progress,
            unfinished=self._unfinished,
        )

    def _add_keys(self, video: schemas.VideoAnswer, metadata: Mapping[str, JsonValue]) -> None:
        """What this file says of itself and the stored video lacks, as if it were sent again."""
        merged = {**metadata, **video.metadata}
        if merged.keys() != video.metadata.keys():
            self._client.describe_video(video.id, merged, collection=self._collection)

    def _find_stored(self, file: Path) -> schemas.VideoAnswer | None:
        """The stored video of the same bytes; a file of a size of its own need not be read."""
        alike = self._stored.get(file.stat().st_size, ())
        if not alike:
            return None
        with file.open("rb") as reader:
            sha256 = hashlib.file_digest(reader, "sha256").hexdigest()
        return next((video for video in alike if video.sha256 == sha256), None)

    def look_if_due(self) -> None:
        """Poll the jobs, unless that was done a moment ago."""
        if time.monotonic() - self._looked_at > _LONGEST_PAUSE_S:
            self.look()

    def look(self) -> None:
        """Count the jobs that have ended, and show how far the others are."""
        unended = {
            job.id: job
            for status in _OPEN
            for job in self._client.jobs(collection=self._collection, status=status)
            if job.id in self.waiting
        }
        for job_id in [job_id for job_id in self.waiting if job_id not in unended]:
            try:
                job = self._client.job(job_id)
            except ServiceAway:
                raise
            except ApiError as error:  # deleted meanwhile, with its video
                for source, _ in self.waiting.pop(job_id):
                    self._fail(source, error.code, error.message)
                continue
            if job.status not in _OPEN:  # else it was begun between the two lists
                for source, is_new in self.waiting.pop(job_id):
                    self._settle(source, job, is_new)
        running = [
            (str(self.waiting[job.id][0][0]), job)
            for job in unended.values()
            if job.status == "running" and job.id in self.waiting
        ]
        self._view.show(self.outcome.ended, running, len(self.waiting) - len(running))
        self._looked_at = time.monotonic()

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
        self.outcome.failures.append(IngestFailure(source, code, message))
