"""File conversion: `.pth` of the original X-CLIP code to a Hugging Face folder and back."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from xclip.config import XCLIPConfig
from xclip.conversion.videox import (
    IGNORED_ORIGINAL_KEYS,
    PUBLISHED_HEADS,
    read_config,
    to_hugging_face,
    to_original,
    with_heads,
)
from xclip.errors import WeightsError
from xclip.hub import CONFIG_FILE, locate
from xclip.model import XCLIPModel
from xclip.preprocess import PREPROCESSOR_FILE, Preprocessing
from xclip.tokenizer import (
    MERGES_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    XCLIPTokenizer,
)
from xclip.weights import IGNORED_KEYS, read_pickle, read_tensors, save_model

# What the original's training loop saves beside the weights: needed only to go on training there.
TRAINING_STATE = frozenset({"optimizer", "lr_scheduler", "max_accuracy", "epoch", "config"})
_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."  # what DistributedDataParallel puts before every name


def convert_original(path: Path, folder: Path, *, published_heads: bool = False) -> XCLIPConfig:
    """Turn a `.pth` file into a folder that this package and transformers load.

    published_heads : bool
        Write the 8 heads of the published config.json for MIT and prompts instead of those that
        the original code runs. Only the large checkpoints differ: 12.

    The tokenizer is CLIP's and not in the file: see `add_tokenizer`. Every tensor keeps its dtype.
    Raises WeightsError for a file that is not an X-CLIP network, or if the folder holds files.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WeightsError(f"{folder} exists already and is not empty")
    original = read_original(path)
    config = read_config(original, str(path))
    if published_heads:
        config = with_heads(config, PUBLISHED_HEADS)
    tensors = to_hugging_face(original, config, str(path))
    with torch.device("meta"):  # no time spent on weights to be replaced
        model = XCLIPModel(config)
    model.load_state_dict(tensors, assign=True)
    save_model(model, folder)
    preprocessing = Preprocessing.from_dict({}, config.vision_config.image_size)
    content = json.dumps(preprocessing.to_dict(), indent=2)
    (folder / PREPROCESSOR_FILE).write_text(content + "\n", encoding="utf-8")
    return config


def add_tokenizer(folder: Path, source: str) -> None:
    """Put another checkpoint's tokenizer into a folder; for X-CLIP any of OpenAI's CLIP has it.

    Raises TokenizerError, or WeightsError when the source is not available.
    """
    found = locate(source)
    for name in (TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE):
        found.find(name)  # brings the file to the folder if the checkpoint has it
    XCLIPTokenizer.from_folder(found.folder).save(folder)


def convert_to_original(source: str, path: Path) -> XCLIPConfig:
    """Turn a folder or hub id into a `.pth` file that the original code resumes from.

    Raises WeightsError for a network that the original code cannot run, or if the file exists.
    """
    if path.exists():
        raise WeightsError(f"{path} exists already")
    checkpoint = locate(source)
    config_path = checkpoint.find(CONFIG_FILE)
    if config_path is None:
        raise WeightsError(f"the folder {source} holds no {CONFIG_FILE}")
    config = XCLIPConfig.from_json_file(config_path)
    tensors = read_tensors(checkpoint)
    kept = {key: value for key, value in tensors.items() if key not in IGNORED_KEYS}
    original = to_original(kept, config, source)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    torch.save({"model": original}, partial)
    partial.replace(path)
    return config


def read_original(path: Path) -> dict[str, Tensor]:
    """The weights in a `.pth` file, without the wrappings that training puts around them.

    No code from the file is run: one that needs any to be read is refused. The settings object that
    the original saves beside its weights is of a class of the package yacs; a plain dictionary
    replaces it.

    Raises WeightsError that names the entries that are neither weights nor training state.
    """
    with torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode")]):
        content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path} holds {type(content).__name__}, not a mapping from names to weights"
        )
    wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    weights = content
    if wrapper is not None:
        weights = content[wrapper]
        _refuse(content.keys() - TRAINING_STATE - {wrapper}, path)
    if weights and all(str(key).startswith(_PARALLEL) for key in weights):
        weights = {str(key).removeprefix(_PARALLEL): value for key, value in weights.items()}
    tensors = {key: value for key, value in weights.items() if key not in IGNORED_ORIGINAL_KEYS}
    _refuse({key for key, value in tensors.items() if not _is_weight(key, value)}, path)
    return tensors


def _is_weight(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _refuse(keys: set[object], path: Path) -> None:
    if keys:
        names = sorted(map(repr, keys))
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise WeightsError(
            f"{path} holds entries that are neither weights nor training state: "
            f"{', '.join(names[:8])}{more}"
        )
