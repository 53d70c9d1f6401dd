"""The database: its schema, its settings, and SQL that two databases understand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, event, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from app.catalog import Catalog, database
from app.catalog.errors import CatalogError, SchemaUnknown
from app.catalog.filters import parse_filter
from app.catalog.sql import tables
from tests.app.catalog.samples import HandClock, claim, ingest, new_video, rows_of

POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
SQLITE = sqlite.dialect()
OLD_METADATA = {"tags": ["a", "b"], "place": {"city": "x"}}


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = database.open_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_scripts_make_the_tables_the_code_knows(url: str) -> None:
    """A migrated database and `tables.py` agree on every table, column, index and constraint."""
    Catalog.open(url).close()
    with connected(url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        if connection.dialect.name == "sqlite":
            made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name='segments'")
            assert "AUTOINCREMENT" in made.scalar_one()


def test_opening_again_keeps_everything(url: str) -> None:
    """The second opening finds what the first left."""
    with Catalog.open(url) as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        video = ingest(catalog, "a", metadata={"title": "é"})
    with Catalog.open(url) as catalog:
        assert video == catalog.get_video("default", video.id)
        assert len(rows_of(catalog, video)) == 3


def test_an_older_database_can_be_filtered_in_every_way(url: str) -> None:
    """Videos from before filters knew order, lists and existence are found by them."""
    engine = database.open_engine(url)
    config = Config()
    config.set_main_option("script_location", "app.catalog:migrations")
    with database.for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _fill_first_schema(connection, videos=1_201)
    engine.dispose()
    with Catalog.open(url) as catalog:
        for wanted, count in (
            ({"n": {"gte": 1_000}}, 201),
            ({"n": 7, "tags": "b"}, 1),
            ({"tags": {"exists": True}}, 1_201),
            ({"place": {"exists": True}}, 1_201),
            ({"stale": 1}, 0),
        ):
            rows = catalog.eligible_rows("default", parse_filter(wanted))
            assert rows is not None
            assert count == rows.size


def _fill_first_schema(connection: Connection, videos: int) -> None:
    """A collection of videos of one segment, in the tables as they then were."""
    then = MetaData()
    then.reflect(connection)

    def put(table: str, *rows: dict[str, Any]) -> None:
        connection.execute(insert(then.tables[table]), list(rows))

    created = {"created_at": datetime(2026, 1, 1)}  # noqa: DTZ001  as SQLite keeps it
    about = {"name": "default", "model": "m", "window_s": 5, "stride_s": 2, "metadata": {}}
    put("collections", {"id": "col_1", **about, "sequence": 0, **created})
    of_all = {"collection": "default", "filename": "a", "content_type": "video/mp4", **created}
    of_all |= {"size_bytes": 1, "status": "ready", "duration_s": 5.0, "job_id": "job_1"}
    names = [(f"vid_{number}", number) for number in range(videos)]
    put(
        "videos",
        *(
            {"id": name, "sha256": str(n), "metadata": OLD_METADATA | {"n": n}, **of_all}
            for name, n in names
        ),
    )
    put("metadata_terms", {"video_id": "vid_0", "key": '"stale"', "term": "1"})
    tensor = {"tensor_file": "f", "tensor_offset": 0, "tensor_length": 1, "tensor_crc32": 0}
    place = {"collection": "default", "position": 0, "start_s": 0.0, "end_s": 5.0, **tensor}
    put("segments", *({"id": f"seg_{n}", "video_id": name, **place} for name, n in names))


def test_a_newer_database_is_refused(url: str) -> None:
    """A schema this program does not know is left alone, in words that say what to do."""
    Catalog.open(url).close()
    with connected(url) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(SchemaUnknown, match=r"9999.*newer"):
        Catalog.open(url)


def test_a_migration_that_dies_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come all at once or not at all, so that the next start begins cleanly."""
    engine = database.open_engine(url)

    @event.listens_for(engine, "before_cursor_execute")
    def die_late(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "CREATE TABLE embeddings" in statement:
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        database.migrate(engine)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    Catalog.open(url).close()


def test_sqlite_is_set_to_lose_nothing(tmp_path: Path) -> None:
    """Every connection writes ahead, syncs every commit, checks references and waits its turn."""
    engine = database.open_engine(f"sqlite:///{tmp_path / 'new' / 'catalog.db'}")
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            for pragma, value in (
                ("journal_mode", "wal"),
                ("synchronous", 2),
                ("foreign_keys", 1),
                ("busy_timeout", 30_000),
            ):
                assert value == connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
    engine.dispose()


def test_a_write_takes_its_turn_when_it_begins(tmp_path: Path) -> None:
    """A second writer cannot begin while the first has not ended; a reader can."""
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    Catalog.open(url).close()
    engine, other = database.open_engine(url), create_engine(url, connect_args={"timeout": 0})
    with database.for_writing(engine).begin(), engine.begin() as reader:
        assert reader.execute(select(tables.jobs.c.id)).all() == []
        with other.connect() as second, pytest.raises(OperationalError, match="locked"):
            second.exec_driver_sql("BEGIN IMMEDIATE")
    engine.dispose()
    other.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_memory_is_no_catalog(url: str) -> None:
    """A database that dies with the process is refused."""
    with pytest.raises(CatalogError, match="file"):
        Catalog.open(url)


def test_references_hold(catalog: Catalog) -> None:
    """No segment without its video, whatever a bug may try."""
    orphan = insert(tables.embeddings).values(row=1, vector=b"")
    with catalog._write() as connection, pytest.raises(IntegrityError):
        connection.execute(orphan)


def test_a_database_that_is_away_is_noticed(catalog: Catalog) -> None:
    """`ping` answers while there is a database, and raises when there is none."""
    catalog.ping()
    catalog.close()
    engine = create_engine("sqlite:////nowhere/at/all/catalog.db")
    with pytest.raises(OperationalError):
        Catalog(engine, HandClock(), bytes, 3, 20).ping()


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL])
def test_times_are_utc_in_every_database(dialect: Any) -> None:
    """A time goes in and comes out as the same moment, aware and in UTC; a naive one is refused."""
    column = tables.UtcDateTime()
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=5.5)))
    back = column.process_result_value(column.process_bind_param(moment, dialect), dialect)
    assert back is not None
    assert (moment, UTC) == (back, back.tzinfo)
    with pytest.raises(ValueError, match="naive"):
        column.process_bind_param(moment.replace(tzinfo=None), dialect)


