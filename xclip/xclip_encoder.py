"""X-CLIP encoder: a loaded X-CLIP as the service uses it; no torch outside.

Letters: B videos or segments, T frames, S crop edge, N texts, P patches, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip import scoring
from xclip.encoder import ArrayShape, StoredSegments, TokenizedText
from xclip.errors import WeightsError
from xclip.hub import Checkpoint
from xclip.inference.engine import Engine, uninterrupted
from xclip.model import XCLIPModel
from xclip.preprocess import FrameGeometry
from xclip.processor import XCLIPProcessor
from xclip.text_bank import read_bank
from xclip.weights import fingerprint, load_model, not_finite

# Rows of the prompt generator computed at once; bounds its memory for any request.
_ROWS_AT_ONCE = 4096
PROMPT = "prompt"  # the one array that is stored of a segment


class XCLIPEncoder:
    """X-CLIP behind the `Encoder` protocol, which describes its attributes and methods.

    A segment is stored as its embedding and one array, "prompt": its patches, float32 (B, P, D),
    which texts attend to; see `xclip.scoring`. A score is X-CLIP's logit.

    dtype : str
        What the vision tower multiplies in, "float32" or "bfloat16": what is quicker here, if none
        is given. It is no part of the fingerprint (docs/decisions/0019-engine.md).
    """

    score_kind: ClassVar[str] = "xclip_logit"

    def __init__(
        self,
        model: XCLIPModel,
        processor: XCLIPProcessor,
        name: str,
        device: str = "cpu",
        bank: tuple[str, ...] = (),
        folder: Path | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        vision = model.config.vision_config
        preprocessing = processor.image_processor.preprocessing
        self.name = name
        self.fingerprint = fingerprint(model, preprocessing.to_dict())
        self.num_frames = vision.num_frames
        self.geometry: FrameGeometry = preprocessing.geometry
        self.dim = model.config.projection_dim
        self.stored_arrays: Mapping[str, ArrayShape] = {PROMPT: (vision.num_patches, self.dim)}
        self.logit_scale = float(model.logit_scale.detach().exp())
        self.device = device
        self.bank = bank
        self.folder = folder
        self._engine = Engine(model, preprocessing, device, dtype)
        self.dtype = str(self._engine.dtype).removeprefix("torch.")
        self._tokenizer = processor.tokenizer

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, name: str, device: str) -> Self:
        """Load one that was found as `name`, for a torch device.

        Raises WeightsError, ConfigError, TokenizerError.
        """
        # Both halves come from the commit that a branch names now, whatever is pushed meanwhile.
        processor = XCLIPProcessor.from_pretrained(name, checkpoint.commit)
        model = load_model(name, checkpoint.commit)
        if spoiled := not_finite(model):
            raise WeightsError(
                f"the weights of {name} are not all finite, as in a damaged file or after a "
                f"training that diverged: {', '.join(spoiled[:4])}"
            )
        return cls(model, processor, name, device, read_bank(checkpoint), checkpoint.folder)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """What `encode_text` reads of each text, and whether that is all of it."""
        return [self._tokenize(text) for text in texts]

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts to float32 (N, D), neither normalised nor conditioned on a video.

        The text of special tokens is read as plain text.
        """
        rows = [self._tokenizer.encode(text) for text in texts]
        return _to_numpy(self._engine.encode_texts(rows))

    def encode_video(
        self, frames: NDArray[np.uint8], between: Callable[[], None] = uninterrupted
    ) -> StoredSegments:
        """Encode segments of sampled frames, already resized and cropped.

        frames : uint8 RGB, shape = (B, T, S, S, 3)
        between : called between the layers of the vision tower, where other work may run
        Raises ValueError for another shape or dtype.
        """
        stored = self._engine.encode_frames(self._checked(frames), between)
        return StoredSegments(_to_numpy(stored.embedding), {PROMPT: _to_numpy(stored.prompt)})

    def embed_video(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode segments to what `encode_video` calls their embedding, and to nothing else.

        frames : uint8 RGB, shape = (B, T, S, S, 3)
        Raises ValueError for another shape or dtype.
        """
        return _to_numpy(self._engine.embed_frames(self._checked(frames)))

    def score(
        self, text_embeddings: NDArray[np.float32], stored: StoredSegments
    ) -> NDArray[np.float32]:
        """Return X-CLIP's logits, float32 (B, N), as `forward` would for these videos and texts.

        text_embeddings : float32, shape = (N, D), as `encode_text` gives them
        """
        texts = torch.tensor(text_embeddings, dtype=torch.float32, device=self.device)
        videos, prompt = len(stored), stored.arrays[PROMPT]
        logits = np.empty((videos, len(texts)), np.float32)
        step = max(1, _ROWS_AT_ONCE // max(1, len(texts)))
        for start in range(0, videos if len(texts) else 0, step):
            part = slice(start, start + step)
            chunk = scoring.StoredVideos(
                torch.tensor(stored.embedding[part], dtype=torch.float32, device=self.device),
                torch.tensor(prompt[part], dtype=torch.float32, device=self.device),
            )
            logits[part] = _to_numpy(self._engine.score(texts, chunk))
        return logits

    def _tokenize(self, text: str) -> TokenizedText:
        whole = self._tokenizer.encode(text, truncation=False)
        read = self._tokenizer.encode(text) if len(whole) > self._tokenizer.max_length else whole
        return TokenizedText(tuple(read), truncated=len(read) < len(whole))

    def _checked(self, frames: NDArray[np.uint8]) -> Tensor:
        crop = self.geometry.crop
        expected = (self.num_frames, crop, crop, 3)
        if frames.ndim != 5 or frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 of shape (B, {', '.join(map(str, expected))}), not "
                f"{frames.dtype} of shape {frames.shape}"
            )
        return torch.tensor(frames)  # a copy: the array may be read-only, which torch warns of


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", tensor.to(torch.float32).cpu().numpy())
