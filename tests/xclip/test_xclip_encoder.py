"""The encoder: what the service stores and scores is what the network computes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xclip import scoring
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.errors import WeightsError
from xclip.model import XCLIPModel
from xclip.motion.world import HELD_OUT, render, sample_scene
from xclip.preprocess import FrameGeometry
from xclip.processor import XCLIPProcessor

TEXTS = ["a red square moves left", "blue", "", "blue circle", "red"]


# Of logits up to 100: what another order of summation may move.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Encoder:
    return load_encoder(str(checkpoint), device="cpu")


@pytest.fixture
def frames() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 4, 20, 20, 3), dtype=np.uint8)


def test_facts(encoder: Encoder, checkpoint: Path) -> None:
    """The encoder states what the service must know of a model."""
    assert encoder.name == str(checkpoint)
    assert encoder.num_frames == 4
    assert encoder.geometry == FrameGeometry(20, 20)
    assert encoder.dim == 12
    assert encoder.stored_arrays["prompt"] == (4, 12)
    assert encoder.logit_scale == pytest.approx(100)
    assert (encoder.device, encoder.dtype) == ("cpu", "float32")  # small, hence exact
    assert len(encoder.fingerprint) == 16


def test_weights_that_are_no_numbers_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    """A worker does not start with them: no video could be indexed."""
    model = XCLIPModel.from_pretrained(checkpoint)
    with torch.no_grad():
        model.text_projection.weight[0, 0] = torch.inf
    folder = shutil.copytree(checkpoint, tmp_path / "damaged")
    model.save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"not all finite.*: text_projection\.weight"):
        load_encoder(str(folder), device="cpu")


def test_score_equals_forward(
    encoder: Encoder, checkpoint: Path, frames: NDArray[np.uint8]
) -> None:
    """Stored, then scored against texts encoded apart, a video has the forward pass's logits."""
    model = XCLIPModel.from_pretrained(checkpoint)
    inputs = XCLIPProcessor.from_pretrained(checkpoint)(text=TEXTS, videos=list(frames))
    with torch.no_grad():
        expected = model(**inputs).logits_per_video.numpy()
    scores = encoder.score(encoder.encode_text(TEXTS), encoder.encode_video(frames))
    assert scores.dtype == np.float32
    assert scores.shape == (3, 5)
    assert np.abs(scores - expected).max() < TOLERANCE
    assert np.ptp(expected) > 0.5


