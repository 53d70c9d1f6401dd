"""The processor: the ecosystem's calls and files, the same tensors as transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoProcessor, CLIPTokenizer
from transformers import XCLIPProcessor as TwinProcessor
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from xclip.inputs import ModelInputs
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor

TEXTS = ["a red square moves left", "blue", "it's <new>"]
ONE_LEVEL = 1.001 / 255 / 0.224


@pytest.fixture
def videos() -> list[list[NDArray[np.uint8]]]:
    """Two videos of four frames, of unequal sizes."""
    random = np.random.default_rng(0)
    return [
        [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(4)]
        for height, width in ((31, 47), (50, 20))
    ]


@pytest.fixture
def processor(checkpoint: Path) -> XCLIPProcessor:
    return XCLIPProcessor.from_pretrained(checkpoint)


def assert_same(ours: ModelInputs, theirs: Any) -> None:
    assert ours.keys() == dict(theirs).keys()
    for name in ("input_ids", "attention_mask"):
        assert torch.equal(ours[name], theirs[name])
    assert ours.pixel_values.shape == theirs["pixel_values"].shape
    assert float((ours.pixel_values - theirs["pixel_values"]).abs().max()) <= ONE_LEVEL


def test_transformers_loads_what_we_save(
    processor: XCLIPProcessor, tmp_path: Path, videos: list[list[NDArray[np.uint8]]]
) -> None:
    """AutoProcessor takes a saved folder for an XCLIPProcessor and gives the same tensors."""
    processor.save_pretrained(tmp_path)
    twin = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(twin, TwinProcessor)
    theirs = twin(text=TEXTS, videos=videos, return_tensors="pt", padding=True)
    assert_same(processor(text=TEXTS, videos=videos), theirs)


def test_we_load_what_transformers_saves(
    processor: XCLIPProcessor,
    checkpoint: Path,
    tmp_path: Path,
    videos: list[list[NDArray[np.uint8]]],
) -> None:
    """A processor saved by transformers 5 loads here, also beside the file it leaves stale."""
    twin = TwinProcessor(
        VideoMAEImageProcessorPil(
            size={"shortest_edge": 24},
            crop_size={"height": 20, "width": 20},
            image_mean=[0.1, 0.2, 0.3],
            image_std=[0.224, 0.25, 0.3],
        ),
        CLIPTokenizer.from_pretrained(checkpoint),
    )
    theirs = twin(text=TEXTS, videos=videos, return_tensors="pt", padding=True)
    twin.save_pretrained(tmp_path / "alone")
    assert_same(XCLIPProcessor.from_pretrained(tmp_path / "alone")(TEXTS, videos), theirs)

    shutil.copytree(checkpoint, tmp_path / "beside")
    twin.save_pretrained(tmp_path / "beside")
    assert_same(XCLIPProcessor.from_pretrained(tmp_path / "beside")(TEXTS, videos), theirs)
    processor.save_pretrained(tmp_path / "beside")
    again = XCLIPProcessor.from_pretrained(tmp_path / "beside")
    assert again.image_processor.preprocessing == processor.image_processor.preprocessing


def test_every_form_of_a_frame(
    processor: XCLIPProcessor, videos: list[list[NDArray[np.uint8]]]
) -> None:
    """PIL images, arrays and tensors, channels last or first, stacked or listed, are one thing."""
    frames = videos[0]
    expected = processor(videos=frames).pixel_values
    assert expected.shape == (1, 4, 3, 20, 20)
    stacked = np.stack(frames)
    for form in (
        [Image.fromarray(frame) for frame in frames],
        [frame.transpose(2, 0, 1) for frame in frames],
        [torch.from_numpy(frame) for frame in frames],
        [frames],
        stacked,
        torch.from_numpy(stacked),
        stacked[None],
        [stacked],
    ):
        assert torch.equal(processor(videos=form).pixel_values, expected)


def test_a_grey_image_is_made_rgb(processor: XCLIPProcessor) -> None:
    """PIL images of any mode are converted."""
    values = processor(videos=[Image.new("L", (30, 30), 255)] * 4).pixel_values
    assert torch.isfinite(values).all()
    assert float(values.min()) > 2


def test_text_alone_and_videos_alone(
    processor: XCLIPProcessor, videos: list[list[NDArray[np.uint8]]]
) -> None:
    """Each half gives its own tensors only."""
    assert set(processor(text="red")) == {"input_ids", "attention_mask"}
    assert set(processor(videos=videos)) == {"pixel_values"}
    with pytest.raises(ValueError, match="neither text nor videos"):
        processor()


def test_inputs_go_straight_into_the_model(
    processor: XCLIPProcessor, checkpoint: Path, videos: list[list[NDArray[np.uint8]]]
) -> None:
    """`model(**processor(...))` scores two videos against three texts."""
    inputs = processor(text=TEXTS, videos=videos, return_tensors="pt", padding=True).to("cpu")
    output = XCLIPModel.from_pretrained(checkpoint)(**inputs)
    assert output.logits_per_video.shape == (2, 3)


def test_the_config_decides_the_longest_text(processor: XCLIPProcessor) -> None:
    """A text is cut at the model's 16 positions, its end kept."""
    row = processor(text="red " * 40).input_ids[0]
    assert len(row) == 16
    assert row[-1] == processor.tokenizer.end_id


