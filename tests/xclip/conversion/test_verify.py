"""What `models check` looks at, on tiny networks whose answers transformers gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import XCLIPModel as TwinModel

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.conversion.published import GOLDEN_TEXTS, Golden
from xclip.conversion.verify import CheckResult, check_checkpoint, check_model, read_clip
from xclip.errors import WeightsError
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import XCLIPTokenizer

FRAMES, SIZE = 4, 16


@pytest.fixture
def clip() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (FRAMES, 20, 30, 3), np.uint8)


@pytest.fixture
def model(
    tokenizer: XCLIPTokenizer, make_model: Callable[[XCLIPConfig, int], XCLIPModel]
) -> XCLIPModel:
    """A random network with the heads that golden values are known for."""
    config = XCLIPConfig(
        XCLIPTextConfig(tokenizer.vocab_size, 16, 32, 2, 2, 16),
        XCLIPVisionConfig(16, 32, 2, 2, 16, 32, image_size=SIZE, patch_size=8, num_frames=FRAMES),
        projection_dim=16,
    )
    return make_model(config, 4)


@pytest.fixture
def processor(model: XCLIPModel, tokenizer: XCLIPTokenizer) -> XCLIPProcessor:
    return XCLIPProcessor.for_model(model.config, tokenizer)


@pytest.fixture
def golden(
    model: XCLIPModel,
    processor: XCLIPProcessor,
    clip: NDArray[np.uint8],
    make_twin: Callable[[XCLIPModel], TwinModel],
) -> Golden:
    """The answers of transformers."""
    with torch.no_grad():
        inputs = processor(text=list(GOLDEN_TEXTS), videos=list(clip))
        logits = make_twin(model)(**inputs).logits_per_video
    probabilities = logits.softmax(-1)[0].tolist()
    return Golden("clip.npy", tuple(probabilities), tuple(logits[0].tolist()))


def verdicts(results: list[CheckResult]) -> dict[str, bool | None]:
    return {result.what: result.passed for result in results}


def test_the_right_network_passes(
    model: XCLIPModel, processor: XCLIPProcessor, clip: NDArray[np.uint8], golden: Golden
) -> None:
    """Everything is compared, and everything holds."""
    found = verdicts(check_model(model, processor, clip, golden))
    assert set(found.values()) == {True}
    assert {"golden probabilities", "golden logits"} <= found.keys()


def test_a_slightly_wrong_network_fails(
    model: XCLIPModel, processor: XCLIPProcessor, clip: NDArray[np.uint8], golden: Golden
) -> None:
    """One transposed projection runs, and agrees with itself; only the golden values tell."""
    with torch.no_grad():
        model.prompts_visual_projection.copy_(model.prompts_visual_projection.T.clone())
    found = verdicts(check_model(model, processor, clip, golden))
    assert (found["finite numbers"], found["stored tensors score alike"]) == (True, True)
    assert found["golden logits"] is False


def test_a_number_that_is_none_fails(
    model: XCLIPModel, processor: XCLIPProcessor, clip: NDArray[np.uint8], golden: Golden
) -> None:
    """The tensor is named, and so are the answers it spoils."""
    with torch.no_grad():
        model.mit.position_embedding[0, 0, 0] = torch.nan
    results = check_model(model, processor, clip, golden)
    assert "mit.position_embedding" in results[0].detail
    assert set(verdicts(results).values()) == {False}


def test_golden_values_hold_for_the_published_heads_only(
    model: XCLIPModel, processor: XCLIPProcessor, clip: NDArray[np.uint8], golden: Golden
) -> None:
    """A network with the original's heads is not measured by numbers that others have."""
    values = {**model.config.to_dict(), "prompt_num_attention_heads": 4}
    other = XCLIPModel(XCLIPConfig.from_dict(values)).eval()
    other.load_state_dict(model.state_dict())
    *rest, last = check_model(other, processor, clip, golden)
    assert (last.what, last.passed) == ("golden values", None)
    assert all(result.passed for result in rest)


def test_what_does_not_fit_the_network_fails(
    model: XCLIPModel, processor: XCLIPProcessor, clip: NDArray[np.uint8], golden: Golden
) -> None:
    """Another number of frames, or a tokenizer with more words, is said and not run."""
    short = check_model(model, processor, clip[:3], golden)
    assert (short[-1].passed, short[-1].detail) == (False, "3 frames, 4 are needed")
    vision = {"image_size": SIZE, "patch_size": 8, "num_frames": FRAMES, "mit_hidden_size": 16}
    values = {
        "text_config": {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1},
        "vision_config": {**vision, "hidden_size": 24, "num_hidden_layers": 1},
        "projection_dim": 16,
    }
    fewer = XCLIPModel(XCLIPConfig.from_dict(values)).eval()
    assert verdicts(check_model(fewer, processor, clip, None))["tokenizer"] is False


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_a_clip_is_frames(content: bytes | None, tmp_path: Path) -> None:
    """Anything but uint8 frames is a WeightsError; no pickle in it is opened."""
    path = tmp_path / "clip.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="the clip"):
        read_clip(path)
    np.save(path, np.zeros((2, 3), np.float32))
    with pytest.raises(WeightsError, match="uint8 frames"):
        read_clip(path)


def test_a_folder_with_a_published_name_is_held_to_it(
    checkpoint: Path, tmp_path: Path, clip: NDArray[np.uint8]
) -> None:
    """A folder called xclip-base-patch16 must be that network; what differs is listed."""
    linked = tmp_path / "copy" / "xclip-base-patch16"
    linked.mkdir(parents=True)
    for file in checkpoint.iterdir():
        (linked / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / "clip.npy", clip)
    results = check_checkpoint(str(linked), tmp_path / "clip.npy")
    (result,) = (result for result in results if result.what == "is xclip-base-patch16")
    assert result.passed is False
    assert "vision_config.image_size 20, not 224" in result.detail
    assert verdicts(check_checkpoint(str(checkpoint)))["golden values"] is None
