"""Schema: the catalog's tables, in types that SQLite and PostgreSQL both accept."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite has no time zones: there it is kept naive and given its zone back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, which would silently mean the machine's own zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: the catalog keeps UTC only")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Every time that leaves the catalog is aware and in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite counts rows by itself only in a column whose type is spelled INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(naming_convention=NAMES)

collections = Table(
    "collections",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("fingerprint", String(64)),
    Column("dim", Integer),
    Column("window_s", Double, nullable=False),
    Column("stride_s", Double, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("calibration", String(100)),
    Column("recall_candidates", Integer),
)

videos = Table(
    "videos",
    metadata,
    Column("id", String(40), primary_key=True),
    Column(
        "collection", String(63), ForeignKey("collections.name", ondelete="CASCADE"), nullable=False
    ),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("container", Text),
    Column("codec", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("duration_s", Double),
    Column("lost_s", Double),
    Column("metadata", JSON, nullable=False),
    # What the same bytes were called when they were sent again.
    Column("further_names", JSON, nullable=False, server_default="[]"),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("created_at", UtcDateTime, nullable=False),
    # The latest job. Not a foreign key: jobs are a log, and point at videos that may be gone.
    Column("job_id", String(40), nullable=False),
    UniqueConstraint("collection", "sha256"),
    Index("ix_videos_collection_id", "collection", "id"),
    Index("ix_videos_sha256", "sha256"),
)

# One row for each top-level scalar of a video's metadata, each scalar of a top-level list, and each
# key without any, so that filters are plain comparisons, alike in every database: see `terms.py`.
# The order of strings has no index: they may be longer than an entry of PostgreSQL's indexes.
metadata_terms = Table(
    "metadata_terms",
    metadata,
    Column("video_id", String(40), ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("term", Text),
    Column("number", LargeBinary),
    Column("string", LargeBinary),
    # With the video, so that a filter is answered by the index alone.
    Index("ix_metadata_terms_key_term_video_id", "key", "term", "video_id"),
    Index("ix_metadata_terms_key_number_video_id", "key", "number", "video_id"),
)

segments = Table(
    "segments",
    metadata,
    Column("row", RowNumber, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("collection", String(63), nullable=False),
    Column("video_id", String(40), ForeignKey("videos.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("start_s", Double, nullable=False),
    Column("end_s", Double, nullable=False),
    Column("tensor_file", Text, nullable=False),
    Column("tensor_offset", BigInteger, nullable=False),
    Column("tensor_length", BigInteger, nullable=False),
    Column("tensor_crc32", BigInteger, nullable=False),
    UniqueConstraint("video_id", "position"),
    Index("ix_segments_collection_row", "collection", "row"),
    sqlite_autoincrement=True,  # a row number is never used twice, even after its row is deleted
)

# Blobs in a table of their own: a scan over segments must not drag them through memory.
embeddings = Table(
    "embeddings",
    metadata,
    Column(
        "row",
        RowNumber,
        ForeignKey("segments.row", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian
)

label_sets = Table(
    "label_sets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("labels", JSON, nullable=False),
    Column("templates", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column(
        "collection_id",
        String(40),
        ForeignKey("collections.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False),
    # Not a foreign key: the change that removes a row outlives it.
    Column("row", BigInteger, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("collection", String(63), nullable=False),
    Column("video_id", String(40), nullable=False),
    Column("status", String(16), nullable=False),
    Column("stage", Text),
    Column("progress", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("searchable_at", UtcDateTime),
    Column("lease_owner", Text),
    Column("lease_token", String(64)),
    Column("lease_expires_at", UtcDateTime),
    # Counts every change to the row, so that followers know what they have seen.
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("not_before", UtcDateTime),
    Column("seconds_done", Double),
    Column("seconds_total", Double),
    # The key that sent the video, or nothing for work of the service's own.
    Column("owner", String(40), nullable=False, server_default=""),
    # Estimated seconds of the ingest, once a worker has looked at the file.
    Column("price_s", Double),
    Index("ix_jobs_status_id", "status", "id"),
    # A claim reads all that is queued, and only from here.
    Index("ix_jobs_turns", "status", "owner", "collection", "not_before", "price_s", "id"),
    Index("ix_jobs_video_id", "video_id"),
    Index("ix_jobs_not_before", "not_before"),  # few of those that wait pause: each claim asks
)

# Seconds of workers that keys, and collections within them, have received: see `sql/turns.py`.
turns = Table(
    "turns",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("collection", String(63), primary_key=True),
    Column("served_s", Double, nullable=False),
    Column("reached_s", Double, nullable=False),
)

# What the service makes up once and every process must agree on, such as the key of its cursors.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# A key is kept as the SHA-256 of its secret: the secret is 32 random bytes, so no slow hash is due.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("scope", String(8), nullable=False),
    Column("requests_per_minute", Integer),
    Column("concurrent_requests", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

# What an upload under an Idempotency-Key was answered; committed together with its video.
idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("collection", String(63), nullable=False),
    Column("video_id", String(40), nullable=False),
    Column("job_id", String(40), nullable=False),
    Column("queued", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Resumable uploads; how far one has come is the length of its file, nothing else. The length of the
# whole is -1 until it is told.
uploads = Table(
    "uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    Column(
        "collection", String(63), ForeignKey("collections.name", ondelete="CASCADE"), nullable=False
    ),
    Column("owner", String(40), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("video_id", String(40)),
    Column("job_id", String(40)),
    Index("ix_uploads_expires_at", "expires_at"),
)

# What a deletion still has to take off the disk; a row goes once its bytes are gone.
removals = Table(
    "removals",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("target", Text, nullable=False),
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
)
