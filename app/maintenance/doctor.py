"""Doctor: checks whether this machine can run the service, and names each fix.

Nothing is changed and nothing downloaded. Whatever is not as it should be is a finding with a
sentence on what to do; none is an exception.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import httpx

from app.catalog.errors import DATABASE_ERRORS, CatalogError
from app.server.listener import PortBusy, bind
from app.service_urls import base_url
from app.settings import Settings, SettingsError
from app.storage.errors import MaintenanceError, NoLibrary
from app.storage.library_identity import check_library, open_catalog
from xclip_search.addresses import is_loopback

if TYPE_CHECKING:
    from xclip.encoder import Encoder

Verdict: TypeAlias = Literal["ok", "note", "wrong"]

_READY_TIMEOUT_S = 7.0  # /readyz itself takes up to 6 s
_FILES_BESIDE_CONNECTIONS = 256
_TEXT = "a red circle moving left"
_UNUSABLE: tuple[type[Exception], ...] = (
    *(CatalogError, MaintenanceError, SettingsError, OSError),
    *DATABASE_ERRORS,
)
_PACKAGES = ("torch", "av", "faiss-cpu", "tokenizers")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a check found; `fix` says what to do unless all is well.

    verdict : "note" is what works but might work better, "wrong" what keeps the service from it
    """

    check: str
    verdict: Verdict
    message: str
    fix: str = ""


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Run every check, the quick ones first; yields each finding as soon as it is known."""
    yield _software()
    yield _data_folder(settings)
    yield _disk(settings)
    yield _catalog(settings)
    yield from _ports(settings)
    yield _listening_address(settings)
    yield _open_files(settings)
    yield _codecs()
    yield _sandbox()
    yield _gpu(settings)
    yield from _model(settings)


def _software() -> Diagnosis:
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return Diagnosis("software", "ok", f"xclip-search {version('xclip-search')}, {versions}")


def _data_folder(settings: Settings) -> Diagnosis:
    folder = settings.data_dir.absolute()
    there = _nearest(folder)
    if not there.is_dir():
        return Diagnosis(
            "data folder", "wrong", f"{there} is no folder", "Name another one with XCLIP_DATA_DIR."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        fix = f"Let user {os.getuid()} write there, or name another one with XCLIP_DATA_DIR."
        return Diagnosis("data folder", "wrong", f"{there} cannot be written to", fix)
    new = "" if folder.exists() else "; it is made at the first start"
    return Diagnosis("data folder", "ok", f"{folder}{new}")


def _disk(settings: Settings) -> Diagnosis:
    free = shutil.disk_usage(_nearest(settings.data_dir.absolute())).free
    message = f"{free >> 20} MiB free, uploads must leave {settings.min_free_bytes >> 20} MiB"
    fix = "Free some space, or move the data folder to a larger disk (XCLIP_DATA_DIR)."
    if free < settings.min_free_bytes:
        return Diagnosis("disk", "wrong", message, fix)
    if free < settings.min_free_bytes + settings.max_upload_bytes:
        return Diagnosis("disk", "note", f"{message}: the largest upload does not fit", fix)
    return Diagnosis("disk", "ok", message)


def _catalog(settings: Settings) -> Diagnosis:
    try:
        check_library(settings)
        with open_catalog(settings) as catalog:
            catalog.ping()
    except NoLibrary:
        return Diagnosis("catalog", "ok", "there is none yet; it is made at the first start")
    except _UNUSABLE as error:
        return Diagnosis(
            "catalog",
            "wrong",
            str(error).splitlines()[0],
            "Check that the database runs and XCLIP_DATABASE_URL is right; if its file is "
            "damaged, `xclip-search verify` says how much, and a backup restores it.",
        )
    return Diagnosis("catalog", "ok", "opens and answers")


def _ports(settings: Settings) -> Iterator[Diagnosis]:
    ours = _service_answers(base_url(settings.host, settings.port))
    for name, host, port, setting in (
        ("port of the API", settings.host, settings.port, "XCLIP_PORT"),
        ("port of the worker", settings.worker_host, settings.worker_port, "XCLIP_WORKER_PORT"),
    ):
        try:
            bind(host, port).close()
        except PortBusy:
            if ours:
                yield Diagnosis(name, "ok", f"{port}: the service runs there")
            else:
                fix = f"Stop that program (`ss -ltnp` names it) or choose another {setting}."
                yield Diagnosis(name, "wrong", f"{port} is in use by another program", fix)
        except (OSError, UnicodeError) as error:
            fix = "XCLIP_HOST and XCLIP_WORKER_HOST must be addresses of this machine."
            reason = getattr(error, "strerror", None) or "not a host name"
            yield Diagnosis(name, "wrong", f"{host}:{port} cannot be bound: {reason}", fix)
        else:
            yield Diagnosis(name, "ok", f"{port} on {host} is free")


def _service_answers(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=_READY_TIMEOUT_S, trust_env=False)
        return "ready" in answer.json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False


def _listening_address(settings: Settings) -> Diagnosis:
    if is_loopback(settings.host):
        return Diagnosis("access", "ok", f"{settings.host}: only this machine reaches the service")
    keyed = False
    with suppress(NoLibrary, *_UNUSABLE):
        check_library(settings)
        with open_catalog(settings) as catalog:
            keyed = bool(catalog.keys_in_force())
    if keyed:
        return Diagnosis("access", "ok", f"{settings.host} is open to others, with keys")
    return Diagnosis(
        "access",
        "wrong",
        f"{settings.host} is open to others and there is no key; the service refuses to start",
        "Make one with `xclip-search keys create NAME --scope admin`, or listen on 127.0.0.1.",
    )


def _open_files(settings: Settings) -> Diagnosis:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + _FILES_BESIDE_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < needed:
        fix = f"`ulimit -n {needed}` before the start, or lower XCLIP_MAX_CONNECTIONS."
        return Diagnosis("open files", "note", f"{soft} may be open, {needed} may be needed", fix)
    return Diagnosis("open files", "ok", f"{soft} may be open")


def _codecs() -> Diagnosis:
    from xclip.video.decoders import missing_decoders  # late: it loads libav

    missing = missing_decoders()
    if missing:
        fix = "Install PyAV's own wheel (`pip install --force-reinstall --only-binary :all: av`)."
        return Diagnosis("codecs", "note", f"libav lacks {', '.join(missing)}", fix)
    return Diagnosis("codecs", "ok", "everything that is accepted can be decoded")


def _sandbox() -> Diagnosis:
    from xclip.errors import XCLIPError  # late: it starts a process that loads PyTorch
    from xclip.video.sandbox.child import probe_confinement

    try:
        refused = probe_confinement()
    except XCLIPError as error:
        fix = "Let the service start processes (container limits, `ulimit -u`, memory)."
        return Diagnosis("sandbox", "wrong", f"the decoder's process does not start: {error}", fix)
    if refused:
        fix = "It needs Linux with seccomp, and a container that does not forbid it; the other "
        fix += "limits hold. docs/threat-model.md says what that means."
        return Diagnosis("sandbox", "note", " ".join(refused), fix)
    return Diagnosis("sandbox", "ok", "system calls, memory, time, files and user are confined")


def _gpu(settings: Settings) -> Diagnosis:
    import torch  # late: it is big

    if torch.cuda.is_available():
        return Diagnosis("GPU", "ok", f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}")
    has_one = Path("/dev/nvidia0").exists()
    build = "is built without CUDA" if torch.version.cuda is None else "cannot use CUDA here"
    fix = "Install PyTorch for CUDA (https://pytorch.org/get-started) and NVIDIA's driver."
    if settings.device.startswith("cuda"):
        fix = f"{fix} Or set XCLIP_DEVICE=cpu."
        return Diagnosis(
            "GPU", "wrong", f"XCLIP_DEVICE={settings.device}, but PyTorch {build}", fix
        )
    if has_one:
        return Diagnosis("GPU", "note", f"there is one, but PyTorch {build}", fix)
    return Diagnosis("GPU", "ok", "none; the model runs on the CPU")


def _model(settings: Settings) -> Iterator[Diagnosis]:
    """Load the model, then bring a clip made on the spot through decoder and model."""
    from xclip.encoders import load_encoder
    from xclip.errors import DeviceUnavailable, XCLIPError

    if _must_be_downloaded(settings):
        yield Diagnosis(
            "model",
            "note",
            f"{settings.model} is not on this machine yet; the first start downloads it",
            f"`xclip-search models check {settings.model}` downloads it now.",
        )
        return
    began = time.monotonic()
    try:
        encoder = load_encoder(
            settings.model,
            revision=settings.model_revision,
            device=settings.device,
            num_threads=settings.threads,
        )
    except DeviceUnavailable as error:
        yield Diagnosis("model", "wrong", str(error), "Set XCLIP_DEVICE=auto, or cpu.")
        return
    except (XCLIPError, RuntimeError) as error:
        fix = "XCLIP_MODEL names motion-tiny, a folder or a hub id; `models list` prints some."
        yield Diagnosis("model", "wrong", f"{settings.model} cannot be loaded: {error}", fix)
        return
    loaded = f"{encoder.name} on {encoder.device}, loaded in {time.monotonic() - began:.1f} s"
    yield Diagnosis("model", "ok", loaded)
    yield _trial(encoder, settings)


def _must_be_downloaded(settings: Settings) -> bool:
    from huggingface_hub import try_to_load_from_cache

    from xclip.hub import CONFIG_FILE, PACKAGED

    if (PACKAGED / settings.model).is_dir() or Path(settings.model).exists():
        return False
    try:
        found = try_to_load_from_cache(
            settings.model, CONFIG_FILE, revision=settings.model_revision
        )
    except ValueError:  # nor is it a hub id: loading says so
        return False
    return not isinstance(found, str)


def _trial(encoder: Encoder, settings: Settings) -> Diagnosis:
    import numpy as np

    from app.worker.decoding import Decoder
    from xclip.errors import XCLIPError
    from xclip.motion.clips import sample_clips
    from xclip.motion.world import TRAINING
    from xclip.video.sampling import Segmentation

    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            clip = sample_clips(np.random.default_rng(0), 1, TRAINING)[0].write(Path(folder))
            cut = Segmentation(settings.window_s, settings.stride_s)
            decoder = Decoder.for_model(encoder, settings)
            with decoder.open(clip, cut, should_stop=lambda: False) as decoding:
                frames = [segment.frames for segment in decoding.segments()]
        stored = encoder.encode_video(np.stack(frames))
        scores = encoder.score(encoder.encode_text([_TEXT]), stored)
    except (XCLIPError, RuntimeError, OSError) as error:
        fix = "Its message says why; `xclip-search models check` looks at the checkpoint alone."
        return Diagnosis("trial", "wrong", f"a test clip could not be processed: {error}", fix)
    if not np.isfinite(scores).all():
        fix = "`xclip-search models check` looks at the checkpoint; XCLIP_DEVICE=cpu at the GPU."
        return Diagnosis("trial", "wrong", "the model's scores are not numbers", fix)
    spent = time.monotonic() - began
    return Diagnosis("trial", "ok", f"a clip was decoded, encoded and scored in {spent:.1f} s")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
