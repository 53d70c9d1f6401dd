"""The engine computes what the network computes, in another order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from xclip import scoring
from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.inference.engine import Engine, batches
from xclip.inference.precision import quicker_dtype
from xclip.model import XCLIPModel
from xclip.motion.world import HELD_OUT, render, sample_scene
from xclip.preprocess import FrameGeometry, Preprocessing, normalise
from xclip.processor import XCLIPProcessor

Config = Callable[[int], XCLIPConfig]
Model = Callable[[XCLIPConfig, int], XCLIPModel]

# The published shapes, narrow and shallow: all frames, patches and sizes there are.
PUBLISHED = [(8, 32, 224), (16, 32, 224), (8, 16, 224), (32, 16, 224), (8, 14, 224), (16, 14, 336)]


def preprocessing_of(model: XCLIPModel) -> Preprocessing:
    size = model.config.vision_config.image_size
    return Preprocessing(FrameGeometry(size, size))


def engine_of(model: XCLIPModel, dtype: torch.dtype | None = None) -> Engine:
    return Engine(model, preprocessing_of(model), "cpu", dtype)


def random_frames(model: XCLIPModel, videos: int) -> Tensor:
    vision, noise = model.config.vision_config, torch.Generator().manual_seed(3)
    shape = (videos, vision.num_frames, vision.image_size, vision.image_size, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=noise)


def random_texts(model: XCLIPModel, count: int) -> list[list[int]]:
    """Texts of all lengths, each ending with the largest id."""
    text, random = model.config.text_config, np.random.default_rng(4)
    lengths = random.integers(2, text.max_position_embeddings + 1, count)
    last = text.vocab_size - 1
    return [[*random.integers(0, last, length - 1).tolist(), last] for length in lengths]


def narrow(num_frames: int, patch_size: int, image_size: int) -> XCLIPConfig:
    text = XCLIPTextConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=12,
    )  # fmt: skip
    vision = XCLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        mit_hidden_size=16, mit_intermediate_size=32, mit_num_attention_heads=2,
        image_size=image_size, patch_size=patch_size, num_frames=num_frames,
    )  # fmt: skip
    return XCLIPConfig(text, vision, projection_dim=16, prompt_num_attention_heads=2)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Within 1e-5 of what float32 can say about numbers of this size."""
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-5 * (1 + float(expected.abs().max()))


def assert_equal_to_network(model: XCLIPModel) -> None:
    engine, frames, texts = engine_of(model), random_frames(model, 2), random_texts(model, 5)
    with torch.inference_mode():
        expected = scoring.encode_video(model, normalise(frames, preprocessing_of(model)))
        features = torch.cat([model.get_text_features(torch.tensor([text])) for text in texts])
        logits = scoring.score(model, features, expected)
    stored = engine.encode_frames(frames)
    assert_near(stored.embedding, expected.embedding)
    assert_near(stored.prompt, expected.prompt)
    assert_near(engine.embed_frames(frames), expected.embedding)
    assert_near(engine.encode_texts(texts), features)
    assert_near(engine.score(engine.encode_texts(texts), stored), logits)


@pytest.mark.parametrize("seed", range(12))
def test_odd_networks(seed: int, make_config: Config, make_model: Model) -> None:
    """Embeddings, prompts, texts and logits are the network's, whatever its sizes."""
    assert_equal_to_network(make_model(make_config(seed), seed))


@pytest.mark.parametrize(("frames", "patch", "size"), PUBLISHED)
def test_published_shapes(frames: int, patch: int, size: int, make_model: Model) -> None:
    """The same for every published number of frames, patch size and frame size."""
    assert_equal_to_network(make_model(narrow(frames, patch, size), 1))


