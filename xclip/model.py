"""X-CLIP model: the network in the order of the paper (Ni et al. 2022, arXiv 2208.02816).

Text tower (CLIP), vision tower with cross-frame communication (section 3.2), multi-frame
integration transformer (MIT, 3.2), video-specific prompting (3.3), and `XCLIPModel`, their sum.
Parameter names are those of Hugging Face's checkpoints, so their files load key for key.
It is one file on purpose, longer than any other here, so that it reads in one go beside the paper.

Shape legend: B videos, T frames, P patches, L = P + 1 tokens of a frame, S tokens of a text,
N texts, W width of a tower, D projection width, H heads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.initialise import initialise
from xclip.outputs import EncoderOutput, XCLIPOutput


class QuickGELU(nn.Module):
    """CLIP's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def activation(name: str) -> nn.Module:
    return QuickGELU() if name == "quick_gelu" else nn.GELU()


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Attend with heads split, q (B, H, L, W/H); the mask is True where a key may be seen."""
    if not weights:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout), None
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    probabilities = scores.softmax(dim=-1)
    return F.dropout(probabilities, dropout) @ v, probabilities


class Attention(nn.Module):
    """Multi-head attention with biased projections."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """x : Tensor, shape = (B, L, W) -> (B, L, W), and the weights (B, H, L, L) on request."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, L, W/H)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended, probabilities = attend(
            q, k, v, mask, self.dropout if self.training else 0.0, weights
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2)), probabilities


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int, act: str) -> None:
        super().__init__()
        self.activation_fn = activation(act)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(self.activation_fn(self.fc1(x))))


