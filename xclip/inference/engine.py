"""Inference engine: the weights of an `XCLIPModel`, arranged for speed.

`xclip.model` is how to read it; what is computed here is equal, up to rounding:

* queries, keys and values come out of one multiplication, weights are packed (`engine_layers`);
* frames arrive as bytes: their normalisation is part of the patch weights;
* unused values are not computed: the messages' own queries, and, where only the
  embedding is wanted, all of the last layer but the class tokens;
* the prompt's projection follows the mean over frames, and texts run at their own length;
* the vision tower's layers, and nothing else, multiply in bfloat16 where that is quicker.

Shape legend: B videos, T frames, S crop edge, P patches, L = P + 1, N texts, D projection width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from xclip import model, scoring
from xclip.inference.layers import CrossFrameBlock, Linear, Norm, Target, blocks
from xclip.inference.precision import quicker_dtype
from xclip.preprocess import Preprocessing

# A pass on a processor is no quicker for being larger than its caches.
_BYTES_AT_ONCE = 4 * 2**20
_TEXTS_AT_ONCE = 64
_MOST_PADDING = 1.25
_MIDDLE_GREY = 128


def uninterrupted() -> None:
    """What is done between layers unless a caller has something to do there: nothing."""


class Engine:
    """Encodes frames and token ids and scores one against the other, without gradients.

    dtype : torch.dtype
        What the vision tower multiplies in.
    """

    def __init__(
        self,
        network: model.XCLIPModel,
        preprocessing: Preprocessing,
        device: str | torch.device,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Copy the weights of `network`; a `dtype` of None is the quicker one, as measured."""
        exact = Target(torch.device(device), torch.float32)
        self.device = exact.device
        self.dtype = dtype or quicker_dtype(network.config.vision_config, exact.device)
        self._vision = VisionTower(network, preprocessing, Target(exact.device, self.dtype))
        self._text = TextTower(network, exact)
        self._prompts = copy.deepcopy(network.prompts_generator).to(exact.device, torch.float32)
        self._logit_scale = network.logit_scale.detach().to(exact.device, copy=True)

    @torch.inference_mode()
    def encode_frames(
        self, frames: Tensor, between: Callable[[], None] = uninterrupted
    ) -> scoring.StoredVideos:
        """frames : uint8 RGB, shape = (B, T, S, S, 3), B > 0; calls `between` between layers."""
        parts = [self._vision.encode(part, between) for part in self._parts(frames)]
        prompt = self._prompts.layernorm(torch.cat([patches for _, patches in parts]))
        return scoring.StoredVideos(torch.cat([embedding for embedding, _ in parts]), prompt)

    @torch.inference_mode()
    def embed_frames(self, frames: Tensor) -> Tensor:
        """Return the embeddings alone, (B, D) of length 1, for less."""
        return torch.cat([self._vision.embed(part) for part in self._parts(frames)])

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Token ids of N > 0 texts -> (N, D), neither normalised nor conditioned on a video."""
        features = torch.empty(len(texts), self._text.projection.width, device=self.device)
        for rows in batches([len(text) for text in texts]):
            features[rows] = self._text.encode([texts[row] for row in rows])
        return features

    @torch.inference_mode()
    def score(self, texts: Tensor, stored: scoring.StoredVideos) -> Tensor:
        """Return logits (B, N) of texts (N, D), as `encode_texts` gives them."""
        return scoring.compare(self._prompts, self._logit_scale, texts, stored)

    def _parts(self, frames: Tensor) -> Iterator[Tensor]:
        step = self._vision.videos_at_once
        for start in range(0, len(frames), step):
            yield frames[start : start + step].to(self.device)


class VisionTower:
    """From bytes to the embedding of a video and its patches, averaged over the frames."""

    def __init__(
        self, network: model.XCLIPModel, preprocessing: Preprocessing, target: Target
    ) -> None:
        vision = network.config.vision_config
        exact = Target(target.device, torch.float32)
        self.patches = Patches(network.vision_model.embeddings, preprocessing, target)
        self.pre_norm = Norm(network.vision_model.pre_layernorm, target)
        self.layers = [
            CrossFrameBlock(cast(model.CrossFrameLayer, layer), target)
            for layer in network.vision_model.encoder.layers
        ]
        self.post_norm = Norm(network.vision_model.post_layernorm, target)
        self.projection = Linear.of(network.visual_projection, exact)
        self.frame_positions = network.mit.position_embedding.detach().to(
            target.device, torch.float32, copy=True
        )
        self.mit = blocks(network.mit.encoder, exact)
        self.prompt_norm = Norm(network.prompts_visual_layernorm, target)
        self.prompt_projection = Linear(network.prompts_visual_projection.T, None, exact)
        self.num_frames, self.tokens = vision.num_frames, vision.num_patches + 1
        video = self.num_frames * self.tokens * vision.intermediate_size * target.dtype.itemsize
        self.videos_at_once = max(1, _BYTES_AT_ONCE // video)

    def encode(self, frames: Tensor, between: Callable[[], None]) -> tuple[Tensor, Tensor]:
        """frames (B, T, S, S, 3) -> embeddings (B, D) of length 1, patches (B, P, D)."""
        x = self._run(frames, self.tokens, between)
        patches = torch.unflatten(self.prompt_norm(x[:, 1:]), 0, (-1, self.num_frames))
        return self._integrate(x[:, 0]), self.prompt_projection(patches.mean(dim=1))  # (B, P, D)

    def embed(self, frames: Tensor) -> Tensor:
        """frames (B, T, S, S, 3) -> (B, D) of length 1."""
        return self._integrate(self._run(frames, 1, uninterrupted)[:, 0])

    def _run(self, frames: Tensor, tokens: int, between: Callable[[], None]) -> Tensor:
        """Return the first `tokens` of each frame after the last layer, (B·T, tokens, W)."""
        x = self.pre_norm(self.patches(frames.flatten(0, 1)))
        for layer in self.layers[:-1]:
            x = layer(x, self.tokens)
            between()
        return self.layers[-1](x, tokens)

    def _integrate(self, pooled: Tensor) -> Tensor:
        """Integrate the class tokens (B·T, W) of a video's frames: (B, D) of length 1."""
        projected = self.projection(self.post_norm(pooled))
        frames = torch.unflatten(projected, 0, (-1, self.num_frames))
        x = frames + self.frame_positions  # (B, T, D)
        for layer in self.mit:
            x = layer(x)
        return F.normalize((x + frames).mean(dim=1), dim=-1)