def test_postgresql_takes_every_table() -> None:
    """All tables and indexes compile for PostgreSQL, with the types that it needs."""
    made = [
        str(CreateTable(table).compile(dialect=POSTGRESQL))
        for table in tables.metadata.sorted_tables
    ]
    indexes = [index for table in tables.metadata.tables.values() for index in table.indexes]
    made += [str(CreateIndex(index).compile(dialect=POSTGRESQL)) for index in indexes]
    schema = "\n".join(made)
    for part in ("row BIGSERIAL", "vector BYTEA", "TIMESTAMP WITH TIME ZONE", "metadata JSON"):
        assert part in schema


def test_postgresql_takes_every_statement(tmp_path: Path) -> None:
    """All that a full run executes compiles for PostgreSQL too."""
    seen: list[ClauseElement] = []
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}", clock=HandClock()) as catalog:

        @event.listens_for(catalog._engine, "before_execute")
        def note(_connection: Any, statement: ClauseElement, *_rest: Any) -> None:
            seen.append(statement)

        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        video = ingest(catalog, "a", metadata={"day": 1})
        for operand in (
            *({"day": [1, 2]}, {"day": {"gt": 1, "lt": "x"}}, {"not": {"day": {"exists": True}}}),
            *(
                {"video_id": video.id},
                {"video_id": {"gt": "a"}},
                {"created": "2026-01-01T00:00:00Z"},
            ),
            {"or": [{"start": 0, "duration": {"lt": 1}}, {"end": {"exists": True}}]},
        ):
            catalog.eligible_rows("default", parse_filter(operand), last_row=5)
        catalog.segments_by_rows([1, 2])
        catalog.update_video_metadata("default", video.id, {"day": 2})
        collection = catalog.update_collection_metadata("default", {"a": 1})
        catalog.changes_since(collection.id, 0)
        list(catalog.load_vectors(collection.id)[1])
        catalog.add_video_with_job("default", new_video("b"))
        job, token = claim(catalog)
        catalog.heartbeat(job.id, token, stage="decode", progress=0.5, lease_s=30)
        catalog.fail_job(job.id, token, code="c", message="m", retry=False)
        catalog.cancel_job(catalog.retry_job(job.id).id)
        for page in (catalog.list_jobs(status="queued"), catalog.list_videos("default", limit=1)):
            assert page.items is not None
        catalog.list_videos("default", catalog.list_videos("default", limit=1).next_cursor)
        catalog.delete_video("default", video.id)
        catalog.delete_collection("default")
    compiled = "\n".join(str(statement.compile(dialect=POSTGRESQL)) for statement in seen)
    for part in ("FOR UPDATE", "SKIP LOCKED", "RETURNING collections.sequence"):
        assert part in compiled