class EncoderLayer(nn.Module):
    """The pre-norm transformer block of the text tower and of the MIT."""

    def __init__(self, config: XCLIPTextConfig | XCLIPVisionConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.self_attn = Attention(width, config.num_attention_heads, config.attention_dropout)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(width, config.intermediate_size, config.hidden_act)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(
        self, x: Tensor, mask: Tensor | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        attended, probabilities = self.self_attn(self.layer_norm1(x), mask, weights)
        x = x + attended
        return x + self.mlp(self.layer_norm2(x)), probabilities


class DropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for whole samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * torch.bernoulli(x.new_full(shape, keep)) / keep


class CrossFrameLayer(nn.Module):
    """Cross-frame communication (section 3.2): frames exchange messages, then attend within.

    Each frame's class token becomes a message token; the messages attend across the T frames; every
    frame then sees its own message as one more key and value. The message is dropped after the
    attention's residual and before the MLP.
    """

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        heads, dropout = config.num_attention_heads, config.attention_dropout
        self.num_frames = config.num_frames
        self.message_fc = nn.Linear(width, width)
        self.message_ln = nn.LayerNorm(width, eps=eps)
        self.message_attn = Attention(width, heads, dropout)
        self.drop_path = DropPath(config.drop_path_rate)
        self.self_attn = Attention(width, heads, dropout)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(width, config.intermediate_size, config.hidden_act)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(
        self, x: Tensor, mask: Tensor | None, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """x : Tensor, shape = (B·T, L, W)."""
        tokens = x.shape[1]
        message = self.message_fc(x[:, 0]).unflatten(0, (-1, self.num_frames))  # (B, T, W)
        exchanged, _ = self.message_attn(self.message_ln(message))
        message = (message + self.drop_path(exchanged)).flatten(0, 1).unsqueeze(1)  # (B·T, 1, W)
        x = torch.cat([x, message], dim=1)  # (B·T, L+1, W)
        attended, probabilities = self.self_attn(self.layer_norm1(x), mask, weights)
        x = (x + attended)[:, :tokens]  # (B·T, L, W)
        return x + self.mlp(self.layer_norm2(x)), probabilities


class TransformerEncoder(nn.Module):
    """A stack of layers that can be checkpointed and can report what it did."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.gradient_checkpointing = False

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None, tuple[Tensor, ...] | None]:
        """Return the last hidden state, all hidden states (input first), all attention weights."""
        states, attentions = [x], []
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x, weights = checkpoint(layer, x, mask, output_attentions, use_reentrant=False)
            else:
                x, weights = layer(x, mask, output_attentions)
            states.append(x)
            attentions.append(weights)
        return (
            x,
            tuple(states) if output_hidden_states else None,
            tuple(attentions) if output_attentions else None,
        )


class TextEmbeddings(nn.Module):
    def __init__(self, config: XCLIPTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None) -> Tensor:
        length, longest = input_ids.shape[1], self.position_embedding.num_embeddings
        if length > longest:
            raise ValueError(
                f"a text of {length} tokens is longer than the {longest} positions of the model"
            )
        if position_ids is None:
            position_ids = torch.arange(length, device=input_ids.device)
        return cast(Tensor, self.token_embedding(input_ids) + self.position_embedding(position_ids))


class XCLIPTextModel(nn.Module):
    """CLIP's causal text tower, pooled at the end-of-text token."""

    def __init__(self, config: XCLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TextEmbeddings(config)
        self.encoder = TransformerEncoder(
            [EncoderLayer(config) for _ in range(config.num_hidden_layers)]
        )
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> EncoderOutput:
        """input_ids : Tensor, shape = (N, S), attention_mask likewise with 1 for a real token."""
        length = input_ids.shape[-1]
        x = self.embeddings(input_ids, position_ids)  # (N, S, W)
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        if attention_mask is not None:
            mask = mask & attention_mask.bool()[:, None, None, :]  # (N, 1, S, S)
        x, states, attentions = self.encoder(x, mask, output_attentions, output_hidden_states)
        x = self.final_layer_norm(x)
        # End-of-text has the largest id of CLIP's vocabulary; padding repeats it only afterwards.
        pooled = x[torch.arange(len(x), device=x.device), input_ids.argmax(dim=-1)]  # (N, W)
        return EncoderOutput(x, pooled, states, attentions)


class VisionEmbeddings(nn.Module):
    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        self.image_size, self.patch_size = config.image_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.empty(config.hidden_size))
        self.patch_embedding = nn.Conv2d(
            config.num_channels,
            config.hidden_size,
            config.patch_size,
            config.patch_size,
            bias=False,
        )
        self.position_embedding = nn.Embedding(config.num_patches + 1, config.hidden_size)

    def forward(self, frames: Tensor, interpolate_pos_encoding: bool) -> Tensor:
        """frames : Tensor, shape = (B·T, C, height, width) -> (B·T, L, W)."""
        height, width = frames.shape[-2:]
        if not interpolate_pos_encoding and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"frames of {height}×{width} do not fit a model of {self.image_size} px squares; "
                "resize them or pass interpolate_pos_encoding=True"
            )
        patches = self.patch_embedding(frames.to(self.patch_embedding.weight.dtype))
        patches = patches.flatten(2).transpose(1, 2)  # (B·T, P, W)
        tokens = torch.cat([self.class_embedding.expand(len(patches), 1, -1), patches], dim=1)
        return tokens + self.positions(height, width, patches.shape[1])

    def positions(self, height: int, width: int, patches: int) -> Tensor:
        """Return the position table (L, W), resampled bicubically for frames of another size."""
        table = self.position_embedding.weight
        if patches == len(table) - 1 and height == width:
            return table
        side = int((len(table) - 1) ** 0.5)
        grid = table[1:].view(1, side, side, -1).permute(0, 3, 1, 2)  # (1, W, side, side)
        size = (height // self.patch_size, width // self.patch_size)
        grid = F.interpolate(grid, size=size, mode="bicubic", align_corners=False)
        return torch.cat([table[:1], grid.flatten(2).squeeze(0).T])


class XCLIPVisionModel(nn.Module):
    """CLIP's image tower whose layers let the frames of one video communicate."""

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = VisionEmbeddings(config)
        self.pre_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = TransformerEncoder(
            [CrossFrameLayer(config) for _ in range(config.num_hidden_layers)]
        )
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        interpolate_pos_encoding: bool = False,
    ) -> EncoderOutput:
        """pixel_values : Tensor, shape = (B·T, C, height, width), the T frames of a video in a row.

        last_hidden_state (B·T, L, W) is not normalised; pooler_output (B·T, W) is.
        """
        if pixel_values.ndim != 4 or len(pixel_values) % self.config.num_frames:
            raise ValueError(
                f"pixel_values of shape {tuple(pixel_values.shape)} do not hold whole videos of "
                f"{self.config.num_frames} frames as (videos * frames, channels, height, width)"
            )
        x = self.pre_layernorm(self.embeddings(pixel_values, interpolate_pos_encoding))
        x, states, attentions = self.encoder(x, None, output_attentions, output_hidden_states)
        return EncoderOutput(x, self.post_layernorm(x[:, 0]), states, attentions)


class MultiframeIntegrationTransformer(nn.Module):
    """Integrates the T frame embeddings of a video into one embedding (section 3.2)."""

    def __init__(self, config: XCLIPVisionConfig) -> None:
        super().__init__()
        self.position_embedding = nn.Parameter(
            torch.empty(1, config.num_frames, config.hidden_size)
        )
        self.encoder = TransformerEncoder(
            [EncoderLayer(config) for _ in range(config.num_hidden_layers)]
        )

    def forward(
        self, frames: Tensor, output_attentions: bool = False, output_hidden_states: bool = False
    ) -> EncoderOutput:
        """frames : Tensor, shape = (B, T, D) -> pooler_output (B, D)."""
        x = frames + self.position_embedding
        x, states, attentions = self.encoder(x, None, output_attentions, output_hidden_states)
        x = x + frames  # the residual is the input before its positions were added
        return EncoderOutput(x, x.mean(dim=1), states, attentions)


class CrossAttention(nn.Module):
    """Texts attend to the patches of one video; only the output projection has a bias."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.heads, self.dropout = (
            config.prompt_num_attention_heads,
            config.prompt_attention_dropout,
        )
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(config.prompt_projection_dropout)

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        """texts : Tensor, shape = (B, N, D); patches : Tensor, shape = (B, P, D)."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N or P, D/H)
            for projection, x in (
                (self.q_proj, texts),
                (self.k_proj, patches),
                (self.v_proj, patches),
            )
        )
        attended, _ = attend(q, k, v, None, self.dropout if self.training else 0.0, weights=False)
        return cast(Tensor, self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2))))


