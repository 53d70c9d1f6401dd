"""Service commands: `serve` starts API and worker together; `api` and `worker` start one alone."""

from __future__ import annotations

import typer

_EPILOG = "Settings are environment variables: xclip-search settings lists them."


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (serve, api, worker):
        cli.command(epilog=_EPILOG)(command)


def serve() -> None:
    """Start the API and a worker, restart what dies, stop both on Ctrl-C or SIGTERM."""
    from app.cli import processes  # late here and below: the help needs no web server

    processes.run_both()


def api() -> None:
    """Start the REST API alone."""
    from app.cli import processes

    processes.run_api()


def worker() -> None:
    """Start one worker alone: the model server and the runner of ingest jobs."""
    from app.cli import processes

    processes.run_one_worker()