class Patches:
    """Bytes to tokens: the patch convolution as one multiplication, with normalisation in it.

    Middle grey is subtracted from the bytes before: bfloat16 holds the difference exactly, and its
    rounded weights then multiply numbers around zero.
    """

    def __init__(
        self, embeddings: model.VisionEmbeddings, preprocessing: Preprocessing, target: Target
    ) -> None:
        weight = embeddings.patch_embedding.weight.detach().to(torch.float64)  # (W, 3, p, p)
        mean, std = (
            torch.tensor(values, dtype=torch.float64, device=weight.device)
            for values in (preprocessing.mean, preprocessing.std)
        )
        grey = (_MIDDLE_GREY / 255 - mean) / std  # (3,)
        bias = torch.einsum("wchv,c->w", weight, grey)
        weight = (weight / (255 * std)[:, None, None]).permute(0, 2, 3, 1)  # (W, p, p, 3)
        self.linear = Linear(weight.flatten(1), None, target)
        self.edge = embeddings.patch_size
        positions = embeddings.position_embedding.weight.detach().to(torch.float64)  # (L, W)
        first = embeddings.class_embedding.detach().to(torch.float64) + positions[0]
        offsets = torch.cat([first[None], positions[1:] + bias])  # (L, W)
        self.offsets = offsets.to(target.device, torch.float32)

    def __call__(self, frames: Tensor) -> Tensor:
        """frames : uint8, shape = (B·T, S, S, 3) -> tokens (B·T, L, W); the class token first."""
        side = frames.shape[1] // self.edge
        frames = frames[:, : side * self.edge, : side * self.edge]
        grid = frames.reshape(len(frames), side, self.edge, side, self.edge, 3)
        patches = grid.transpose(2, 3).flatten(3).flatten(1, 2)  # (B·T, P, p·p·3)
        tokens = self.offsets.repeat(len(frames), 1, 1)  # (B·T, L, W)
        tokens[:, 1:] += self.linear(patches.to(self.linear.dtype) - _MIDDLE_GREY)
        return tokens


class TextTower:
    """From token ids to features, in float32 always: a query is small, and every score has it."""

    def __init__(self, network: model.XCLIPModel, target: Target) -> None:
        text = network.text_model
        self.words, self.positions = (
            table.weight.detach().to(target.device, torch.float32, copy=True)
            for table in (text.embeddings.token_embedding, text.embeddings.position_embedding)
        )
        self.layers = blocks(text.encoder, target)
        self.norm = Norm(text.final_layer_norm, target)
        self.projection = Linear.of(network.text_projection, target)

    def encode(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Token ids of N texts -> (N, D).

        A text ends with its largest id and is pooled there. Padding follows it, where a causal
        tower does not look, so no mask is needed.
        """
        longest = max(map(len, texts))
        rows = [[*text, *[0] * (longest - len(text))] for text in texts]
        ids = torch.tensor(rows, device=self.words.device)  # (N, longest)
        x = self.words[ids] + self.positions[:longest]
        for layer in self.layers:
            x = layer(x, causal=True)
        ends = ids.argmax(dim=-1)
        return self.projection(self.norm(x[torch.arange(len(x), device=x.device), ends]))


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group texts by length: their rows, few enough at once and with little padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        is_padded = batch and lengths[row] > _MOST_PADDING * lengths[batch[0]]
        if is_padded or len(batch) == _TEXTS_AT_ONCE:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
