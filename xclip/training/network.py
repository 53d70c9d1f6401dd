"""Training network: encodes each side alone, then scores every video with every text.

X-CLIP conditions a text on each video, so features of both sides are not enough for a logit: the
patches X of the video are needed too. What the two sides hand over is therefore v, X and t.

Shape legend: B videos, N texts, T frames, P patches, D projection width.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xclip.model import XCLIPModel
from xclip.training.config import ObjectiveConfig
from xclip.training.distributed import gather, world_size
from xclip.training.losses import caption_loss, label_loss

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Batch:
    """B videos with their captions, or with labels among N label texts.

    pixel_values : Tensor, shape = (B, T, C, height, width)
    input_ids, attention_mask : Tensor, shape = (N, S); for captions N = B and text i is video i's
    targets : Tensor, optional; int64 (B,) or mixtures (B, N); None for captions
    """

    pixel_values: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    targets: Tensor | None = None


class Sides(NamedTuple):
    """v (B, D), X (B, P, D) and t (N, D)."""

    videos: Tensor
    patches: Tensor
    texts: Tensor


class TrainingNetwork(nn.Module):
    """A model with its objective: `forward` is the loss of a batch, over all processes' batches.

    For captions every process compares its own videos with the texts of all, so X never travels;
    then the rows of logits are gathered. See docs/decisions/0015-training.md.
    """

    def __init__(
        self, model: XCLIPModel, objective: ObjectiveConfig, precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.precision = precision

    def autocast(self) -> AbstractContextManager[object]:
        """What the forward pass runs under."""
        device = self.model.logit_scale.device.type
        dtype = DTYPES.get(self.precision)
        return torch.autocast(device, dtype=dtype, enabled=dtype is not None)

    def encode_videos(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C, height, width) -> v and X, float32."""
        with self.autocast():
            vision = self.model.encode_frames(pixel_values)
            videos = self.model.integrate_frames(vision).pooler_output
            patches = self.model.prompt_patches(vision)
        return videos.float(), patches.float()

    def encode_texts(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, S) -> t, float32."""
        with self.autocast():
            texts = self.model.get_text_features(input_ids, attention_mask)
        return texts.float()

    def compare(self, videos: Tensor, patches: Tensor, texts: Tensor) -> Tensor:
        """v, X and t -> logits, float32 (B, N)."""
        with self.autocast():
            rows = texts.expand(len(videos), -1, -1)  # (B, N, D)
            prompts = self.model.prompts_generator(rows, patches)
        conditioned = nn.functional.normalize(rows + prompts.float(), dim=-1)
        videos = nn.functional.normalize(videos, dim=-1)
        return self.model.logit_scale.exp() * torch.einsum("bd,bnd->bn", videos, conditioned)

    def loss(self, sides: Sides, targets: Tensor | None, part: int = 0) -> Tensor:
        """The loss of a batch whose sides are computed; `part` videos are compared at a time."""
        texts = sides.texts
        if targets is None and world_size() > 1:
            texts = gather(texts)
        if part:
            chunks = zip(
                torch.split(sides.videos, part), torch.split(sides.patches, part), strict=True
            )
            rows = [
                checkpoint(self.compare, videos, patches, texts, use_reentrant=False)
                for videos, patches in chunks
            ]
            logits = torch.cat(rows)
        else:
            logits = self.compare(sides.videos, sides.patches, texts)
        smoothing = self.objective.label_smoothing
        if targets is not None:
            return label_loss(logits, targets, smoothing)
        return caption_loss(gather(logits) if world_size() > 1 else logits, smoothing)

    def forward(self, batch: Batch) -> Tensor:
        """The loss, everything held in memory at once."""
        videos, patches = self.encode_videos(batch.pixel_values)
        texts = self.encode_texts(batch.input_ids, batch.attention_mask)
        return self.loss(Sides(videos, patches, texts), batch.targets)
