"""Exact X-CLIP scores from stored tensors, without running the vision tower again.

A score needs the video's embedding v and the patches X that texts attend to, after the prompt
generator's layer norm; nothing else of the video. Two forms compute the same:

projected   keys and values are computed from X for each video, then shared by all its texts;
absorbed    the key projection is folded into the query and the value projection is applied after
            pooling, so nothing is ever computed per patch but two products with X. Both
            projections have no bias, hence this is exact. Cheaper for few texts.

Shape legend: B videos, N texts, P patches, D projection width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from xclip.model import (
        CrossAttention,
        PromptGenerator,
        PromptGeneratorLayer,
        XCLIPModel,
    )


@dataclass(frozen=True, slots=True)
class StoredVideos:
    """What B videos are kept as.

    embedding : Tensor, shape = (B, D), of length 1
    prompt : Tensor, shape = (B, P, D), layer-normalised
    """

    embedding: Tensor
    prompt: Tensor


def encode_video(
    model: XCLIPModel, pixel_values: Tensor, interpolate_pos_encoding: bool = False
) -> StoredVideos:
    """pixel_values : Tensor, shape = (B, T, C, height, width)."""
    vision = model.encode_frames(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding)
    embedding = model.integrate_frames(vision).pooler_output
    prompt = model.prompts_generator.layernorm(model.prompt_patches(vision))
    return StoredVideos(embedding / embedding.norm(dim=-1, keepdim=True), prompt)


def score(model: XCLIPModel, text_features: Tensor, stored: StoredVideos) -> Tensor:
    """Return (B, N) logits equal to `forward(...).logits_per_video`.

    text_features : Tensor, shape = (N, D), as `get_text_features` gives them
    """
    return compare(model.prompts_generator, model.logit_scale, text_features, stored)


def compare(
    generator: PromptGenerator, logit_scale: Tensor, text_features: Tensor, stored: StoredVideos
) -> Tensor:
    """Do the same with the only parts of the network that it takes."""
    texts = text_features.unsqueeze(0)  # (1, N, D): until a layer has looked at the videos
    prompts = texts
    for layer in generator.decoder:
        block = cast("PromptGeneratorLayer", layer)
        heads = block.cross_attn.heads
        absorb = absorbing_is_cheaper(len(text_features), heads, *stored.prompt.shape[1:])
        attention = attend_absorbed if absorb else attend_projected
        prompts = prompts + attention(block.cross_attn, block.norm1(prompts), stored.prompt)
        prompts = prompts + block.mlp(block.norm3(prompts))
    texts = texts + generator.alpha * prompts
    texts = texts / texts.norm(dim=-1, keepdim=True)
    return logit_scale.exp() * torch.einsum("bd,bnd->bn", stored.embedding, texts)


def absorbing_is_cheaper(texts: int, heads: int, patches: int, width: int) -> bool:
    """Compare the multiply-adds of one layer's attention over one video.

    Projected: P·D² each for keys and values, then per text 2·D² for the query and output and 2·P·D
    to score and pool. Absorbed: per text 4·D², because it carries the key and value projections
    too, and 2·H·P·D, because each head scores and pools over the full width.
    """
    once = 2 * patches * width**2
    projected_text = 2 * width**2 + 2 * patches * width
    absorbed_text = 4 * width**2 + 2 * heads * patches * width
    return texts * absorbed_text < once + texts * projected_text


def attend_projected(attention: CrossAttention, texts: Tensor, patches: Tensor) -> Tensor:
    """The attention as the network writes it.

    texts (B, N, D), or (1, N, D) for all videos alike; patches (B, P, D) -> (B, N, D)
    """
    return cast(Tensor, attention(texts.expand(len(patches), -1, -1), patches))


def attend_absorbed(attention: CrossAttention, texts: Tensor, patches: Tensor) -> Tensor:
    """The same attention with its key and value projections folded into the text side."""
    heads = attention.heads
    key = attention.k_proj.weight.view(heads, -1, patches.shape[-1])  # (H, D/H, D)
    value = attention.v_proj.weight.view(heads, -1, patches.shape[-1])  # (H, D/H, D)
    query = attention.q_proj(texts).unflatten(-1, (heads, -1))  # (B, N, H, D/H)
    query = torch.einsum("bnhe,hed->bhnd", query, key) * key.shape[1] ** -0.5
    # Heads and texts in one dimension: over two, the patches would be copied for each head.
    query = query.flatten(1, 2).expand(len(patches), -1, -1).unsqueeze(1)  # (B, 1, H·N, D)
    keys = patches.unsqueeze(1)  # (B, 1, P, D): PyTorch's fast kernels take four dimensions
    pooled = F.scaled_dot_product_attention(query, keys, keys, scale=1.0)
    pooled = pooled.reshape(len(patches), heads, *texts.shape[1:])  # (B, H, N, D)
    attended = torch.einsum("bhnd,hed->bnhe", pooled, value).flatten(2)  # (B, N, D)
    return cast(Tensor, attention.proj(attended))
