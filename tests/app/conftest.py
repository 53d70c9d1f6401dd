"""Real parts, made small: a random X-CLIP checkpoint on disk, and clips by a real encoder."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import build_tokenizer
from xclip.weights import save_model

WORDS = ("a", "red", "blue", "square", "circle", "moves", "left", "right", "up", "down")

MakeClip = Callable[..., Path]


def write_clip(path: Path, *, seconds: float, size: int = 64, fps: int = 8, seed: int = 0) -> Path:
    """A bright square that crosses a dark picture, as MPEG-4 in the container `path` names."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(128, 256, 3, dtype=np.uint8)
    background = rng.integers(0, 100, 3, dtype=np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps))
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        count = round(seconds * fps)
        for number in range(count):
            picture = np.full((size, size, 3), background, np.uint8)
            left = round((size - 16) * number / max(1, count - 1))
            picture[24:40, left : left + 16] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Writes clips into the test's folder: `make_clip(name, seconds=…, seed=…)`."""

    def make(name: str = "clip.mp4", **choices: float) -> Path:
        return write_clip(tmp_path / name, **choices)

    return make


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random X-CLIP so small that a segment takes a millisecond."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(WORDS, max_length=16)
    config = XCLIPConfig(
        text_config=XCLIPTextConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
        ),
        vision_config=XCLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            mit_hidden_size=16,
            mit_intermediate_size=32,
            mit_num_attention_heads=2,
            image_size=32,
            patch_size=16,
            num_frames=4,
        ),
        projection_dim=16,
        prompt_layers=1,
        prompt_num_attention_heads=2,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    save_model(XCLIPModel(config).eval(), folder)
    XCLIPProcessor.for_model(config, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(checkpoint: Path) -> Encoder:
    """The checkpoint, loaded as the worker loads it."""
    return load_encoder(str(checkpoint), device="cpu", num_threads=1)