def test_decode(processor: XCLIPProcessor) -> None:
    """`decode` and `batch_decode` are the tokenizer's."""
    ids = processor(text=["a red square", "blue"]).input_ids
    assert processor.decode(ids[0], skip_special_tokens=True) == "a red square"
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["a red square", "blue"]


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ([], "list of frames"),
        ([[]], "list of frames"),
        (np.zeros((8, 8, 3), np.uint8), "list of frames"),
        ([[np.zeros((8, 8, 3), np.uint8)] * 2, [np.zeros((8, 8, 3), np.uint8)]], r"\[1, 2\]"),
        ([np.zeros((8, 8, 4), np.uint8)], r"\(H, W, 3\)"),
        ([np.zeros((8, 8, 3), np.float32)], "uint8"),
    ],
)
def test_what_is_no_video(processor: XCLIPProcessor, videos: Any, message: str) -> None:
    """Empty, single, unequal and non-RGB input is refused with what is wrong."""
    with pytest.raises(ValueError, match=message):
        processor(videos=videos)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ("clip.mp4", "the path 'clip.mp4'"),
        (["a.jpg", "b.jpg"], "the path 'a.jpg'"),
        ([[Path("a.jpg")]], "a.jpg"),
        (b"clip.mp4", "the path b'clip.mp4'"),
        (bytearray(b"clip"), "a bytearray"),
        (Path("clip.mp4"), "clip.mp4"),
        ([Image.new("RGB", (8, 8)), "b.jpg"], "the path 'b.jpg'"),
        ([None, None], "a NoneType"),
        (range(4), "a int"),
        ((Image.new("RGB", (8, 8)) for _ in range(2)), "a generator"),
    ],
)
def test_what_holds_no_frames_is_told_what_frames_are(
    processor: XCLIPProcessor, videos: Any, message: str
) -> None:
    """A path above all, which never came to an end."""
    with pytest.raises(TypeError, match=rf"PIL image or a uint8 array.*{message}"):
        processor(text="red", videos=videos)


def test_a_list_that_holds_itself_is_no_video(processor: XCLIPProcessor) -> None:
    """However deep one looks into it."""
    videos: list[Any] = []
    videos.append(videos)
    with pytest.raises(ValueError, match="list of frames"):
        processor(videos=videos)


def test_inputs_are_moved_and_rounded_but_for_ids(
    processor: XCLIPProcessor, videos: list[list[NDArray[np.uint8]]]
) -> None:
    """In every form that transformers takes; a mask of halves would be no mask."""
    inputs = processor(text=TEXTS, videos=videos)
    for moved in (
        inputs.to(torch.bfloat16),
        inputs.to("cpu", torch.bfloat16),
        inputs.to(torch.bfloat16, "cpu"),
        inputs.to(device="cpu", dtype=torch.bfloat16),
        inputs.to(torch.device("cpu"), dtype=torch.bfloat16),
        inputs.to("cpu", torch.bfloat16, non_blocking=True),
    ):
        assert moved.pixel_values.dtype == torch.bfloat16
        assert torch.equal(moved.input_ids, inputs.input_ids)
        assert torch.equal(moved.attention_mask, inputs.attention_mask)
        assert moved.input_ids.dtype == torch.int64
    with pytest.raises(TypeError, match="two devices"):
        inputs.to("cpu", "cpu")
    with pytest.raises(TypeError, match="two dtypes"):
        inputs.to(torch.float16, dtype=torch.bfloat16)


def test_only_torch_tensors(processor: XCLIPProcessor) -> None:
    """Other frameworks' tensors are refused, and unknown inputs are AttributeErrors."""
    with pytest.raises(ValueError, match="'np'"):
        processor(text="red", return_tensors="np")
    with pytest.raises(AttributeError, match="pixel_values"):
        processor(text="red").pixel_values  # noqa: B018


def test_saved_settings_are_complete(processor: XCLIPProcessor, tmp_path: Path) -> None:
    """Nothing is left to the class defaults, which differ between versions of transformers."""
    processor.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert content["image_mean"] == [0.485, 0.456, 0.406]
    assert content["image_std"] == [0.229, 0.224, 0.225]
    assert content["size"] == {"shortest_edge": 20}
    assert content["crop_size"] == {"height": 20, "width": 20}
