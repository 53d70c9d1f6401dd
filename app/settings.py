"""Every setting of the service, read from `XCLIP_*` environment variables and passed in from there.

A variable that starts with `XCLIP_` but is no setting prevents the start: a misspelt limit must not
silently have no effect. `XCLIP_TEST_*` belongs to the test suite and
`XCLIP_API_KEY` and `XCLIP_URL` to the clients; they are left alone.
An empty value counts as not set, so a compose file may pass `XCLIP_MODEL=${XCLIP_MODEL:-}` on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.data_layout import DataLayout
from app.fetch.rules import UrlRules
from app.service_urls import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    KEY_VARIABLE,
    URL_VARIABLE,
    base_url,
    check_url,
    parse_base_urls,
)
from app.validation_words import reason

PREFIX = "XCLIP_"
TEST_PREFIX = "XCLIP_TEST_"

Port = Annotated[int, Field(ge=1, le=65535)]
StoredPrecision: TypeAlias = Literal["int8", "float16"]
_MOST_INGESTS = 8
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
# Refusals of these name the part that is wrong instead of the whole value.
_MAY_HOLD_A_PASSWORD = frozenset({"XCLIP_WORKER_URL", "XCLIP_OTLP_URL", "XCLIP_DATABASE_URL"})
LogFormat: TypeAlias = Literal["text", "json"]
# Longer ones overflow the times that they are added to, and shorter ones are none to a clock.
PositiveSeconds = Annotated[float, Field(ge=0.001, le=100_000_000, allow_inf_nan=False)]
_LARGEST = 2**63 - 1  # what a database holds


class SettingsError(Exception):
    """The environment has invalid settings; the message names each variable."""

    code: ClassVar[str] = "settings_invalid"


class Settings(BaseModel):
    """One immutable value, made by `load_settings` in a process and by its fields in a test."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data_dir: Path = Path("xclip-data")
    """Folder of everything the service keeps: catalog, videos, thumbnails, tensors."""
    database_url: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL of the catalog; not set: the file catalog.sqlite in the data folder."""

    host: str = DEFAULT_HOST
    """Address the API listens on; any but a loopback address requires that a key exists."""
    port: Port = DEFAULT_PORT
    """Port the API listens on."""
    worker_host: str = "127.0.0.1"
    """Address the worker's internal model server listens on."""
    worker_port: Port = 8001
    """Port the worker's internal model server listens on."""
    worker_url: str | None = None
    """Where the API finds the worker, as http://host:port, or several, joined by commas; not set:
    worker_host and worker_port."""
    allowed_hosts: str | None = None
    """Host names, joined by commas, that browsers may use beside the service's address, such as a
    proxy's name. Without keys the service accepts only these and this machine's own."""
    key_requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests a minute for a key without its own limit; not set: no limit."""
    key_concurrent_requests: Annotated[int, Field(ge=1)] | None = None
    """Requests at once for a key without its own limit; not set: no limit."""
    wrong_keys_per_minute: Annotated[int, Field(ge=1)] = 30
    """Wrong keys a minute from one address; further ones get 429 instead of 401."""

    model: str = "motion-tiny"
    """The X-CLIP checkpoint: motion-tiny (in the package), a folder, or a Hugging Face hub id."""
    model_revision: str | None = None
    """Branch, tag or commit of a hub id; not set: the default branch."""
    device: str = "auto"
    """Where the model runs: auto, cpu, cuda, or cuda:N."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads for the model and for the index; not set: what PyTorch and FAISS choose."""

    window_s: PositiveSeconds = 5.0
    """Length of a segment in seconds, for collections created without one."""
    stride_s: PositiveSeconds = 2.5
    """Seconds between the starts of two segments, for collections created without them."""

    prompt_precision: StoredPrecision = "int8"
    """How the patches that texts are conditioned on are stored: int8 takes half of float16."""

    max_upload_bytes: Annotated[int, Field(ge=1, le=_LARGEST)] = 2 * 1024**3
    """Largest video file accepted, in bytes."""
    min_free_bytes: Annotated[int, Field(ge=0, le=_LARGEST)] = 512 * 1024**2
    """Disk space an upload must leave free in the data folder, in bytes; searches need none."""
    max_pixels: Annotated[int, Field(ge=1)] = 36_000_000
    """Largest frame decoded, in pixels (width times height)."""
    url_ingest: str = "off"
    """From where the service may fetch videos by URL: off, public, or hosts, addresses and
    networks joined by commas, each with an optional port (docs/url-ingest.md)."""
    url_timeout_s: PositiveSeconds = 600.0
    """Longest time in seconds for fetching a video by URL."""
    decode_timeout_s: PositiveSeconds = 1800.0
    """Wall-clock seconds after which the decoding of one video is killed."""
    decode_memory_bytes: Annotated[int, Field(ge=64 * 1024**2)] = 1024**3
    """Memory the decoder of one video may take, in bytes."""

    lease_s: PositiveSeconds = 30.0
    """Seconds without a heartbeat after which another worker may take a job over."""
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    """How often a job is started before it counts as failed."""
    max_ingests: Annotated[int, Field(ge=0, le=64)] | None = None
    """Videos that a worker ingests at once, and one short one more beside nothing but long ones;
    0: it answers queries only; not set: one for each processor, at most 8."""
    recall_candidates: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Segments the index recalls for each search, which the model then scores exactly."""
    exact_up_to: Annotated[int, Field(ge=0)] = 300_000
    """Segments of a collection, or after a filter, up to which every vector is compared; above it
    2-bit codes select the candidates (docs/search.md)."""

    head_timeout_s: PositiveSeconds = 10.0
    """Seconds a client has for the head of a request, from its first byte or the connection."""
    body_timeout_s: PositiveSeconds = 30.0
    """Seconds over which the speed of a body is measured, and after which a silent one is cut."""
    body_bytes_per_s: Annotated[int, Field(ge=1)] = 1024
    """Least bytes a second that a body must bring, on average over body_timeout_s."""
    answer_timeout_s: PositiveSeconds = 60.0
    """Seconds after which a client that reads nothing of its answer is disconnected."""
    answer_bytes_per_s: Annotated[int, Field(ge=1)] = 4096
    """Least bytes a second that a client must read of an answer that waits for it, on average over
    answer_timeout_s."""
    keep_alive_s: PositiveSeconds = 15.0
    """Seconds a connection stays open without a request."""
    max_connections: Annotated[int, Field(ge=1)] = 512
    """Connections open at once; beyond it an idle one is closed, else the new one gets 503."""
    max_connections_per_address: Annotated[int, Field(ge=1)] = 256
    """Connections of one address open at once, of an IPv6 network of 64 bits too; raise it where a
    reverse proxy opens them all."""

    max_queries: Annotated[int, Field(ge=1, le=64)] = 2
    """Searches, classifications and heat maps of stored videos that run at once."""
    max_query_wait_s: PositiveSeconds = 1.0
    """Longest wait of such a query for its turn, in seconds; one that would wait longer is refused
    at once, one that has waited so long then."""
    max_clips: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests at once that search by, classify or export a clip."""
    max_uploads: Annotated[int, Field(ge=1, le=256)] = 16
    """Videos received at once."""
    max_queue_wait_s: PositiveSeconds = 24 * 3600.0
    """Seconds that a new video may wait for its ingest, estimated from recent ingests; beyond it
    uploads get 429."""
    max_queued_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Ingest jobs that may wait; beyond it uploads get 429."""

    max_open_uploads: Annotated[int, Field(ge=1)] = 256
    """Resumable uploads that a key may have announced and not finished; beyond it 429."""
    max_failed_bytes: Annotated[int, Field(ge=0)] = 10 * 1024**3
    """Bytes that a key's failed videos may take, which are kept for a retry; beyond it its uploads
    get 507 until it deletes some."""

    shutdown_grace_s: PositiveSeconds = 10.0
    """Seconds that running requests and jobs get to end after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""
    log_format: LogFormat = "text"
    """Format of the log: text or json, one object per line."""
    otlp_url: str | None = Field(default=None, repr=False)
    """Where traces are sent by OpenTelemetry over HTTP, such as http://127.0.0.1:4318; not set:
    nowhere. Takes the extra otel."""

    @property
    def catalog_url(self) -> str:
        """The SQLAlchemy URL of the catalog, with the default filled in."""
        return self.database_url or f"sqlite:///{self.layout.catalog.absolute()}"

    @property
    def ingests_at_once(self) -> int:
        """How many jobs a worker has in progress, with the default filled in."""
        if self.max_ingests is not None:
            return self.max_ingests
        return min(_MOST_INGESTS, len(os.sched_getaffinity(0)))

    @property
    def layout(self) -> DataLayout:
        """The paths below the data folder."""
        return DataLayout(self.data_dir)

    @property
    def hosts_allowed(self) -> frozenset[str]:
        """The names of `allowed_hosts`."""
        names = (name.strip().lower() for name in (self.allowed_hosts or "").split(","))
        return frozenset(filter(None, names))

    @property
    def worker_base_urls(self) -> tuple[str, ...]:
        """Where the API finds its workers, each once, with the default filled in."""
        if self.worker_url is None:
            return (base_url(self.worker_host, self.worker_port),)
        return parse_base_urls(self.worker_url)

    @field_validator("data_dir", "model", mode="before")
    @classmethod
    def _expand_home(cls, setting: object) -> object:
        """A shell expands `~`; a compose file, a unit of systemd and a quoted value do not."""
        if not isinstance(setting, str):
            return setting
        if setting[:1] in "\"'$" or "\0" in setting:
            raise ValueError("no shell takes quotes away or puts variables in: write the path out")
        if not setting.startswith("~"):
            return setting
        try:
            return str(Path(setting).expanduser())
        except RuntimeError:
            raise ValueError("there is no such home folder") from None

    @field_validator("device")
    @classmethod
    def _check_device(cls, setting: str) -> str:
        if not _DEVICE.fullmatch(setting):
            raise ValueError("it must be auto, cpu, cuda, or cuda:N")
        return setting

    @field_validator("url_ingest")
    @classmethod
    def _check_url_ingest(cls, setting: str) -> str:
        UrlRules.parse(setting)
        return setting

    @field_validator("worker_url")
    @classmethod
    def _check_worker_url(cls, setting: str | None) -> str | None:
        return None if setting is None else ",".join(parse_base_urls(setting))

    @field_validator("otlp_url")
    @classmethod
    def _check_otlp_url(cls, setting: str | None) -> str | None:
        if setting is not None:
            check_url(setting)
        return setting

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.stride_s > self.window_s:
            raise ValueError(
                f"stride_s {self.stride_s} is longer than window_s {self.window_s}, "
                "so parts of a video would belong to no segment"
            )
        return self


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` (usually `os.environ`) describes.

    Raises
    ------
    SettingsError
        If an `XCLIP_*` variable is unknown or its value is refused; all of them are named.
    """
    values = {
        _field(name): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and not name.startswith(TEST_PREFIX)
        and value != ""
        and name not in (KEY_VARIABLE, URL_VARIABLE)
    }
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + field.upper()


def _field(name: str) -> str:
    """The field that a variable sets; a name in other letters than capitals is none's.

    Two spellings of one variable would replace each other.
    """
    return name[len(PREFIX) :].lower() if name == name.upper() else name


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One line of the settings' documentation."""

    variable: str
    default: str
    description: str


def describe_settings() -> list[SettingDescription]:
    """Every setting in the order of the source, for `--help` and the documentation."""
    return [
        SettingDescription(
            variable=variable(name),
            default="not set"
            if field.default is None
            else str(field.default).lower()
            if isinstance(field.default, bool)
            else str(field.default),
            description=" ".join((field.description or "").split()),
        )
        for name, field in Settings.model_fields.items()
    ]


def _as_sentence(why: str) -> str:
    """The reason with a subject, where it is only what the value must be."""
    return f"it {why}" if why.startswith(("must ", "is ")) else why


def _explain(error: ValidationError) -> str:
    """One sentence a variable, without the echo of pydantic's own page of text."""
    sentences = []
    for problem in error.errors(include_url=False):
        if not problem["loc"]:
            sentences.append(reason(problem) + ".")
            continue
        field = str(problem["loc"][0])
        name = field if field.startswith(PREFIX) else variable(field)
        if problem["type"] == "extra_forbidden":
            sentences.append(f"{name} is not a setting of X-CLIP Search.")
            if name != name.upper():
                sentences.append(f"Settings are in capitals: {name.upper()}.")
        else:
            value = "" if name in _MAY_HOLD_A_PASSWORD else f"={problem['input']!r}"
            sentences.append(f"{name}{value} is refused: {_as_sentence(reason(problem))}.")
    return " ".join(sentences)
