"""Encoder registry: loads the encoder of a checkpoint by the `model_type` of its config.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import torch

from xclip.encoder import Encoder
from xclip.errors import ConfigError, DeviceUnavailable, UnknownModelType, WeightsError
from xclip.hub import CONFIG_FILE, Checkpoint, locate
from xclip.xclip_encoder import XCLIPEncoder

# Given the checkpoint, the name it is loaded as, and a PyTorch device.
Loader: TypeAlias = Callable[[Checkpoint, str, str], Encoder]

XCLIP = "xclip"
LOADERS: dict[str, Loader] = {XCLIP: XCLIPEncoder.from_checkpoint}


def load_encoder(
    source: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    num_threads: int | None = None,
) -> Encoder:
    """Load a packaged checkpoint ("motion-tiny"), a folder or a hub id.

    device : str
        A torch device, or "auto": the first GPU if there is one.
    num_threads : int, optional
        CPU threads of the whole process for one operation.

    Raises WeightsError, ConfigError, TokenizerError, UnknownModelType, DeviceUnavailable.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _check_device(device)
    checkpoint = locate(source, revision)
    kind = read_model_type(checkpoint)
    if kind not in LOADERS:
        known = ", ".join(sorted(LOADERS))
        raise UnknownModelType(
            f"the {CONFIG_FILE} of {source} has model_type {kind!r}; the known ones are: {known}"
        )
    return LOADERS[kind](checkpoint, source, device)


def _check_device(device: str) -> None:
    """Raise DeviceUnavailable where loading would fail half-way, in words of PyTorch's inside."""
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceUnavailable(f"{device!r} is not a device of PyTorch") from error
    if chosen.type != "cuda":
        return
    if not torch.cuda.is_available():
        build = "is built without CUDA" if torch.version.cuda is None else "cannot use CUDA here"
        raise DeviceUnavailable(f"{device} is not available: PyTorch {build}")
    if (chosen.index or 0) >= (count := torch.cuda.device_count()):
        raise DeviceUnavailable(f"{device} is not available: this machine has {count} GPUs")


def read_model_type(checkpoint: Checkpoint) -> str:
    """The `model_type` of config.json, "xclip" where it says none. WeightsError, ConfigError."""
    path = checkpoint.find(CONFIG_FILE)
    if path is None:
        raise WeightsError(f"the folder {checkpoint.folder} holds no {CONFIG_FILE}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path.name}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} does not hold a JSON object")
    return str(values.get("model_type", XCLIP))
