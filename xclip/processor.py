"""Processor: frames and texts to input tensors, under the names Hugging Face documents."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeGuard, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xclip.config import XCLIPConfig
from xclip.hub import CONFIG_FILE, locate
from xclip.inputs import ModelInputs, require_torch
from xclip.preprocess import (
    PREPROCESSOR_FILE,
    PROCESSOR_FILE,
    Preprocessing,
    normalise,
    resize_and_crop,
)
from xclip.tokenizer import (
    MERGES_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    XCLIPTokenizer,
)

Frame: TypeAlias = Image.Image | NDArray[np.uint8] | Tensor
Video: TypeAlias = Sequence[Frame] | NDArray[np.uint8] | Tensor

_DEEPEST = 3  # lists of lists of frames, a frame of several videos counting as one level

_FILES = (
    PROCESSOR_FILE,
    PREPROCESSOR_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    MERGES_FILE,
)


class XCLIPImageProcessor:
    """Frames of any size to normalised squares."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, videos: Video | Sequence[Video], return_tensors: str = "pt") -> ModelInputs:
        """Preprocess one video (its frames) or several (a list of such), all of T frames.

        A frame is a PIL image or uint8 RGB, (H, W, 3) or (3, H, W); frames may differ in size.

        returns : pixel_values float32, shape = (B, T, 3, S, S)
        Raises TypeError for what are no frames, such as the path of a file, and ValueError for no
        frames, unequal T, another shape or dtype.
        """
        require_torch(return_tensors)
        batch = [list(video) for video in _as_batch(videos)]
        lengths = sorted({len(video) for video in batch})
        if len(lengths) != 1 or lengths == [0]:
            raise ValueError(f"videos need the same number of frames, not {lengths or 'no video'}")
        geometry = self.preprocessing.geometry
        frames = np.stack(
            [
                np.stack([resize_and_crop(_as_array(frame), geometry) for frame in video])
                for video in batch
            ]
        )  # (B, T, S, S, 3)
        return ModelInputs(pixel_values=normalise(torch.from_numpy(frames), self.preprocessing))


class XCLIPProcessor:
    """Both halves together: `model(**processor(text=..., videos=...))`."""

    def __init__(self, image_processor: XCLIPImageProcessor, tokenizer: XCLIPTokenizer) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        videos: Video | Sequence[Video] | None = None,
        return_tensors: str = "pt",
        *,
        padding: bool | str = True,
        truncation: bool = True,
        max_length: int | None = None,
    ) -> ModelInputs:
        """Return input_ids and attention_mask for the texts, pixel_values for the videos.

        See `XCLIPTokenizer.__call__` and `XCLIPImageProcessor.__call__` for shapes and errors.
        """
        if text is None and videos is None:
            raise ValueError("neither text nor videos were given")
        inputs = ModelInputs()
        if text is not None:
            inputs |= self.tokenizer(
                text,
                padding=padding,
                truncation=truncation,
                max_length=max_length,
                return_tensors=return_tensors,
            )
        if videos is not None:
            inputs |= self.image_processor(videos, return_tensors)
        return inputs

    def decode(self, ids: Iterable[int] | Tensor, skip_special_tokens: bool = False) -> str:
        """Text of one row of ids."""
        return self.tokenizer.decode(ids, skip_special_tokens)

    def batch_decode(
        self, rows: Iterable[Iterable[int]] | Tensor, skip_special_tokens: bool = False
    ) -> list[str]:
        """Text of each row of ids."""
        return self.tokenizer.batch_decode(rows, skip_special_tokens)

    @classmethod
    def for_model(cls, config: XCLIPConfig, tokenizer: XCLIPTokenizer) -> XCLIPProcessor:
        """The processor of a network that was not loaded but made: the values all X-CLIP share."""
        preprocessing = Preprocessing.from_dict({}, config.vision_config.image_size)
        return cls(XCLIPImageProcessor(preprocessing), tokenizer)

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> XCLIPProcessor:
        """Load from a folder, a hub id or the name of a packaged checkpoint.

        The checkpoint's config.json, where there is one, decides the crop and the longest text.
        """
        checkpoint = locate(source, revision)
        for name in _FILES:
            checkpoint.find(name)  # brings the file to the folder if the checkpoint has it
        image_size = max_length = None
        if config_path := checkpoint.find(CONFIG_FILE):
            config = XCLIPConfig.from_json_file(config_path)
            image_size = config.vision_config.image_size
            max_length = config.text_config.max_position_embeddings
        return cls(
            XCLIPImageProcessor(Preprocessing.from_folder(checkpoint.folder, image_size)),
            XCLIPTokenizer.from_folder(checkpoint.folder, max_length),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write preprocessor_config.json and the tokenizer's files, for transformers as well.

        A processor_config.json in the folder would win over them, so it is removed.
        """
        self.tokenizer.save(folder)
        content = json.dumps(self.image_processor.preprocessing.to_dict(), indent=2)
        (Path(folder) / PREPROCESSOR_FILE).write_text(content + "\n", encoding="utf-8")
        (Path(folder) / PROCESSOR_FILE).unlink(missing_ok=True)


def _as_batch(videos: Video | Sequence[Video]) -> Sequence[Video]:
    """A list of videos from either one video or several, distinguished by depth."""
    depth = 0
    inner: object = videos
    while _is_list(inner) and len(inner) > 0 and depth <= _DEEPEST:
        inner, depth = inner[0], depth + 1
    if isinstance(inner, np.ndarray | Tensor):
        depth += inner.ndim - 2
    elif isinstance(inner, Image.Image):
        depth += 1
    elif not _is_list(inner):
        raise _no_frame(inner)
    if depth not in (2, _DEEPEST):
        raise ValueError("videos must be a list of frames, or a list of lists of frames")
    return cast("Sequence[Video]", videos if depth == _DEEPEST else [videos])


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    # the first element of a str is one of its kind again, without an end
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _no_frame(value: object) -> TypeError:
    """What to say of something that stands where frames or a list of them should."""
    is_path = isinstance(value, str | bytes | os.PathLike)
    told = f"the path {value!r}" if is_path else f"a {type(value).__name__}"
    read = "; read the file's frames first, for instance with PyAV" if is_path else ""
    return TypeError(
        "videos are lists of frames, and a frame is a PIL image or a uint8 array or tensor of "
        f"shape (H, W, 3); this is {told}{read}"
    )


def _as_array(frame: Frame) -> NDArray[np.uint8]:
    """One frame as uint8 (H, W, 3)."""
    if isinstance(frame, Image.Image):
        return np.asarray(frame.convert("RGB"))
    if not isinstance(frame, np.ndarray | Tensor):
        raise _no_frame(frame)
    pixels = frame.detach().cpu().numpy() if isinstance(frame, Tensor) else frame
    # Channels first, unless the last axis could be the channels too.
    if pixels.ndim == 3 and pixels.shape[2] != 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    return pixels
