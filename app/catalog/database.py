"""Database connection: opens SQLite or PostgreSQL durably and migrates the schema."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry

from app.catalog.errors import CatalogError, DatabaseUrlInvalid, SchemaUnknown

BUSY_TIMEOUT_S = 30.0
WRITE = "catalog_write"  # execution option: this transaction will write
MIGRATION_LOCK = 0x58434C4950  # "XCLIP": the advisory lock that PostgreSQL migrations queue on

_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")

# Alembic keeps the migration it runs in module globals: one at a time in a process.
_migrating = threading.Lock()


def open_engine(url: str) -> Engine:
    """An engine for `url` (SQLite file or PostgreSQL), its schema not yet looked at.

    Raises DatabaseUrlInvalid.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        return _postgresql(parsed)
    if not parsed.database or parsed.database == ":memory:":
        raise CatalogError("the catalog needs an SQLite file: memory is not shared or kept")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed, pool_size=16, max_overflow=48, connect_args={"timeout": BUSY_TIMEOUT_S}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def check_database_url(url: str) -> None:
    """Raise DatabaseUrlInvalid for what is no database here, or for one without its driver."""
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        _postgresql(parsed).dispose()


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database. Raises DatabaseUrlInvalid."""
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


def holds_catalog(url: str) -> bool:
    """Whether there is a catalog, of any version: opening makes one where there is none.

    Of an SQLite file it is enough that it holds anything: what is damaged or of another program is
    for `open_engine` to refuse. Raises DatabaseUrlInvalid, and SQLAlchemyError for a server that
    does not answer.
    """
    file = sqlite_file(url)
    if file is not None:  # its last changes may be in the journal beside it
        journal = file.with_name(f"{file.name}-wal")
        return any(path.is_file() and path.stat().st_size for path in (file, journal))
    engine = open_engine(url)
    try:
        return inspect(engine).has_table("alembic_version")
    finally:
        engine.dispose()


def shown_url(url: str) -> str:
    """The database as messages name it: an SQLite file's path, or a URL without its secrets."""
    return str(sqlite_file(url) or _parse(url).set(query={}).render_as_string(hide_password=True))


def _parse(url: str) -> URL:
    """The URL of a database that is supported, with the home folder for `~` in a file's path.

    Messages leave out its password.
    """
    try:
        parsed = make_url(url)
        port_is_number = parsed.port is None or 0 < parsed.port < 1 << 16
    except (ArgumentError, ValueError):
        raise DatabaseUrlInvalid("it is not the URL of a database") from None
    if parsed.drivername not in _DRIVERS:
        raise DatabaseUrlInvalid(
            f"{parsed.drivername} is not supported: it must begin with sqlite:///, or with "
            "postgresql+psycopg://"
        )
    if not port_is_number:
        raise DatabaseUrlInvalid(f"{parsed.port} is not a port")
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return parsed
    if parsed.database.startswith("file:"):
        raise DatabaseUrlInvalid("it must name a file after sqlite:///, not another URL")
    try:
        return parsed.set(database=str(Path(parsed.database).expanduser()))
    except RuntimeError:
        raise DatabaseUrlInvalid(f"there is no home folder for {parsed.database}") from None


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(url, pool_size=16, max_overflow=48, pool_pre_ping=True)
    except ImportError as error:
        raise DatabaseUrlInvalid(
            f"the driver {error.name} is not installed; install xclip-search[postgresql] and begin "
            "the URL with postgresql+psycopg://"
        ) from error
    except (NoSuchModuleError, ArgumentError) as error:
        raise DatabaseUrlInvalid(
            f"{url.drivername} is not supported: it must begin with postgresql+psycopg://"
        ) from error


def for_reading(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions see one state however many queries they send.

    SQLite's do so anyway. PostgreSQL's see with each query what was committed until then.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def for_writing(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions take the write lock when they begin."""
    return engine.execution_options(**{WRITE: True})


def migrate(engine: Engine) -> None:
    """Bring the schema to its newest form; any number of processes may do so at once.

    Everything happens in one write transaction, so the others wait and then find nothing to do,
    and a process that dies half-way leaves the schema as it was.
    """
    config = Config()
    config.set_main_option("script_location", "app.catalog:migrations")
    with _migrating, for_writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SchemaUnknown(
                f"the database's schema is not known to this version of the program ({error}); "
                "use the version that last wrote it, or a newer one"
            ) from error


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    """Set what SQLite forgets with every connection."""
    connection.isolation_level = None  # the driver's own BEGIN comes late, and never for reads
    with closing(connection.cursor()) as cursor:
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits with power
        cursor.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """The switch does not wait for other connections as statements do: try until it is done."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            (mode,) = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise CatalogError(f"the file system does not carry SQLite's WAL (got {mode!r})")
        return


def _begin_sqlite(connection: Connection) -> None:
    """Writers queue when they begin: a read that turns into a write would fail with 'locked'."""
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
