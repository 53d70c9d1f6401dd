"""The original's weights to Hugging Face's layout and back, and the original's files."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import XCLIPModel as TwinModel

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.conversion.published import PUBLISHED, Published
from xclip.conversion.videox import differences, pairs, read_config, to_hugging_face, to_original
from xclip.conversion.videox_files import (
    add_tokenizer,
    convert_original,
    convert_to_original,
    read_original,
)
from xclip.errors import WeightsError
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import XCLIPTokenizer
from xclip.weights import load_model

from .videox_network import OriginalNetwork, random_network

SMALL = XCLIPConfig(
    XCLIPTextConfig(
        vocab_size=50,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=9,
    ),
    XCLIPVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=3,
        num_attention_heads=3,
        mit_hidden_size=128,
        mit_intermediate_size=512,
        mit_num_attention_heads=2,
        image_size=24,
        patch_size=8,
        num_frames=4,
    ),
    projection_dim=128,
    prompt_num_attention_heads=2,
)
BY_NAME = {model.name: model for model in PUBLISHED}
KINDS = (
    ("xclip-base-patch32", torch.float32),
    ("xclip-base-patch16-zero-shot", torch.float16),
    ("xclip-large-patch14-16-frames", torch.float32),
)


def original_config(published: Published) -> XCLIPConfig:
    """The published configuration with the heads that the original runs: 64 wide."""
    config = published.config()
    heads = config.projection_dim // 64
    vision = dataclasses.replace(config.vision_config, mit_num_attention_heads=heads)
    return dataclasses.replace(config, vision_config=vision, prompt_num_attention_heads=heads)


def small(config: XCLIPConfig) -> XCLIPConfig:
    """The same patches and frames, widths a quarter as large, two layers, few words."""
    text = dataclasses.replace(
        config.text_config, num_hidden_layers=2, vocab_size=100,
        **quartered(config.text_config, "hidden_size", "intermediate_size"),
    )  # fmt: skip
    vision = dataclasses.replace(
        config.vision_config, num_hidden_layers=2,
        **quartered(
            config.vision_config,
            "hidden_size", "intermediate_size", "mit_hidden_size", "mit_intermediate_size",
        ),
    )  # fmt: skip
    dim = config.projection_dim // 4
    return dataclasses.replace(
        config,
        text_config=dataclasses.replace(text, num_attention_heads=text.hidden_size // 64),
        vision_config=dataclasses.replace(
            vision, num_attention_heads=vision.hidden_size // 64, mit_num_attention_heads=dim // 64
        ),
        projection_dim=dim,
        prompt_num_attention_heads=dim // 64,
    )


def quartered(config: object, *names: str) -> dict[str, Any]:
    return {name: getattr(config, name) // 4 for name in names}


def inputs(config: XCLIPConfig) -> dict[str, Tensor]:
    """Two videos and three texts, each ending at the largest id."""
    noise = torch.Generator().manual_seed(1)
    last = config.text_config.vocab_size - 1
    ids = torch.randint(0, last, (3, 6), generator=noise)
    ids[torch.arange(3), torch.tensor([3, 5, 2])] = last
    vision = config.vision_config
    size = (2, vision.num_frames, 3, vision.image_size, vision.image_size)
    return {"input_ids": ids, "pixel_values": torch.randn(size, generator=noise)}


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        value.dtype == other[key].dtype
        and value.shape == other[key].shape
        and value.contiguous()
        .view(-1)
        .view(torch.uint8)
        .equal(other[key].contiguous().view(-1).view(torch.uint8))
        for key, value in one.items()
    )


@pytest.fixture(scope="module")
def network() -> OriginalNetwork:
    return random_network(SMALL)


@pytest.fixture
def pth(network: OriginalNetwork, tmp_path: Path) -> Path:
    """A file as the original's training saves it, without its state."""
    torch.save({"model": network.state_dict()}, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_the_converted_network_answers_as_the_original(
    network: OriginalNetwork, pth: Path, tmp_path: Path
) -> None:
    """Ours and transformers', both loaded from the converted folder, have the original's logits."""
    folder = tmp_path / "converted"
    assert convert_original(pth, folder) == SMALL
    given = inputs(SMALL)
    with torch.no_grad():
        expected = network(given["pixel_values"], given["input_ids"])
        twin, report = TwinModel.from_pretrained(folder, output_loading_info=True)
        theirs = twin.eval()(**given).logits_per_video
        ours = load_model(folder)(**given).logits_per_video
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert float((theirs - expected).abs().max()) <= 1e-5
    assert float((ours - expected).abs().max()) <= 1e-5
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize(("name", "dtype"), KINDS, ids=str)
def test_the_round_trip_is_exact(name: str, dtype: torch.dtype) -> None:
    """Every bit and every dtype comes back, starting from either side."""
    config = small(original_config(BY_NAME[name]))
    with torch.device("meta"):
        empty = OriginalNetwork(config).state_dict()
    bits = torch.int32 if dtype is torch.float32 else torch.int16
    limits = torch.iinfo(bits)
    original = {  # any bits, NaN among them
        key: torch.randint(limits.min, limits.max, value.shape, dtype=bits).view(dtype)
        for key, value in empty.items()
    }
    assert not differences(read_config(original, name), config)
    converted = to_hugging_face(original, config, name)
    assert same_bits(to_original(converted, config, name), original)
    assert same_bits(to_hugging_face(original, config, name), converted)


def test_dtypes_may_differ_from_tensor_to_tensor(network: OriginalNetwork) -> None:
    """Half-precision weights beside full-precision norms stay what they are."""
    original = {
        key: value.half() if value.ndim > 1 else value
        for key, value in network.state_dict().items()
    }
    converted = to_hugging_face(original, SMALL, "mixed")
    assert same_bits(to_original(converted, SMALL, "mixed"), original)


@functools.cache  # several published checkpoints are of one size
def empty_networks(config: XCLIPConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Names and shapes of the original's network and of ours."""
    with torch.device("meta"):
        return OriginalNetwork(config).state_dict(), XCLIPModel(config).state_dict()


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_names_and_shapes_of_all_published_checkpoints(published: Published) -> None:
    """The original's names become exactly ours, for every published size; parameters agree."""
    theirs, ours = empty_networks(published.config())
    known = pairs(published.config())
    assert {pair.original for pair in known} == theirs.keys()
    assert sorted(name for pair in known for name in pair.names) == sorted(ours)
    for pair in known:
        assert pair.to_original(ours).shape == theirs[pair.original].shape
    assert sum(value.numel() for value in ours.values()) == published.parameters
    assert read_config(theirs, published.name) == original_config(published)
    assert len(ours) == (927 if "large" in published.name else 591)


def test_there_are_eighteen_of_them() -> None:
    """Each once, and frames as their names say."""
    assert len(BY_NAME) == len(PUBLISHED) == 18
    for name, model in BY_NAME.items():
        frames = 16 if "16-frames" in name else 32 if "shot" in name else 8
        assert (model.num_frames, f"patch{model.patch_size}" in name) == (frames, True)
        assert abs(sum(model.probabilities) - 1) < 1e-3


def test_large_heads_are_the_originals_or_the_published(tmp_path: Path) -> None:
    """Heads show in no shape: 12 as the original runs them, or 8 as published, on request."""
    wide = dataclasses.replace(SMALL.vision_config, mit_hidden_size=192, mit_intermediate_size=768)
    config = dataclasses.replace(
        SMALL, vision_config=dataclasses.replace(wide, mit_num_attention_heads=3),
        projection_dim=192, prompt_num_attention_heads=3,
    )  # fmt: skip
    network, given = random_network(config, 5), inputs(config)
    torch.save(network.state_dict(), tmp_path / "large.pth")
    convert_original(tmp_path / "large.pth", tmp_path / "original")
    published = convert_original(
        tmp_path / "large.pth", tmp_path / "published", published_heads=True
    )
    heads = (published.prompt_num_attention_heads, published.vision_config.mit_num_attention_heads)
    assert heads == (8, 8)
    with torch.no_grad():
        expected = network(given["pixel_values"], given["input_ids"])
        first, second = (
            load_model(tmp_path / name)(**given).logits_per_video
            for name in ("original", "published")
        )
    assert float((first - expected).abs().max()) <= 1e-5
    assert float((second - expected).abs().max()) > 1e-3
    for name in ("original", "published"):
        convert_to_original(str(tmp_path / name), tmp_path / f"{name}.pth")
        assert same_bits(read_original(tmp_path / f"{name}.pth"), network.state_dict())


def wrapped(weights: dict[str, Tensor]) -> object:
    return {"model": weights, "epoch": 29, "max_accuracy": 83.8, "optimizer": {"state": {}}}


def state_dict(weights: dict[str, Tensor]) -> object:
    return {"state_dict": weights}


def bare(weights: dict[str, Tensor]) -> object:
    return weights


def parallel(weights: dict[str, Tensor]) -> object:
    return {"model": {f"module.{key}": value for key, value in weights.items()}}


def sized(weights: dict[str, Tensor]) -> object:
    sizes = {"input_resolution": torch.tensor(224), "context_length": 77, "vocab_size": 49408}
    return {"model": {**weights, **sizes}}


@pytest.mark.parametrize("wrap", [wrapped, state_dict, bare, parallel, sized])
def test_wrappings_come_off(
    wrap: Callable[[dict[str, Tensor]], object], network: OriginalNetwork, tmp_path: Path
) -> None:
    """Training state, `module.` and CLIP's sizes are no weights; the weights are what is left."""
    torch.save(wrap(network.state_dict()), tmp_path / "file.pth")
    assert same_bits(read_original(tmp_path / "file.pth"), network.state_dict())


def test_saved_settings_do_not_stand_in_the_way(
    network: OriginalNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original saves an object of the package yacs, which need not be here to read the rest."""

    class CfgNode(dict[str, Any]):
        pass

    settings = CfgNode(MODEL=CfgNode(ARCH="ViT-B/32"))
    settings.__dict__["__deprecated_keys__"] = set()
    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    config = types.ModuleType("yacs.config")
    config.CfgNode = CfgNode  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, "yacs.config", config)
        content = {"model": network.state_dict(), "config": settings}
        torch.save(content, tmp_path / "best.pth")
    assert same_bits(read_original(tmp_path / "best.pth"), network.state_dict())


class Bomb:
    """What a hostile file would hold: unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_no_code_of_the_file_runs(network: OriginalNetwork, tmp_path: Path) -> None:
    """A file that could only be read by running something is refused, and nothing has run."""
    target = tmp_path / "ran"
    content = {"model": network.state_dict(), "config": Bomb(target)}
    torch.save(content, tmp_path / "best.pth")
    with pytest.raises(WeightsError, match="cannot be read as weights only"):
        read_original(tmp_path / "best.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds list"),
        ({"model": {}, "ema": {}}, "neither weights nor training state: 'ema'"),
        ({"model": {"a": 1}}, "neither weights nor training state: 'a'"),
        ({"model": {"a": torch.ones(1)}}, "is not an X-CLIP network: it lacks visual"),
    ],
)
def test_other_files_are_named_for_what_they_hold(
    content: object, message: str, tmp_path: Path
) -> None:
    """What is unknown in a file is an error that says which part."""
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=message):
        convert_original(tmp_path / "file.pth", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def drop(weights: dict[str, Tensor]) -> None:
    del weights["mit.resblocks.0.attn.in_proj_bias"]


def add(weights: dict[str, Tensor]) -> None:
    weights["visual.transformer.resblocks.0.adapter.weight"] = torch.ones(2)


def reshape(weights: dict[str, Tensor]) -> None:
    weights["visual.proj"] = weights["visual.proj"].T.contiguous()


def count(weights: dict[str, Tensor]) -> None:
    weights["prompts_generator.alpha"] = weights["prompts_generator.alpha"].long()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, "missing: mit.resblocks.0.attn.in_proj_bias"),
        (add, "unexpected: visual.transformer.resblocks.0.adapter.weight"),
        (reshape, r"of another shape: visual.proj \(128, 192\), not \(192, 128\)"),
        (count, "not floating point: prompts_generator.alpha"),
    ],
)
def test_nothing_is_guessed(
    spoil: Callable[[dict[str, Tensor]], None], message: str, network: OriginalNetwork
) -> None:
    """Whatever is missing, unknown or misshapen is an error that names it."""
    weights = network.state_dict()
    spoil(weights)
    with pytest.raises(WeightsError, match=message):
        to_hugging_face(weights, read_config(weights, "file"), "file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_config": {"hidden_act": "gelu"}}, "text_config.hidden_act quick_gelu, not gelu"),
        ({"prompt_num_attention_heads": 4}, "prompt_num_attention_heads 2, not 4"),
        ({"vision_config": {"image_size": 25}}, "vision_config.image_size 24, not 25"),
        ({"vision_config": {"intermediate_size": 64}}, "of another shape: visual.transformer"),
        ({"vision_config": {"hidden_size": 96}}, "not a multiple of 64"),
    ],
)
def test_what_the_original_would_run_otherwise_is_refused(
    change: dict[str, Any], message: str
) -> None:
    """The original reads only shapes, so a network it would take for another is not written."""
    values = SMALL.to_dict()
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    config = XCLIPConfig.from_dict(values)
    with pytest.raises(WeightsError, match=message):
        to_original(XCLIPModel(config).state_dict(), config, "folder")


def test_nothing_is_overwritten(pth: Path, tmp_path: Path) -> None:
    """A folder with files, and a file that is there, stay as they are."""
    with pytest.raises(WeightsError, match="not empty"):
        convert_original(pth, tmp_path)
    convert_original(pth, tmp_path / "new")
    with pytest.raises(WeightsError, match="exists already"):
        convert_to_original(str(tmp_path / "new"), pth)


def test_with_a_tokenizer_the_folder_is_complete(
    pth: Path, checkpoint: Path, tokenizer: XCLIPTokenizer, tmp_path: Path
) -> None:
    """Another checkpoint's tokenizer makes a folder the processor loads."""
    convert_original(pth, tmp_path / "new")
    add_tokenizer(tmp_path / "new", str(checkpoint))
    processor = XCLIPProcessor.from_pretrained(tmp_path / "new")
    assert processor.tokenizer.encode("a red circle") == tokenizer.encode("a red circle")
    assert processor.image_processor.preprocessing.geometry.crop == 24
