"""Golden test: checks that a checkpoint computes what it should, for one clip and three texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip.conversion.published import (
    GOLDEN_DATASET,
    GOLDEN_TEXTS,
    Golden,
    Published,
    find_published,
)
from xclip.conversion.videox import HEADS, PUBLISHED_HEADS, differences
from xclip.errors import WeightsError
from xclip.hub import fetch_from_dataset, locate
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.scoring import encode_video, score
from xclip.weights import load_model, not_finite

STORED_TOLERANCE = 1e-4  # of a logit
GOLDEN_TOLERANCE = 1e-3  # of a probability, and of a logit also relative: what the sources allow


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at; `passed` is None where nothing is known to compare with."""

    what: str
    passed: bool | None
    detail: str


def check_checkpoint(source: str, clip: Path | None = None) -> list[CheckResult]:
    """Load a checkpoint and check it as `check_model` does.

    source : str
        Name of a published checkpoint, with or without its owner, a folder, or any hub id. A folder
        that bears the name of a published checkpoint is checked as that one.
    clip : Path, optional
        The golden clip as a local file; else it comes from the hub.

    Raises WeightsError, ConfigError, TokenizerError for a checkpoint that does not load.
    """
    folder = Path(source)
    published = find_published(folder.resolve().name if folder.is_dir() else source)
    if published and not folder.is_dir():
        source = published.repository
    commit = locate(source).commit  # both halves come from the commit that a branch names now
    processor = XCLIPProcessor.from_pretrained(source, commit)
    model = load_model(source, commit)
    results = [CheckResult("loads", True, "every tensor is there, with its shape, and no other")]
    if published:
        results.append(_is_published(model, published))
    frames, golden = _noise(model), None
    try:
        if clip:
            frames = read_clip(clip)
        elif published:
            frames = read_clip(fetch_from_dataset(GOLDEN_DATASET, published.golden.clip))
        golden = published.golden if published else None
        if published is None:
            results.append(CheckResult("golden values", None, "no golden values are known"))
    except WeightsError as error:
        results.append(CheckResult("golden clip", False, str(error)))
    return [*results, *check_model(model, processor, frames, golden)]


def check_model(
    model: XCLIPModel,
    processor: XCLIPProcessor,
    frames: NDArray[np.uint8],
    golden: Golden | None,
) -> list[CheckResult]:
    """Run the clip: shapes, finiteness, stored tensors against the forward pass, golden values.

    frames : uint8 RGB, shape = (T, H, W, 3)
    """
    needed, words = model.config.vision_config.num_frames, model.config.text_config.vocab_size
    results = [_finite_weights(model)]
    if len(frames) != needed:
        return [*results, CheckResult("clip", False, f"{len(frames)} frames, {needed} are needed")]
    if processor.tokenizer.vocab_size > words:
        detail = f"{processor.tokenizer.vocab_size} words, the network knows {words}"
        return [*results, CheckResult("tokenizer", False, detail)]
    inputs = processor(text=list(GOLDEN_TEXTS), videos=list(frames))
    with torch.inference_mode():
        logits = model(**inputs).logits_per_video
        texts = model.get_text_features(inputs["input_ids"], inputs["attention_mask"])
        stored = score(model, texts, encode_video(model, inputs["pixel_values"]))
    is_sound = logits.shape == (1, len(GOLDEN_TEXTS)) and bool(logits.isfinite().all())
    results.append(CheckResult("logits", is_sound, _numbers(logits)))
    apart = float((logits - stored).abs().max())
    detail = f"{apart:.1e} apart, {STORED_TOLERANCE:.0e} allowed"
    results.append(CheckResult("stored tensors score alike", apart <= STORED_TOLERANCE, detail))
    return [*results, *(_compare(model, logits, golden) if golden else ())]


def read_clip(path: Path) -> NDArray[np.uint8]:
    """Frames in a `.npy` file, uint8 RGB, shape = (T, H, W, 3); WeightsError for anything else."""
    try:
        frames = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(f"the clip {path} cannot be read: {error}") from error
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4:
        raise WeightsError(f"the clip {path} does not hold uint8 frames of shape (T, H, W, 3)")
    return frames


def _finite_weights(model: XCLIPModel) -> CheckResult:
    spoiled = not_finite(model)
    detail = f"not in {', '.join(spoiled[:4])}" if spoiled else "in all tensors"
    return CheckResult("finite numbers", not spoiled, detail)


def _is_published(model: XCLIPModel, published: Published) -> CheckResult:
    """Compare every number but the heads that converted folders may state as trained."""
    differing = differences(published.config(), model.config, HEADS)
    return CheckResult(
        f"is {published.name}", not differing, "; ".join(differing) or "by its numbers"
    )


def _compare(model: XCLIPModel, logits: Tensor, golden: Golden) -> list[CheckResult]:
    heads = (
        model.config.prompt_num_attention_heads,
        model.config.vision_config.mit_num_attention_heads,
    )
    if set(heads) != {PUBLISHED_HEADS}:
        detail = f"known for {PUBLISHED_HEADS} heads in prompts and MIT, not for {heads}"
        return [CheckResult("golden values", None, detail)]
    found = [_near("golden probabilities", logits.softmax(-1), golden.probabilities, 0.0)]
    if golden.logits is not None:
        found.append(_near("golden logits", logits, golden.logits, GOLDEN_TOLERANCE))
    return found


def _near(what: str, found: Tensor, values: tuple[float, ...], relative: float) -> CheckResult:
    expected = torch.tensor([values])
    passed = torch.allclose(found, expected, rtol=relative, atol=GOLDEN_TOLERANCE)
    return CheckResult(what, passed, f"{_numbers(found)}, known: {_numbers(expected)}")


def _numbers(values: Tensor) -> str:
    return " ".join(f"{value:.4f}" for value in values.flatten().tolist())


def _noise(model: XCLIPModel) -> NDArray[np.uint8]:
    """A clip of the right size for a network about which nothing is known."""
    vision = model.config.vision_config
    shape = (vision.num_frames, vision.image_size, vision.image_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
