"""Progress display of `ingest`: two bars, and a row for each video being processed.

Only a terminal is shown it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.cli.output import moment, plain

if TYPE_CHECKING:
    from xclip_search import schemas

_MOST_ROWS = 8  # of running jobs: a terminal is about three times as high


class IngestView:
    """A live table; within the block it is on the terminal, and its bars stay there afterwards."""

    def __init__(self, console: Console, bytes_total: int, videos_total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self._sending = _Bar(self._progress, "sending", bytes_total, decimal)
        self._searchable = _Bar(
            self._progress, "making searchable", videos_total, lambda n: f"{int(n)} videos"
        )
        self._sent_bytes = 0
        self._name: str | None = None
        self._arrived = 0
        self._running: Sequence[tuple[str, schemas.JobAnswer]] = ()
        self._queued = 0
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._live.console.is_interactive:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._name, self._running, self._queued = None, (), 0
        self._live.stop()

    def sends(self, name: str) -> None:
        """A file begins to be sent."""
        self._name, self._arrived = name, 0

    def arrived(self, count: int) -> None:
        """`count` bytes of the current file have arrived."""
        self._arrived = count
        self._sending.show(self._sent_bytes + count)

    def sent(self, size_bytes: int) -> None:
        """A file is complete, whether all of it had to be sent or none."""
        self._sent_bytes += size_bytes
        self._name = None
        self._sending.show(self._sent_bytes)

    def show(
        self, ended: int, running: Sequence[tuple[str, schemas.JobAnswer]], queued: int
    ) -> None:
        """`ended` jobs are finished, `running` ones are in progress, and `queued` wait."""
        self._searchable.show(ended + sum(job.progress for _, job in running))
        self._running, self._queued = running, queued

    def _render(self) -> RenderableType:
        rows = Table(box=None, pad_edge=False, show_header=False)
        if self._name is not None:
            rows.add_row(plain(self._name), "sending", decimal(self._arrived), "")
        for name, job in self._running[:_MOST_ROWS]:
            share = f"{job.progress:.0%}"
            left = "" if job.eta_s is None else f"{moment(job.eta_s)} left"
            rows.add_row(plain(name.rsplit("/", 1)[-1]), job.stage or "", share, left)
        if self._queued:
            rows.add_row(Text(f"{self._queued} waiting in the queue", style="dim"))
        return Group(self._progress, rows) if rows.row_count else self._progress


class _Bar:
    """One line of progress, counted in its own unit."""

    def __init__(
        self, progress: Progress, name: str, total: int, unit: Callable[[int], str]
    ) -> None:
        self._progress = progress
        self._unit = unit
        self._total = total
        self._task = progress.add_task(name, total=total, count="")
        self.show(0)

    def show(self, completed: float) -> None:
        """Set the bar to `completed`, in its own unit."""
        count = f"{self._unit(int(completed))} of {self._unit(self._total)}"
        self._progress.update(self._task, completed=completed, count=count)