def test_motion_tiny() -> None:
    """The same for weights that were trained, on clips that they know."""
    model, random = XCLIPModel.from_pretrained("motion-tiny"), np.random.default_rng(0)
    size, times = model.config.vision_config.image_size, (np.arange(8) + 0.5) / 8
    scenes = [sample_scene(one, random) for one in HELD_OUT[:8]]
    clips = np.stack([render(scene, times, size, size, random) for scene in scenes])
    processor = XCLIPProcessor.from_pretrained("motion-tiny")
    inputs = processor(text=[one.caption for one in HELD_OUT], videos=list(clips))
    with torch.inference_mode():
        expected = model(**inputs).logits_per_video
    engine = Engine(model, processor.image_processor.preprocessing, "cpu")
    texts = engine.encode_texts([processor.tokenizer.encode(one.caption) for one in HELD_OUT])
    assert engine.dtype == torch.float32
    assert_near(engine.score(texts, engine.encode_frames(torch.from_numpy(clips))), expected)


def test_bfloat16_is_near(make_model: Model) -> None:
    """In bfloat16 the numbers move by less than a hundredth, and what is returned is float32."""
    model = make_model(narrow(8, 32, 224), 2)
    frames = random_frames(model, 2)
    exact = engine_of(model, torch.float32).encode_frames(frames)
    rounded = engine_of(model, torch.bfloat16)
    stored = rounded.encode_frames(frames)
    assert stored.embedding.dtype == stored.prompt.dtype == torch.float32
    moved = (stored.embedding - exact.embedding).norm(dim=-1)
    assert 1e-6 < float(moved.max()) < 1e-2
    assert float((stored.prompt - exact.prompt).norm() / exact.prompt.norm()) < 1e-2
    alone = rounded.embed_frames(frames)
    assert float((alone - stored.embedding).norm(dim=-1).max()) < 1e-2


def test_texts_do_not_depend_on_the_dtype(make_model: Model) -> None:
    """Whatever the vision tower multiplies in, a query is what it was."""
    model = make_model(narrow(8, 32, 224), 2)
    texts = random_texts(model, 4)
    exact, rounded = (engine_of(model, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert torch.equal(exact.encode_texts(texts), rounded.encode_texts(texts))


def test_a_small_network_stays_exact() -> None:
    """Below 256 wide nothing is measured, so the numbers are the same at every start."""
    config = XCLIPVisionConfig(hidden_size=128, num_attention_heads=4)
    assert quicker_dtype(config, torch.device("cpu")) == torch.float32


def test_a_large_network_takes_what_is_quicker() -> None:
    """The choice is one of two, and the same when made again."""
    chosen = {quicker_dtype(XCLIPVisionConfig(), torch.device("cpu")) for _ in range(3)}
    assert len(chosen) == 1
    assert chosen <= {torch.float32, torch.bfloat16}


def test_the_network_is_left_alone(make_model: Model) -> None:
    """The engine has weights of its own: who trains on changes nothing here."""
    model = make_model(narrow(8, 32, 224), 2)
    frames, texts, engine = random_frames(model, 1), random_texts(model, 3), engine_of(model)
    before = engine.score(engine.encode_texts(texts), engine.encode_frames(frames))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    after = engine.score(engine.encode_texts(texts), engine.encode_frames(frames))
    assert torch.equal(before, after)


def test_other_work_between_layers_changes_nothing(make_model: Model, make_config: Config) -> None:
    """Whoever waits is let in after every layer but the last, with the same engine."""
    model = make_model(make_config(5), 5)
    frames, texts, engine = random_frames(model, 2), random_texts(model, 3), engine_of(model)
    undisturbed = engine.encode_frames(frames)
    scores = []

    def ask() -> None:
        scores.append(engine.score(engine.encode_texts(texts), engine.encode_frames(frames[:1])))

    disturbed = engine.encode_frames(frames, ask)
    assert len(scores) == model.config.vision_config.num_hidden_layers - 1
    assert torch.equal(disturbed.embedding, undisturbed.embedding)
    assert torch.equal(disturbed.prompt, undisturbed.prompt)


def test_batches_hold_texts_of_a_length() -> None:
    """Every text is in one batch, of at most 64, padded by at most a quarter."""
    lengths = np.random.default_rng(5).integers(2, 78, 500).tolist()
    found = list(batches(lengths))
    assert sorted(row for batch in found for row in batch) == list(range(500))
    for batch in found:
        sizes = [lengths[row] for row in batch]
        assert len(batch) <= 64
        assert max(sizes) <= 1.25 * min(sizes)
    assert list(batches([])) == []
