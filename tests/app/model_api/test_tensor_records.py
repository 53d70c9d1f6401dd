"""Records: what a segment leaves behind scores as the model does, whichever form it is kept in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from app.model_api.tensor_records import split_records, stack_records
from app.settings import Settings, StoredPrecision
from index.protocol import Tensors
from index.tensors import PackedTensorStore
from tests.app.conftest import MakeClip
from tests.app.stack import SEARCH, open_stack
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.motion.world import HELD_OUT, render, sample_scene

# How far a logit of motion-tiny may move, of logits that span more than 20 (see decision 0007).
MOVES = {"float16": 0.005, "int8": 0.03}


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def videos(tiny: Encoder) -> StoredSegments:
    """One clip of each held-out subject."""
    random = np.random.default_rng(0)
    times = (np.arange(tiny.num_frames) + 0.5) / tiny.num_frames
    size = tiny.geometry.crop
    scenes = [sample_scene(subject, random) for subject in HELD_OUT]
    return tiny.encode_video(
        np.stack([render(scene, times, size, size, random) for scene in scenes])
    )


def records(videos: StoredSegments, precision: StoredPrecision) -> list[Tensors]:
    """The records of these videos, with an empty row for a bank of no texts."""
    return split_records(videos, precision, "none", np.zeros((len(videos), 0), np.float16))


@pytest.mark.parametrize("precision", get_args(StoredPrecision))
def test_scores_survive_the_store_within_the_bound(
    precision: StoredPrecision, tiny: Encoder, videos: StoredSegments, tmp_path: Path
) -> None:
    """Written, synced, read and scored, every pair has its logit."""
    texts = tiny.encode_text([subject.caption for subject in HELD_OUT])
    store = PackedTensorStore(tmp_path, writer_id="wrk_1")
    references = store.append(records(videos, precision))
    back = stack_records(store.read(references))
    store.close()
    assert (back.arrays["prompt"].dtype, back.arrays["prompt"].shape) == (
        np.float32,
        videos.arrays["prompt"].shape,
    )
    np.testing.assert_array_equal(back.embedding, videos.embedding)
    expected = tiny.score(texts, videos)
    assert np.abs(tiny.score(texts, back) - expected).max() < MOVES[precision]
    assert np.ptp(expected) > 20


# SHA-256 of the store's file, first 16 digits: what is on disk must be readable by any version.
GOLDEN = {"int8": "5e8575fa525b8916", "float16": "5d5c95e42a112977"}


def drawn(arrays: Mapping[str, tuple[int, int]]) -> tuple[StoredSegments, np.ndarray]:
    """Three segments and their scores for a bank of two texts, always the same numbers."""
    random = np.random.default_rng(0)
    embedding = random.standard_normal((3, 8)).astype(np.float32)
    made = {
        name: random.standard_normal((3, *shape)).astype(np.float32)
        for name, shape in arrays.items()
    }
    return StoredSegments(embedding, made), random.standard_normal((3, 2)).astype(np.float16)


@pytest.mark.parametrize("precision", get_args(StoredPrecision))
def test_bytes_on_disk_never_change(precision: StoredPrecision, tmp_path: Path) -> None:
    """What X-CLIP stores is written as it always was, name by name and byte by byte."""
    segments, bank = drawn({"prompt": (4, 8)})
    store = PackedTensorStore(tmp_path, writer_id="wrk_1")
    store.append(split_records(segments, precision, "none", bank))
    store.sync()
    store.close()
    [file] = tmp_path.iterdir()
    assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] == GOLDEN[precision]


@pytest.mark.parametrize("precision", get_args(StoredPrecision))
@pytest.mark.parametrize("names", [(), ("patches",), ("patches", "frames")])
def test_any_number_of_arrays_comes_back(
    precision: StoredPrecision, names: tuple[str, ...], tmp_path: Path
) -> None:
    """Each under its name, however many an encoder stores."""
    segments, bank = drawn({name: (4 + number, 8) for number, name in enumerate(names)})
    store = PackedTensorStore(tmp_path, writer_id="wrk_1")
    references = store.append(split_records(segments, precision, "none", bank))
    back = stack_records(store.read(references))
    store.close()
    np.testing.assert_array_equal(back.embedding, segments.embedding)
    assert back.arrays.keys() == segments.arrays.keys()
    for name, array in segments.arrays.items():
        np.testing.assert_allclose(back.arrays[name], array, atol=0.02)


def test_int8_takes_little_more_than_half(videos: StoredSegments) -> None:
    """The bytes of a prompt are what a collection's size is made of."""
    sizes = {
        precision: sum(
            array.nbytes
            for name, array in records(videos, precision)[0].items()
            if name != "embedding"
        )
        for precision in get_args(StoredPrecision)
    }
    assert sizes["int8"] < 0.52 * sizes["float16"]


def test_a_store_may_hold_both_forms(videos: StoredSegments) -> None:
    """After the setting is changed, old segments score beside new ones, in the order asked."""
    halves, bytes_ = records(videos, "float16"), records(videos, "int8")
    mixed = [(halves, bytes_)[place % 2][place] for place in range(len(halves))]
    prompt = stack_records(mixed).arrays["prompt"]
    assert np.abs(prompt[0::2] - videos.arrays["prompt"][0::2]).max() < 0.005
    assert np.abs(prompt[1::2] - videos.arrays["prompt"][1::2]).max() < 0.05


def test_a_search_gives_the_same_scores_in_both_precisions(
    encoder: Encoder, tmp_path: Path, make_clip: MakeClip
) -> None:
    """Through the whole service: same clip, same question, scores within the bound."""
    clip = make_clip(seconds=4.0)
    scores = {}
    for precision in get_args(StoredPrecision):
        with open_stack(tmp_path / precision, encoder, prompt_precision=precision) as stack:
            stack.ingest(clip)
            answer = stack.api.post(SEARCH, json={"text": "a red circle moves left"}).json()
            scores[precision] = {hit["start"]: hit["score"] for hit in answer["results"]}
    assert len(scores["int8"]) > 3
    assert scores["int8"] == pytest.approx(scores["float16"], abs=MOVES["int8"])


def test_int8_is_the_default() -> None:
    """As decision 0007 says."""
    assert Settings().prompt_precision == "int8"
