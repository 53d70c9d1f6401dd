"""Inference layers: fused and packed, with matrices in one dtype.

Matrices multiply in `dtype`. Norms and the stream that layers add to stay float32: what bfloat16
rounds there would be lost for all layers after it.

Shape legend: B sequences, L tokens, W width, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xclip import model

# PyTorch chooses the layout of packed weights for this many rows; other numbers work as well.
_PACKED_FOR_ROWS = 400
_QUICK_GELU = 1.702


@dataclass(frozen=True, slots=True)
class Target:
    """Where weights lie and what their matrices multiply in."""

    device: torch.device
    dtype: torch.dtype


class Linear:
    """x · weightᵀ + bias in the target's dtype, of `width` numbers; other inputs are converted.

    On processors the weights are packed for oneDNN once. In float32 that is another library than
    PyTorch's linear layers use, and on AMD's processors twice as fast.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, target: Target) -> None:
        weight = weight.detach().to(target.device, target.dtype).contiguous()
        self.dtype, self.width = target.dtype, len(weight)
        self.bias = (
            None if bias is None else bias.detach().to(target.device, target.dtype, copy=True)
        )
        has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        self.is_packed = weight.device.type == "cpu" and has_onednn
        self.weight = _pack(weight) if self.is_packed else weight.clone()

    @classmethod
    def of(cls, layer: nn.Linear, target: Target) -> Linear:
        """Take over the weights of `layer`."""
        return cls(layer.weight, layer.bias, target)

    def __call__(self, x: Tensor) -> Tensor:
        """x : Tensor, shape = (..., W) -> (..., other W)."""
        x = x.to(self.dtype)
        if self.is_packed:
            return _multiply_packed(x, self.weight, self.bias)
        return F.linear(x, self.weight, self.bias)


def _pack(weight: Tensor) -> Tensor:
    # The operators that torch.compile emits for a processor; there are no public names for them.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_FOR_ROWS)  # noqa: SLF001
    return cast(Tensor, packed)


def _multiply_packed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
    return cast(Tensor, linear(x, weight, bias, "none", [], ""))


class Norm:
    """Layer norm, float32 in and out."""

    def __init__(self, norm: nn.LayerNorm, target: Target) -> None:
        self.weight = norm.weight.detach().to(target.device, torch.float32, copy=True)
        self.bias = norm.bias.detach().to(target.device, torch.float32, copy=True)
        self.eps = norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        """x : Tensor, shape = (..., W)."""
        return F.layer_norm(
            x.to(torch.float32), self.weight.shape, self.weight, self.bias, self.eps
        )


class FusedAttention:
    """Self-attention with queries, keys and values out of one multiplication."""

    def __init__(self, attention: model.Attention, target: Target) -> None:
        parts = attention.q_proj, attention.k_proj, attention.v_proj
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts])
        self.heads = attention.heads
        self.qkv = Linear(weight, bias, target)
        self.out = Linear.of(attention.out_proj, target)

    def __call__(self, x: Tensor, queries: int | None = None, causal: bool = False) -> Tensor:
        """x : Tensor, shape = (B, L, W) -> (B, queries, W); only the first tokens look around."""
        qkv = torch.unflatten(self.qkv(x), -1, (3, self.heads, -1))  # (B, L, 3, H, W/H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, L, W/H)
        seen = F.scaled_dot_product_attention(q[:, :, :queries], k, v, is_causal=causal)
        return self.out(seen.transpose(1, 2).flatten(2))


class FusedMLP:
    """Two linear layers; QuickGELU's factor is in their weights.

    x·sigmoid(1.702·x) is silu(1.702·x) / 1.702, and silu is one pass where the former is three.
    """

    def __init__(self, mlp: model.MLP, target: Target) -> None:
        self.is_quick = isinstance(mlp.activation_fn, model.QuickGELU)
        factor = _QUICK_GELU if self.is_quick else 1.0
        self.fc1 = Linear(mlp.fc1.weight * factor, mlp.fc1.bias * factor, target)
        self.fc2 = Linear(mlp.fc2.weight / factor, mlp.fc2.bias, target)

    def __call__(self, x: Tensor) -> Tensor:
        """x : Tensor, shape = (..., W)."""
        hidden = self.fc1(x)
        return self.fc2(F.silu(hidden, inplace=True) if self.is_quick else F.gelu(hidden))


class Block:
    """The pre-norm block of the text tower and of the MIT."""

    def __init__(self, layer: model.EncoderLayer, target: Target) -> None:
        self.norm1, self.norm2 = (
            Norm(norm, target) for norm in (layer.layer_norm1, layer.layer_norm2)
        )
        self.attention = FusedAttention(layer.self_attn, target)
        self.mlp = FusedMLP(layer.mlp, target)

    def __call__(self, x: Tensor, causal: bool = False) -> Tensor:
        """x : Tensor, shape = (B, L, W)."""
        x = x + self.attention(self.norm1(x), causal=causal)
        return x + self.mlp(self.norm2(x))


class CrossFrameBlock:
    """The cross-frame layer; a message is only looked at, it neither looks nor goes on."""

    def __init__(self, layer: model.CrossFrameLayer, target: Target) -> None:
        self.num_frames = layer.num_frames
        self.message = Linear.of(layer.message_fc, target)
        self.message_norm, self.norm1, self.norm2 = (
            Norm(norm, target) for norm in (layer.message_ln, layer.layer_norm1, layer.layer_norm2)
        )
        self.message_attention = FusedAttention(layer.message_attn, target)
        self.attention = FusedAttention(layer.self_attn, target)
        self.mlp = FusedMLP(layer.mlp, target)

    def __call__(self, x: Tensor, tokens: int) -> Tensor:
        """x : Tensor, shape = (B·T, L, W) -> (B·T, tokens, W), of the first tokens of a frame."""
        messages = self.message(x[:, 0]).to(torch.float32)
        messages = torch.unflatten(messages, 0, (-1, self.num_frames))  # (B, T, W)
        messages = messages + self.message_attention(self.message_norm(messages))
        seen = torch.cat([x, messages.flatten(0, 1).unsqueeze(1)], dim=1)  # (B·T, L+1, W)
        x = x[:, :tokens] + self.attention(self.norm1(seen), queries=tokens)
        return x + self.mlp(self.norm2(x))


def blocks(tower: model.TransformerEncoder, target: Target) -> Sequence[Block]:
    """Return the layers of a text tower or MIT."""
    return [Block(cast(model.EncoderLayer, layer), target) for layer in tower.layers]
