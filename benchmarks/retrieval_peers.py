"""What the answers of the service are compared with: the same files, the same weights, less of it.

Plain vectors: cosines of the embeddings that the index holds, no text conditioned on the video.
Frames averaged: each frame goes through the vision tower by itself and the frames' embeddings are
averaged, no cross-frame attention and no multi-frame integration: what a CLIP notebook does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip.encoders import load_encoder
from xclip.model import XCLIPModel, XCLIPVisionModel
from xclip.preprocess import normalise
from xclip.processor import XCLIPProcessor
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation
from xclip.weights import load_model

Scores = NDArray[np.float32]


class Peers:
    """Both, for clips of one window each."""

    def __init__(self, source: str) -> None:
        self._encoder = load_encoder(source, device="cpu")
        self._model = load_model(source).eval()
        self._frame_tower = _by_frame(self._model)
        processor = XCLIPProcessor.from_pretrained(source)
        self._preprocessing = processor.image_processor.preprocessing

    def frames(self, clips: Sequence[Path]) -> NDArray[np.uint8]:
        """The frames of each clip's first window, as the service decodes them: (B, T, S, S, 3)."""
        request = DecodeRequest(Segmentation(), self._encoder.num_frames, self._encoder.geometry)
        decoded = []
        for clip in clips:
            with clip.open("rb") as file:
                decoded.append(next(iter(decode_segments(file, request))).frames)
        return np.stack(decoded)

    def plain(self, frames: NDArray[np.uint8], texts: Sequence[str]) -> Scores:
        """Cosines, shape = (B, N)."""
        videos = torch.from_numpy(self._encoder.encode_video(frames).embedding)
        return _cosines(videos, self._texts(texts))

    @torch.inference_mode()
    def averaged(self, frames: NDArray[np.uint8], texts: Sequence[str]) -> Scores:
        """Cosines with the mean of the frames' own embeddings, shape = (B, N)."""
        pixels = normalise(torch.from_numpy(frames).flatten(0, 1), self._preprocessing)
        pooled = self._frame_tower(pixels).pooler_output
        by_frame = self._model.visual_projection(pooled).unflatten(0, frames.shape[:2])
        return _cosines(by_frame.mean(dim=1), self._texts(texts))

    def _texts(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(self._encoder.encode_text(texts))


def _by_frame(model: XCLIPModel) -> XCLIPVisionModel:
    """The same vision tower for videos of one frame: a frame's message reaches itself alone."""
    tower = XCLIPVisionModel(replace(model.config.vision_config, num_frames=1))
    tower.load_state_dict(model.vision_model.state_dict())
    return tower.eval()


def _cosines(videos: Tensor, texts: Tensor) -> Scores:
    videos = videos / videos.norm(dim=-1, keepdim=True)
    texts = texts / texts.norm(dim=-1, keepdim=True)
    return np.asarray((videos @ texts.T).detach().numpy(), np.float32)
