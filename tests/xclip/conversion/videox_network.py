"""X-CLIP as the original code builds it: an oracle for its names, its shapes and its numbers.

Written from the original's modules, not from Hugging Face's, and the slow, plain way: fused
attention by torch's own MultiheadAttention, heads 64 wide, MLPs four times as wide as their layer.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from xclip.config import XCLIPConfig


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A layer of CLIP; x has the tokens first, as MultiheadAttention has it by default."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU())]
        self.mlp = nn.Sequential(OrderedDict([*layers, ("c_proj", nn.Linear(4 * width, width))]))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class CrossFrameBlock(Block):
    """The same with a message between frames; x is (tokens, videos · frames, width)."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__(width)
        self.frames = frames
        self.message_fc, self.message_ln = nn.Linear(width, width), nn.LayerNorm(width)
        self.message_attn = nn.MultiheadAttention(width, width // 64)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        tokens, rows, width = x.shape
        message = self.message_fc(x[0]).view(-1, self.frames, width).transpose(0, 1)
        y = self.message_ln(message)
        message = message + self.message_attn(y, y, y)[0]  # (frames, videos, width)
        x = torch.cat([x, message.transpose(0, 1).reshape(1, rows, width)])
        y = self.ln_1(x)
        x = (x + self.attn(y, y, y)[0])[:tokens]
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x : Tensor, shape = (batch, tokens, width)."""
        x = x.transpose(0, 1)
        for block in self.resblocks:
            x = block(x, mask)
        return x.transpose(0, 1)


class Visual(nn.Module):
    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        vision = config.vision_config
        width, patch = vision.hidden_size, vision.patch_size
        self.conv1 = nn.Conv2d(vision.num_channels, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(vision.num_patches + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        layers = range(vision.num_hidden_layers)
        self.transformer = Blocks([CrossFrameBlock(width, vision.num_frames) for _ in layers])
        self.proj = nn.Parameter(torch.zeros(width, config.projection_dim))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv1(frames).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj, x[:, 1:]


class Integration(Blocks):
    def __init__(self, config: XCLIPConfig) -> None:
        vision = config.vision_config
        layers = range(vision.mit_num_hidden_layers)
        super().__init__([Block(config.projection_dim) for _ in layers])
        shape = (1, vision.num_frames, config.projection_dim)
        self.positional_embedding = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return (super().forward(x + self.positional_embedding) + x).mean(dim=1)


class CrossAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, False) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (-1, 64)).transpose(1, 2)

        q, k, v = (
            heads(self.q_proj(texts)),
            heads(self.k_proj(patches)),
            heads(self.v_proj(patches)),
        )
        weights = (q @ k.transpose(-2, -1) * 64**-0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class PromptLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross_attn = CrossAttention(width)
        self.norm1, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU(), nn.Dropout(0.0), nn.Linear(4 * width, width)
        )

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        texts = texts + self.cross_attn(self.norm1(texts), patches)
        return texts + self.mlp(self.norm3(texts))


class Prompts(nn.Module):
    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList([PromptLayer(width) for _ in range(config.prompt_layers)])
        self.alpha = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        patches = self.norm(patches)
        for layer in self.decoder:
            texts = layer(texts, patches)
        return self.alpha * texts


class OriginalNetwork(nn.Module):
    """logits = network(pixel_values (B, T, 3, S, S), input_ids (N, S)), of shape (B, N)."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        text, dim = config.text_config, config.projection_dim
        width = text.hidden_size
        self.prompts_generator, self.mit = Prompts(config), Integration(config)
        self.visual = Visual(config)
        self.transformer = Blocks([Block(width) for _ in range(text.num_hidden_layers)])
        self.token_embedding = nn.Embedding(text.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.zeros(text.max_position_embeddings, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, dim))
        self.logit_scale = nn.Parameter(torch.zeros([]))
        self.prompts_visual_ln = nn.LayerNorm(config.vision_config.hidden_size)
        self.prompts_visual_proj = nn.Parameter(torch.zeros(config.vision_config.hidden_size, dim))

    def encode_text(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.token_embedding(ids) + self.positional_embedding[:length]
        x = self.ln_final(self.transformer(x, mask))
        return x[torch.arange(len(x)), ids.argmax(dim=-1)] @ self.text_projection

    def forward(self, pixel_values: Tensor, ids: Tensor) -> Tensor:
        videos, frames = pixel_values.shape[:2]
        pooled, patches = self.visual(pixel_values.flatten(0, 1))
        video = self.mit(pooled.view(videos, frames, -1))
        patches = self.prompts_visual_ln(patches) @ self.prompts_visual_proj
        patches = patches.unflatten(0, (videos, frames)).mean(dim=1)
        texts = self.encode_text(ids).expand(videos, -1, -1)
        texts = texts + self.prompts_generator(texts, patches)
        video, texts = (x / x.norm(dim=-1, keepdim=True) for x in (video, texts))
        return self.logit_scale.exp() * torch.einsum("bd,bnd->bn", video, texts)


def random_network(config: XCLIPConfig, seed: int = 0) -> OriginalNetwork:
    """A network in which no two tensors and no norm, bias or position are alike."""
    torch.manual_seed(seed)
    network = OriginalNetwork(config).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim == 1:  # norms, biases, alpha, the class embedding
                value.add_(torch.randn_like(value) * 0.1)
            elif value.ndim > 1 and "embedding" not in name:
                value.normal_(std=value[0].numel() ** -0.5)
            else:
                value.normal_(std=0.5)
        network.logit_scale.fill_(3.0)
    return network
