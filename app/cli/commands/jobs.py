"""Job commands: `jobs` lists, watches, cancels and retries ingest jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.live import Live

from app.cli.connection import AsJson, Key, Url, connected
from app.cli.output import Listing, figure, output, plain
from app.cli.tables import print_items

if TYPE_CHECKING:
    from xclip_search import Client, schemas

JobId = Annotated[str, typer.Argument(help="The id of a job; `jobs` prints them.")]
SHOWN = 20
Status = Literal["queued", "running", "succeeded", "failed", "canceled"]
# A job may begin, or go back to the queue, between two looks: in this order one of them sees it.
_UNENDED: tuple[Status, ...] = ("queued", "running", "queued")
_LOOK_EVERY_S = 1.0


def register(cli: typer.Typer) -> None:
    """Add the command and what it can do."""
    jobs = typer.Typer(help="List, watch, cancel or retry jobs.", invoke_without_command=True)
    jobs.callback()(list_jobs)
    jobs.command("cancel")(cancel)
    jobs.command("retry")(retry)
    cli.add_typer(jobs, name="jobs")


def list_jobs(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Watch until no job is waiting or running.")
    ] = False,
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection's.")] = None,
    top: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = SHOWN,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the newest jobs."""
    if context.invoked_subcommand:
        return
    with connected(url, key) as client:
        if watch:
            _watch(client, collection, top)
            return
        from xclip_search.library import jobs_page  # late: the help needs no client

        page = client.run(jobs_page(collection=collection, status=status, limit=top))
    if as_json:
        print_items(page.items)
    else:
        output().print(_table(page.items))


def cancel(job_id: JobId, url: Url = None, key: Key = None) -> None:
    """Cancel a job that has not ended."""
    with connected(url, key) as client:
        typer.echo(client.cancel(job_id).status)


def retry(job_id: JobId, url: Url = None, key: Key = None) -> None:
    """Queue a job that failed or was canceled again."""
    with connected(url, key) as client:
        typer.echo(client.retry(job_id).status)


def _watch(client: Client, collection: str | None, top: int) -> None:
    """Show the unended jobs, oldest first as they are taken up, until there are none.

    A job that was shown once stays, so that its end is seen. A pipe gets the jobs at the end only.
    """
    shown: dict[str, schemas.JobAnswer] = {}
    console = output()
    with (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live
    ):
        while True:
            unended: dict[str, schemas.JobAnswer] = {}
            for status in _UNENDED:
                unended |= {
                    job.id: job for job in client.jobs(collection=collection, status=status)
                }
            for job_id in shown.keys() - unended.keys():
                if shown[job_id].finished_at is None:
                    shown[job_id] = client.job(job_id)
            shown |= dict(sorted(unended.items()))
            if live is not None:
                live.update(_table(list(shown.values())[-top:]), refresh=True)
            if not unended:
                break
            time.sleep(_LOOK_EVERY_S)
    if live is None:
        console.print(_table(list(shown.values())))


def _table(jobs: Sequence[schemas.JobAnswer]) -> Listing:
    names = ("=job", "collection", "video", "=status", "stage")
    table = Listing(*names, "done>", "left>", "why")
    for job in jobs:
        left = "" if job.eta_s is None else figure(job.eta_s, ".0f", " s")
        why = plain(f"{job.error.message} ({job.error.code})" if job.error else "")
        done = figure(job.progress, ".0%")
        row = (job.id, job.collection, job.video_id, job.status, job.stage or "")
        table.add_row(*row, done, left, why)
    return table
