"""Progress bar: how far a run is, its loss, and the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xclip.training.distributed import rank
from xclip.training.loop import Taken


@contextmanager
def progress(done: int, steps: int) -> Iterator[Callable[[Taken], None]]:
    """Show a bar, in the first process only; call what it yields after every step."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, disable=rank() != 0) as bar:
        task = bar.add_task("", total=steps, completed=done)
        yield lambda taken: bar.update(task, advance=1, description=f"loss {taken.loss:.4f}")
