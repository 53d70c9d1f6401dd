"""Weights: loads and saves them in the layout that transformers uses.

Every tensor of the network must be in the file with its shape, and no other: a network that is
partly random is worse than none. The one exception is two tables of positions 0, 1, 2, … that old
files carry.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from xclip.checkpoint_causes import (
    what_else_there_is,
    where_the_weights_are,
    why_names_differ,
    why_no_safetensors,
    why_not_weights_only,
)
from xclip.config import XCLIPConfig
from xclip.errors import WeightsError
from xclip.hub import CONFIG_FILE, Checkpoint, locate
from xclip.model import XCLIPModel

SAFETENSORS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
IGNORED_KEYS = frozenset(
    {
        "text_model.embeddings.position_ids",
        "vision_model.embeddings.position_ids",
    }
)
LOGIT_SCALE = "logit_scale"

# what torch.load raises for files that are damaged or hold more than weights
_NO_PICKLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError)


def load_model(
    source: str | Path,
    revision: str | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    mit_num_attention_heads: int | None = None,
    prompt_num_attention_heads: int | None = None,
) -> XCLIPModel:
    """Load a network in evaluation mode.

    source : str or Path
        A folder, a hub id, or the name of a packaged checkpoint.
    revision : str, optional
        Branch, tag or commit of a hub repository.
    dtype : torch.dtype
        Of all weights but `logit_scale`, which stays float32: rounding it would scale all scores.
    mit_num_attention_heads, prompt_num_attention_heads : int, optional
        Replace the configuration's. The converted large checkpoints say 8 where the original
        network had 12; no shape depends on it.

    Raises WeightsError naming the keys that are missing, unexpected or misshapen; ConfigError.
    """
    checkpoint = locate(source, revision)
    config_path = checkpoint.find(CONFIG_FILE)
    if config_path is None:
        raise WeightsError(f"the folder {source} holds no {CONFIG_FILE}")
    config = _with_heads(
        XCLIPConfig.from_json_file(config_path),
        mit_num_attention_heads,
        prompt_num_attention_heads,
    )
    with torch.device("meta"):  # no time and no random numbers spent on weights to be replaced
        model = XCLIPModel(config)
    tensors = read_tensors(checkpoint)
    check_tensors(model.state_dict(), tensors, str(source))
    weights = {
        # A copy of its own: read tensors are views of a file that may be rewritten meanwhile.
        key: tensors.pop(key).to(device, torch.float32 if key == LOGIT_SCALE else dtype, copy=True)
        for key in model.state_dict()
    }
    model.load_state_dict(weights, assign=True)
    return model.eval()


def save_model(model: XCLIPModel, folder: Path) -> None:
    """Write config.json and model.safetensors; files already there are replaced whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content: dict[str, Any] = {
        "architectures": ["XCLIPModel"],
        "torch_dtype": str(model.text_projection.weight.dtype).removeprefix("torch."),
        **model.config.to_dict(),
    }
    partial = folder / f".{SAFETENSORS_FILE}.partial"
    # not save_file: it makes files that only their owner may read
    partial.write_bytes(save(tensors, metadata={"format": "pt"}))
    partial.replace(folder / SAFETENSORS_FILE)
    partial = folder / f".{CONFIG_FILE}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / CONFIG_FILE)


def fingerprint(model: XCLIPModel, *more: Mapping[str, object]) -> str:
    """First 16 hex digits of the SHA-256 over configuration, weights and the given settings.

    Two networks with equal fingerprints compute the same numbers on the same machine. The name and
    format of the files do not matter; nor do configuration fields left at their default, so a field
    added later does not change the fingerprint of what is stored.
    """
    digest = hashlib.sha256()
    settings = [_differences(model.config.to_dict(), XCLIPConfig().to_dict()), *more]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().view(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()[:16]


def read_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All tensors of a checkpoint: safetensors, whole or in shards, else a pickled mapping."""
    if path := checkpoint.find(SAFETENSORS_FILE):
        return _read_safetensors(path)
    if path := checkpoint.find(INDEX_FILE):
        return _read_shards(checkpoint, path)
    if path := checkpoint.find(PICKLE_FILE):
        return _read_pickle(path)
    names = f"{SAFETENSORS_FILE}, {INDEX_FILE} and {PICKLE_FILE}"
    other = what_else_there_is(checkpoint.folder)
    why = "" if other is None else f"; {other}"
    raise WeightsError(f"{checkpoint.repository or checkpoint.folder} holds none of {names}{why}")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {why_no_safetensors(path)}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _read_shards(checkpoint: Checkpoint, index: Path) -> dict[str, Tensor]:
    try:
        placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, set[str]] = {}
        for key, name in placed.items():
            shards.setdefault(name, set()).add(key)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is not an index of shards: {error}") from error
    tensors: dict[str, Tensor] = {}
    for name, keys in sorted(shards.items()):
        path = checkpoint.find(name)
        if path is None:
            raise WeightsError(f"{index} names the shard {name}, which is missing")
        shard = _read_safetensors(path)
        if shard.keys() != keys:
            raise WeightsError(f"the shard {path} does not hold what {INDEX_FILE} says")
        tensors |= shard
    return tensors


def read_pickle(path: Path) -> object:
    """What `torch.save` wrote, without running any code of its author.

    Raises WeightsError for a damaged file and for one that holds more than tensors and numbers.
    """
    try:
        # weights_only: a pickle can otherwise run its author's code.
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    except _NO_PICKLE as error:
        why = why_not_weights_only(error)
        raise WeightsError(f"{path} cannot be read as weights only: {why}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    content = read_pickle(path)
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        inside = where_the_weights_are(content) if isinstance(content, Mapping) else None
        why = f"; {inside}" if inside else ""
        raise WeightsError(f"{path} does not hold a mapping from names to tensors{why}")
    return dict(content)


def check_tensors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str) -> None:
    """Raise WeightsError that lists every kind of misfit: keys, shapes, dtypes."""
    complaints = [
        *_complaint("missing", expected.keys() - found.keys()),
        *_complaint("unexpected", found.keys() - expected.keys() - IGNORED_KEYS),
        *_complaint(
            "of another shape",
            (
                f"{key} {tuple(found[key].shape)}, not {tuple(expected[key].shape)}"
                for key in expected.keys() & found.keys()
                if found[key].shape != expected[key].shape
            ),
        ),
        *_complaint(
            "not floating point",
            (
                f"{key} {found[key].dtype}"
                for key in expected.keys() & found.keys()
                if not found[key].is_floating_point()
            ),
        ),
    ]
    if complaints:
        why = why_names_differ(expected.keys(), found.keys())
        cause = [] if why is None else [why]
        raise WeightsError(
            f"the weights of {source} do not fit its config: {'; '.join([*cause, *complaints])}"
        )


def not_finite(model: XCLIPModel) -> list[str]:
    """The names of the weights that hold NaN or infinity."""
    return [key for key, value in model.state_dict().items() if not value.isfinite().all()]


def _complaint(what: str, keys: Iterable[str]) -> list[str]:
    names = sorted(keys)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return [f"{what}: {', '.join(names[:8])}{more}"] if names else []


def _with_heads(config: XCLIPConfig, mit: int | None, prompt: int | None) -> XCLIPConfig:
    if mit is not None:
        vision = dataclasses.replace(config.vision_config, mit_num_attention_heads=mit)
        config = dataclasses.replace(config, vision_config=vision)
    if prompt is not None:
        config = dataclasses.replace(config, prompt_num_attention_heads=prompt)
    return config


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are not the default, level by level."""
    return {
        key: _differences(value, defaults[key]) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in defaults or value != defaults[key]
    }
