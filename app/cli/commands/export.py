"""Export command: `export` writes segments, vectors and metadata as a table for other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.connection import Collection, Key, Url, connected
from app.cli.errors import reported
from app.cli.output import errors, output, plain

if TYPE_CHECKING:
    from xclip_search import Client, SegmentVector, schemas

Row = dict[str, Any]
Write = Callable[[Sequence[Row]], None]

COLUMNS = ("video_id", "filename", "segment_id", "index", "start", "end", "metadata", "model")
_ROWS_AT_ONCE = 4096


class NotInstalled(Exception):
    """A format needs an optional package; the message says how to install it."""

    code = "not_installed"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(export)


def export(
    file: Annotated[
        Path, typer.Argument(help="The file to write, ending in .parquet, .jsonl or .npz.")
    ],
    collection: Collection = "default",
    video: Annotated[
        list[str] | None,
        typer.Option(metavar="VIDEO_ID", help="Only this video; may be given several times."),
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write every segment of a collection with its vector and its video's metadata to a file."""
    form = _FORMS.get(file.suffix.lower())
    if form is None:
        raise typer.BadParameter(f"{file} must end in one of {', '.join(_FORMS)}")
    unreadable = 0
    written = 0
    with (
        reported(NotInstalled),
        connected(url, key) as client,
        _replacing(file) as incoming,
        form(incoming) as write,
    ):
        for rows in _batches(client, collection, video):
            sound = [row for row in rows if row["embedding"] is not None]
            unreadable += len(rows) - len(sound)
            written += len(sound)
            write(sound)
    output().print(plain(f"{written} segments in {file}"))
    if unreadable:
        errors().print(f"{unreadable} vectors could not be read and were left out.")


def _batches(client: Client, collection: str, wanted: list[str] | None) -> Iterator[list[Row]]:
    """The segments, in batches of at least some thousands but for the last."""
    from xclip_search import ApiError

    videos: Iterator[schemas.VideoAnswer]
    if wanted:
        videos = (client.video(video_id, collection=collection) for video_id in wanted)
    else:
        videos = client.videos(collection=collection, status="ready")
    batch: list[Row] = []
    for video in videos:
        try:
            answer = client.embeddings(video.id, collection=collection)
        except ApiError as error:
            if wanted or error.status != 404:  # else it was deleted since it was listed
                raise
            continue
        batch += [_row(video, answer.model, item) for item in answer.items]
        if len(batch) >= _ROWS_AT_ONCE:
            yield batch
            batch = []
    yield batch


def _row(video: schemas.VideoAnswer, model: str, item: SegmentVector) -> Row:
    return {
        "video_id": video.id,
        "filename": video.filename,
        "segment_id": item.segment_id,
        "index": item.index,
        "start": item.start,
        "end": item.end,
        "metadata": video.metadata,
        "model": model,
        "embedding": item.embedding,
    }


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside `file`; it replaces `file` at the end."""
    incoming = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield incoming
        incoming.replace(file)
    finally:
        incoming.unlink(missing_ok=True)


@contextmanager
def _jsonl(file: Path) -> Iterator[Write]:
    with file.open("w", encoding="utf-8") as lines:

        def write(rows: Sequence[Row]) -> None:
            for row in rows:
                lines.write(json.dumps({**row, "embedding": row["embedding"].tolist()}) + "\n")

        yield write


@contextmanager
def _npz(file: Path) -> Iterator[Write]:
    """One array a column, `embedding` of shape (segments, D); all of it is held in memory."""
    import numpy as np

    kept: list[Row] = []
    yield kept.extend
    kept = [{**row, "metadata": json.dumps(row["metadata"])} for row in kept]
    columns = {name: np.array([row[name] for row in kept]) for name in COLUMNS}
    vectors = [row["embedding"] for row in kept]
    columns["embedding"] = np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
    with file.open("wb") as opened:
        np.savez_compressed(opened, allow_pickle=False, **columns)


@contextmanager
def _parquet(file: Path) -> Iterator[Write]:
    """A row group a batch; metadata is JSON text, the vector a list of fixed length."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise NotInstalled(
            "Parquet needs pyarrow: pip install 'xclip-search[parquet]'. "
            "Files that end in .jsonl or .npz need nothing more."
        ) from None
    text, number = pa.string(), pa.float64()
    kinds = {"index": pa.int32(), "start": number, "end": number}
    fields = [(name, kinds.get(name, text)) for name in COLUMNS]
    writer: Any = None

    def write(rows: Sequence[Row]) -> None:
        nonlocal writer
        width = len(rows[0]["embedding"]) if rows else 0
        if writer is None:
            schema = pa.schema([*fields, ("embedding", pa.list_(pa.float32(), width))])
            writer = pq.ParquetWriter(file, schema)
        flat = [{**row, "metadata": json.dumps(row["metadata"])} for row in rows]
        writer.write_table(pa.Table.from_pylist(flat, writer.schema))

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


_FORMS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".npz": _npz,
}