def test_types_and_shapes_of_what_is_stored(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """Unit embeddings and prompts, both in float32; the store decides what to round."""
    stored = encoder.encode_video(frames)
    assert (stored.embedding.dtype, stored.embedding.shape) == (np.float32, (3, 12))
    assert (stored.arrays["prompt"].dtype, stored.arrays["prompt"].shape) == (
        np.float32,
        (3, 4, 12),
    )
    assert np.linalg.norm(stored.embedding, axis=1) == pytest.approx(1)


def test_a_batch_is_its_members(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """A text or video has the same encoding whatever it is encoded with, in the order given."""
    together = encoder.encode_text(TEXTS)
    assert (together.dtype, together.shape) == (np.float32, (5, 12))
    for row, text in zip(together, TEXTS, strict=True):
        assert np.abs(encoder.encode_text([text])[0] - row).max() < 1e-5
    stored = encoder.encode_video(frames)
    for row in range(3):
        alone = encoder.encode_video(frames[row : row + 1])
        assert np.abs(alone.embedding[0] - stored.embedding[row]).max() < 1e-5


def test_many_videos_are_scored_in_parts(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """However many rows are requested, each score is that of its own pair."""
    stored = encoder.encode_video(frames)
    times = 500
    many = StoredSegments(
        np.tile(stored.embedding, (times, 1)),
        {"prompt": np.tile(stored.arrays["prompt"], (times, 1, 1))},
    )
    texts = encoder.encode_text(TEXTS[:4])  # parts then end between equal videos
    expected = encoder.score(texts, stored)
    assert np.abs(encoder.score(texts, many) - np.tile(expected, (times, 1))).max() < 1e-3


def test_nothing_is_an_input_too(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """No texts or no videos give empty arrays of the right width."""
    no_texts = encoder.encode_text([])
    assert no_texts.shape == (0, 12)
    stored = encoder.encode_video(frames)
    assert encoder.score(no_texts, stored).shape == (3, 0)
    none = stored[:0]
    assert encoder.score(encoder.encode_text(TEXTS), none).shape == (0, 5)


def test_special_token_text_does_not_cut_a_sentence(encoder: Encoder) -> None:
    """What a user writes after "<|endoftext|>" still counts."""
    one, other = encoder.encode_text(["red <|endoftext|> square", "red <|endoftext|> circle"])
    assert np.abs(one - other).max() > 1e-4


def test_read_only_frames(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """Frames straight from a buffer that must not be written to are taken without a warning."""
    expected = encoder.encode_video(frames)
    view = np.frombuffer(frames.tobytes(), np.uint8).reshape(frames.shape)
    assert np.array_equal(encoder.encode_video(view).embedding, expected.embedding)


def test_the_embedding_alone(encoder: Encoder, frames: NDArray[np.uint8]) -> None:
    """Whoever stores no prompt gets the same embedding, and the same errors."""
    expected = encoder.encode_video(frames).embedding
    alone = encoder.embed_video(frames)
    assert alone.dtype == np.float32
    assert np.abs(alone - expected).max() < 1e-6
    with pytest.raises(ValueError, match="uint8"):
        encoder.embed_video(frames[0])


@pytest.mark.parametrize("shape", [(1, 3, 20, 20, 3), (1, 4, 21, 20, 3), (4, 20, 20, 3)])
def test_frames_of_another_shape(encoder: Encoder, shape: tuple[int, ...]) -> None:
    """The error names the shape that is needed."""
    with pytest.raises(ValueError, match=r"\(B, 4, 20, 20, 3\)"):
        encoder.encode_video(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        encoder.encode_video(np.zeros((1, 4, 20, 20, 3), np.float32))  # type: ignore[arg-type]


def test_threads_are_those_asked_for(checkpoint: Path) -> None:
    """`num_threads` bounds the threads of one operation."""
    before = torch.get_num_threads()
    try:
        load_encoder(str(checkpoint), device="cpu", num_threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_the_packaged_model() -> None:
    """`motion-tiny` needs no network, tells held-out clips apart and scores them as `forward`."""
    encoder, random = load_encoder("motion-tiny", device="cpu"), np.random.default_rng(0)
    times = (np.arange(encoder.num_frames) + 0.5) / encoder.num_frames
    size = encoder.geometry.crop
    clips = np.stack(
        [render(sample_scene(one, random), times, size, size, random) for one in HELD_OUT]
    )
    captions = [one.caption for one in HELD_OUT]
    scores = encoder.score(encoder.encode_text(captions), encoder.encode_video(clips))
    assert (scores.argmax(axis=0) == np.arange(len(captions))).mean() >= 0.5

    inputs = XCLIPProcessor.from_pretrained("motion-tiny")(text=captions, videos=list(clips))
    model = XCLIPModel.from_pretrained("motion-tiny")
    with torch.inference_mode():
        expected = model(**inputs).logits_per_video
        texts = model.get_text_features(inputs.input_ids, inputs.attention_mask)
        exact = scoring.score(model, texts, scoring.encode_video(model, inputs.pixel_values))
        few = scoring.score(model, texts[:1], scoring.encode_video(model, inputs.pixel_values))
    assert float((exact - expected).abs().max()) <= 1e-4
    assert float((few - expected[:, :1]).abs().max()) <= 1e-4
    assert np.abs(scores - expected.numpy()).max() < TOLERANCE


def test_a_missing_model(tmp_path: Path) -> None:
    """A source that is no model raises WeightsError."""
    with pytest.raises(WeightsError):
        load_encoder(str(tmp_path / "missing"))
