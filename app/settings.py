"""Every setting of the service, read from `XCLIP_*` environment variables and passed in from there.

A variable that starts with `XCLIP_` and is no setting refuses the start: a misspelt limit must not
be a limit that silently does not hold. `XCLIP_TEST_*` belongs to the test suite and is left alone.
An empty value counts as not set, so a compose file may pass `XCLIP_MODEL=${XCLIP_MODEL:-}` on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PREFIX = "XCLIP_"
TEST_PREFIX = "XCLIP_TEST_"

Port = Annotated[int, Field(ge=1, le=65535)]
PromptPrecision: TypeAlias = Literal["int8", "float16"]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SettingsError(Exception):
    """The environment describes no service that can start; the message names each variable."""

    code: ClassVar[str] = "settings_invalid"


class Settings(BaseModel):
    """One immutable value, made by `load_settings` in a process and by its fields in a test."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data_dir: Path = Path("xclip-data")
    """Folder of everything the service keeps: catalog, videos, thumbnails, tensors."""
    database_url: str | None = None
    """SQLAlchemy URL of the catalog; not set: the file catalog.sqlite in the data folder."""

    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: Port = 8000
    """Port the API listens on."""
    worker_host: str = "127.0.0.1"
    """Address the worker's internal model server listens on."""
    worker_port: Port = 8001
    """Port the worker's internal model server listens on."""
    worker_url: str | None = None
    """Where the API finds the worker; not set: worker_host and worker_port."""
    allow_remote: bool = False
    """Listen on addresses other than loopback. There are no keys yet: whoever reaches the port may
    read, add and delete everything. Meant for containers, whose ports are published on purpose."""

    model: str = "motion-tiny"
    """The X-CLIP checkpoint: motion-tiny (in the package), a folder, or a Hugging Face hub id."""
    model_revision: str | None = None
    """Branch, tag or commit of a hub id; not set: the default branch."""
    device: str = "auto"
    """Where the model runs: auto, cpu, cuda, or cuda:N."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads for the model and for the index; not set: what PyTorch and FAISS choose."""

    window_s: PositiveSeconds = 5.0
    """Length in seconds of a segment, for collections that do not say."""
    stride_s: PositiveSeconds = 2.5
    """Seconds between the starts of two segments, for collections that do not say."""

    prompt_precision: PromptPrecision = "int8"
    """How the patches that texts are conditioned on are stored: int8 takes half of float16."""

    max_upload_bytes: Annotated[int, Field(ge=1)] = 2 * 1024**3
    """Largest video file accepted, in bytes."""
    max_pixels: Annotated[int, Field(ge=1)] = 36_000_000
    """Largest frame decoded, in pixels (width times height)."""
    decode_timeout_s: PositiveSeconds = 1800.0
    """Wall-clock seconds after which the decoding of one video is killed."""
    decode_memory_bytes: Annotated[int, Field(ge=64 * 1024**2)] = 1024**3
    """Memory the decoder of one video may take, in bytes."""

    lease_s: PositiveSeconds = 30.0
    """Seconds without a heartbeat after which another worker may take a job over."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """How often a job is begun before it counts as failed."""
    recall_candidates: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Segments the index recalls for each search, which the model then scores exactly."""

    shutdown_grace_s: PositiveSeconds = 10.0
    """Seconds that work in progress has to end after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""

    @property
    def catalog_url(self) -> str:
        """The SQLAlchemy URL of the catalog, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'catalog.sqlite'}"

    @property
    def tensors_dir(self) -> Path:
        """The folder of the packed tensor files."""
        return self.data_dir / "tensors"

    @property
    def calibrations_dir(self) -> Path:
        """The folder of the confidence models that were fitted to collections."""
        return self.data_dir / "calibrations"

    @property
    def worker_base_url(self) -> str:
        """Where the API finds the worker, with the default filled in."""
        return self.worker_url or base_url(self.worker_host, self.worker_port)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.stride_s > self.window_s:
            raise ValueError(
                f"stride_s {self.stride_s} is longer than window_s {self.window_s}, "
                "so parts of a video would belong to no segment"
            )
        for host in (self.host, self.worker_host):
            if not self.allow_remote and not is_loopback(host):
                raise ValueError(
                    f"{host} is not a loopback address, and the service has no keys yet: whoever "
                    "reaches it may read, add and delete everything. Set XCLIP_ALLOW_REMOTE=true "
                    "if the network in front of it is trusted"
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
        name[len(PREFIX) :].lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and value != ""
    }
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + field.upper()


def base_url(host: str, port: int) -> str:
    """The http URL a client on this machine uses; a wildcard address is reached by loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  nothing binds
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; of names only localhost is trusted to be so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def _explain(error: ValidationError) -> str:
    """One sentence a variable, without the echo of pydantic's own page of text."""
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        if not problem["loc"]:
            sentences.append(problem["msg"].removeprefix("Value error, ") + ".")
            continue
        name = variable(str(problem["loc"][0]))
        if problem["type"] == "extra_forbidden":
            sentences.append(f"{name} is not a setting of X-CLIP Search.")
        else:
            sentences.append(f"{name}={problem['input']!r} is refused: {problem['msg']}.")
    return " ".join(sentences)