class PromptGeneratorLayer(nn.Module):
    """One block of the prompt generator; `norm2` never existed and `mlp.2` is the dropout."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width, eps = config.projection_dim, config.text_config.layer_norm_eps
        self.cross_attn = CrossAttention(config)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.norm3 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(
            nn.Linear(width, width * 4),
            activation(config.prompt_hidden_act),
            nn.Dropout(config.prompt_attention_dropout),
            nn.Linear(width * 4, width),
        )

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        texts = texts + self.cross_attn(self.norm1(texts), patches)
        return cast(Tensor, texts + self.mlp(self.norm3(texts)))


class PromptGenerator(nn.Module):
    """Video-specific prompting (section 3.3): what each text gains from looking at the video."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.layernorm = nn.LayerNorm(width, eps=config.vision_config.layer_norm_eps)
        self.decoder = nn.ModuleList(
            [PromptGeneratorLayer(config) for _ in range(config.prompt_layers)]
        )
        self.alpha = nn.Parameter(torch.full((width,), config.prompt_alpha))

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        """texts (B, N, D), patches (B, P, D) -> prompts (B, N, D), to be added to the texts."""
        patches = self.layernorm(patches)
        for layer in self.decoder:
            texts = layer(texts, patches)
        return self.alpha * texts


class XCLIPModel(nn.Module):
    """X-CLIP: score videos against texts that are conditioned on each video."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        self.config = config
        vision = config.vision_config
        self.text_model = XCLIPTextModel(config.text_config)
        self.vision_model = XCLIPVisionModel(vision)
        self.visual_projection = nn.Linear(vision.hidden_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(
            config.text_config.hidden_size, config.projection_dim, bias=False
        )
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.prompts_visual_layernorm = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.prompts_visual_projection = nn.Parameter(
            torch.empty(vision.hidden_size, config.projection_dim)
        )
        self.mit = MultiframeIntegrationTransformer(vision.multiframe_integration())
        self.prompts_generator = PromptGenerator(config)
        initialise(self)

    def get_text_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Return (N, D), neither normalised nor conditioned on a video."""
        pooled = self.text_model(input_ids, attention_mask, position_ids).pooler_output
        return cast(Tensor, self.text_projection(pooled))

    def get_video_features(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False
    ) -> Tensor:
        """pixel_values : Tensor, shape = (B, T, C, height, width) -> (B, D), not normalised."""
        vision = self.encode_frames(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding)
        return self.integrate_frames(vision).pooler_output

    def encode_frames(self, pixel_values: Tensor, **options: bool) -> EncoderOutput:
        """Run the vision tower on (B, T, C, height, width); T must be the model's `num_frames`."""
        frames = self.config.vision_config.num_frames
        if pixel_values.ndim != 5 or pixel_values.shape[1] != frames:
            raise ValueError(
                f"pixel_values of shape {tuple(pixel_values.shape)} do not fit a model of "
                f"{frames} frames: (videos, {frames}, channels, height, width) is needed"
            )
        return cast(EncoderOutput, self.vision_model(pixel_values.flatten(0, 1), **options))

    def integrate_frames(self, vision: EncoderOutput, **options: bool) -> EncoderOutput:
        """Project the frames' pooled states and integrate them: pooler_output is (B, D)."""
        frames = self.visual_projection(vision.pooler_output)  # (B·T, D)
        frames = frames.unflatten(0, (-1, self.config.vision_config.num_frames))  # (B, T, D)
        return cast(EncoderOutput, self.mit(frames, **options))

    def prompt_patches(self, vision: EncoderOutput) -> Tensor:
        """Return the patches that texts look at, averaged over the frames: (B, P, D).

        The projection is linear, so it is applied after the mean, T times cheaper.
        """
        patches = self.prompts_visual_layernorm(vision.last_hidden_state[:, 1:])  # (B·T, P, W)
        patches = patches.unflatten(0, (-1, self.config.vision_config.num_frames)).mean(dim=1)
        return torch.matmul(patches, self.prompts_visual_projection)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        interpolate_pos_encoding: bool = False,
    ) -> XCLIPOutput:
        """Score B videos (B, T, C, height, width) against N texts (N, S); see XCLIPOutput.

        `return_loss` adds the symmetric contrastive loss and needs text i to describe video i.
        """
        report = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        vision = self.encode_frames(
            pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **report
        )
        mit = self.integrate_frames(vision, **report)
        text = self.text_model(input_ids, attention_mask, position_ids, **report)
        texts = self.text_projection(text.pooler_output).expand(
            len(pixel_values), -1, -1
        )  # (B, N, D)
        texts = texts + self.prompts_generator(texts, self.prompt_patches(vision))
        texts = texts / texts.norm(dim=-1, keepdim=True)
        videos = mit.pooler_output / mit.pooler_output.norm(dim=-1, keepdim=True)
        logits = self.logit_scale.exp() * torch.einsum("bd,bnd->bn", videos, texts)
        loss = contrastive_loss(logits) if return_loss else None
        return XCLIPOutput(logits, logits.T, texts, videos, text, vision, mit, loss)

    def gradient_checkpointing_enable(self) -> None:
        """Recompute the towers' layers in the backward pass instead of keeping activations."""
        self._set_gradient_checkpointing(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self._set_gradient_checkpointing(False)

    def _set_gradient_checkpointing(self, enabled: bool) -> None:
        for module in self.modules():
            if isinstance(module, TransformerEncoder):
                module.gradient_checkpointing = enabled

    @classmethod
    def from_pretrained(
        cls, source: str | Path, revision: str | None = None, **options: Any
    ) -> XCLIPModel:
        """Load a folder or hub id in evaluation mode; `options` as in `weights.load_model`."""
        from xclip.weights import load_model

        return load_model(source, revision=revision, **options)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, as transformers lays them out."""
        from xclip.weights import save_model

        save_model(self, Path(folder))


def contrastive_loss(logits: Tensor) -> Tensor:
    """Mean of both cross-entropies of (B, B) logits whose diagonal holds the true pairs."""
    if logits.shape[0] != logits.shape[1]:
        raise ValueError(
            f"the loss needs one text for each video, not {logits.shape[1]} for {logits.shape[0]}"
        )
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
