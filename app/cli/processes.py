"""Service processes: what `serve`, `api` and `worker` do; only they load a web server."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import typer

from app import failpoints
from app.cli.supervisor import Supervisor
from app.server.listener import PortBusy, bind, run_app
from app.server.stop_signals import leave, on_stop_signals
from app.service_urls import base_url
from app.settings import Settings, SettingsError, load_settings, variable
from app.telemetry.logs import configure_logging
from xclip_search.addresses import is_loopback, without_secrets

# A supervisor that sees one of these stops, because a restart would fail the same way.
EXIT_CONFIG = os.EX_CONFIG
EXIT_PORT_BUSY = os.EX_UNAVAILABLE

_ALL_ADDRESSES = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  each shares every other's ports
READINESS_TIMEOUT_S = 7.0  # /readyz itself takes up to 6 s, as on a machine that is busy

logger = logging.getLogger(__name__)


def run_both() -> None:
    """Run API and worker as processes of their own until stopped. Raises typer.Exit."""
    with _reported_errors():
        settings = _begin()
        _check_ports(settings)
        _check_catalog(settings, open_to_others=not is_loopback(settings.host))
        _listen(settings, "host", "port").close()
        _listen(settings, "worker_host", "worker_port").close()
        stop = threading.Event()
        supervisor = Supervisor(
            {name: _command(name) for name in ("api", "worker")},
            grace_s=settings.shutdown_grace_s,
            final_statuses=(EXIT_CONFIG, EXIT_PORT_BUSY),
        )
        on_stop_signals(lambda: supervisor.kill() if stop.is_set() else stop.set())
        announcement = _Announcement(settings)
        status = supervisor.run(stop, announcement.check)
    raise typer.Exit(status)


def run_api() -> None:
    """Serve the REST API in this process. Raises typer.Exit."""
    with _reported_errors():
        settings = _begin()
        _check_catalog(settings, open_to_others=not is_loopback(settings.host))
        on_stop_signals(leave)  # until the server handles them
        with _listen(settings, "host", "port") as listener:
            # imported late: a busy port is known by then, and clients never need it
            from app.main import create_app
            from app.telemetry.tracing import tracing

            with tracing(settings.otlp_url, "api"):
                stopping = threading.Event()
                app = create_app(settings, stopping=stopping)
                run_app(app, listener, settings, on_stop=stopping.set)
    leave()


def run_one_worker() -> None:
    """Run a worker in this process. Raises typer.Exit."""
    with _reported_errors():
        settings = _begin()
        _check_catalog(settings, open_to_others=False)
        on_stop_signals(leave)  # until the server handles them
        with _listen(settings, "worker_host", "worker_port") as listener:
            from app.telemetry.tracing import tracing
            from app.worker.main import run_worker  # late for the same reasons, and PyTorch is big
            from xclip.video.sandbox.process import stop_fork_server

            with tracing(settings.otlp_url, "worker"):
                run_worker(settings, listener)
    stop_fork_server()
    leave()


class _Announcement:
    """Prints the service's URL once, as soon as it is ready."""

    def __init__(self, settings: Settings) -> None:
        self._url = base_url(settings.host, settings.port)
        self._made = False

    def check(self) -> None:
        if self._made:
            return
        try:
            answer = httpx.get(f"{self._url}/readyz", timeout=READINESS_TIMEOUT_S, trust_env=False)
        except httpx.TransportError:
            return
        if answer.status_code == httpx.codes.OK:
            self._made = True
            typer.echo(f"X-CLIP Search is ready: {self._url}")


def _begin() -> Settings:
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    failpoints.configure(os.environ.get(failpoints.VARIABLE, ""))
    return settings


def _check_ports(settings: Settings) -> None:
    """Raises SettingsError where API and worker would take one port from each other for ever."""
    hosts = {settings.host, settings.worker_host}
    if settings.port == settings.worker_port and (len(hosts) == 1 or hosts & _ALL_ADDRESSES):
        raise SettingsError(
            f"{variable('port')} and {variable('worker_port')} are both {settings.port}: API and "
            "worker need a port each."
        )


def _check_catalog(settings: Settings, *, open_to_others: bool) -> None:
    """Open catalog and data folder once, before a process starts that would restart for ever.

    open_to_others : refuse to go on without a key. Raises SettingsError.
    """
    # late: a client needs none of it
    from app.catalog.errors import DATABASE_ERRORS, CatalogError
    from app.storage.errors import MaintenanceError
    from app.storage.library_identity import check_catalog_url, open_catalog
    from app.storage.write_check import check_writable

    try:
        check_catalog_url(settings)
        check_writable(settings.layout)
        with open_catalog(settings) as catalog:
            catalog.check_writable()
            has_key = bool(catalog.keys_in_force())
    except (MaintenanceError, CatalogError) as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        is_file = isinstance(error, FileExistsError)
        raise SettingsError(
            f"{variable('data_dir')}={settings.data_dir} cannot be used: {error.filename}: "
            f"{'a file or a broken link, not a folder' if is_file else error.strerror}"
        ) from error
    except DATABASE_ERRORS as error:
        if not settings.catalog_url.startswith("sqlite"):
            logger.warning("the catalog does not answer yet: %s", str(error).splitlines()[0])
            return  # a server may still be starting: those who need it try again
        raise SettingsError(
            f"the catalog {settings.catalog_url.removeprefix('sqlite:///')} cannot be used: "
            f"{getattr(error, 'orig', None) or str(error).splitlines()[0]}"
        ) from error
    if open_to_others and not has_key:
        raise SettingsError(
            f"{variable('host')}={settings.host} is an address that other machines reach, and "
            "there is no key: anyone who reaches it could read, add and delete everything. Make "
            "one with `xclip-search keys create NAME --scope admin`, or listen on 127.0.0.1."
        )


def _listen(settings: Settings, host_field: str, port_field: str) -> socket.socket:
    """The listening socket that two settings name. Raises PortBusy, SettingsError."""
    host, port = getattr(settings, host_field), getattr(settings, port_field)
    try:
        return bind(host, port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise SettingsError(
            f"{variable(host_field)}={host} with {variable(port_field)}={port} cannot be listened "
            f"on: {reason}."
        ) from error


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "app.cli.main", name]


@contextmanager
def _reported_errors() -> Iterator[None]:
    """An error that the operator can fix ends with one line and its own status, no traceback."""
    try:
        yield
    except PortBusy as error:
        typer.echo(f"error: {without_secrets(str(error))}", err=True)
        raise typer.Exit(EXIT_PORT_BUSY) from None
    except SettingsError as error:
        typer.echo(f"error: {without_secrets(str(error))}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
