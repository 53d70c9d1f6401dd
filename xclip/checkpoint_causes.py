"""Checkpoint diagnosis: what a file is instead, who renamed its tensors, and the way out."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

_LFS = b"version https://git-lfs.github.com/spec/"
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_OTHER_WEIGHTS = frozenset(
    {".bin", ".safetensors", ".ckpt", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf"}
)
_BEGINNING = 512

# What wrappers put in front of, or into, the names of a network's tensors, and how to save without.
_WRAPPERS = {
    "module": "DataParallel and DistributedDataParallel put it there: save `model.module`",
    "_orig_mod": "torch.compile puts it there: save what was compiled, `model._orig_mod`",
    "_fsdp_wrapped_module": "FSDP puts it there: save the full state dict of the module within",
    "_checkpoint_wrapped_module": "activation checkpointing puts it there: save the module within",
}
_WHOLE_MODEL = re.compile(r"GLOBAL ([\w.]+)")
_AUTHORS_NAMES = "visual.conv1.weight"


def what_it_is_instead(path: Path) -> str | None:
    """What a file is by its first bytes, if it is no part of a checkpoint, and what to do."""
    with path.open("rb") as file:
        start = file.read(_BEGINNING)
    if start.startswith(_LFS):
        return "it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder"
    if start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "it is a web page, not the file itself: download it again, from its direct address"
    if start.startswith(_GZIP):
        return "it is compressed with gzip: unpack it"
    return None


def what_else_there_is(folder: Path) -> str | None:
    """Files of a folder that hold weights under a name that is not read, and what to do."""
    names = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in _OTHER_WEIGHTS)
    if not names:
        return None
    return (
        f"it holds {', '.join(names[:5])}, which is not read under that name: save the model's "
        "`state_dict()` alone as pytorch_model.bin, or call `save_pretrained`"
    )


def why_no_safetensors(path: Path) -> str:
    """Why a file that is called .safetensors is none."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if start == _ZIP:
        return "it was written by torch.save: call it pytorch_model.bin"
    if start.startswith(b'{"'):
        return "it is JSON, such as a server's refusal: download it again"
    return "it is damaged or not complete: download or copy it again"


def why_not_weights_only(error: Exception) -> str:
    """Why a pickle is not read, without PyTorch's advice to run what is in it."""
    text = str(error)
    if "TorchScript" in text:
        return "it is a TorchScript program: save the `state_dict()` of the model it was made from"
    if isinstance(error, pickle.UnpicklingError) and (found := _WHOLE_MODEL.search(text)):
        return (
            f"it holds more than tensors ({found[1]}), as a pickled model or a training state "
            "does, and reading that could run code of its author: save the model's `state_dict()` "
            "alone, or call `save_pretrained`"
        )
    return "it is damaged, not complete, or not a file of torch.save"


def where_the_weights_are(content: Mapping[object, object]) -> str | None:
    """Which key of a training state holds the tensors, and what to do, if one does."""
    if (path := _path_to_tensors(content)) is None:
        return None
    keys = "".join(f"[{key!r}]" for key in path)
    told = " in ".join(repr(key) for key in reversed(path))
    return f"its tensors are under {told}: save `content{keys}` alone"


def _path_to_tensors(content: Mapping[object, object], depth: int = 3) -> list[str] | None:
    for key, value in content.items():
        if not isinstance(value, Mapping) or not value:
            continue
        if all(map(_is_tensor, value.values())):
            return [str(key)]
        if depth > 1 and (inner := _path_to_tensors(value, depth - 1)) is not None:
            return [str(key), *inner]
    return None


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def why_names_differ(expected: Collection[str], found: Collection[str]) -> str | None:
    """Who renamed the tensors of a network, and how to get their names back, if that is plain."""
    wanted = set(expected)
    if not wanted or len(wanted & set(found)) > len(wanted) / 2:
        return None
    if _AUTHORS_NAMES in found or f"module.{_AUTHORS_NAMES}" in found:
        return "these are the names of the X-CLIP authors' files: use `xclip-search models convert`"
    steps = {step for name in found for step in name.split(".")}
    for wrapper, advice in _WRAPPERS.items():
        if wrapper in steps and _mostly(wanted, {_without(name, _WRAPPERS) for name in found}):
            return f"the names hold {wrapper + '.'!r}; {advice}"
    for prefix in sorted(_beginnings(found), key=len):
        inner = {_without(name.removeprefix(f"{prefix}."), _WRAPPERS) for name in found}
        if _mostly(wanted, inner):
            return (
                f"the names begin with {prefix + '.'!r}, as those of a module that holds the model "
                f"do: save the `state_dict()` of its {prefix!r}"
            )
    return None


def _beginnings(names: Collection[str]) -> set[str]:
    """What names may begin with before those of the network: up to four of their steps."""
    split = (name.split(".") for name in names)
    return {".".join(steps[:count]) for steps in split for count in range(1, min(5, len(steps)))}


def _mostly(wanted: set[str], names: set[str]) -> bool:
    return len(wanted & names) > len(wanted) / 2


def _without(name: str, steps: Collection[str]) -> str:
    return ".".join(step for step in name.split(".") if step not in steps)
