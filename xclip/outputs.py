"""Model outputs: what the networks return."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(slots=True)
class EncoderOutput:
    """What one tower computed; the tuples are present only on request."""

    last_hidden_state: Tensor
    pooler_output: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(slots=True)
class XCLIPOutput:
    """What `XCLIPModel.forward` computed.

    logits_per_video is (B, N), logits_per_text its transpose; text_embeds is (B, N, D) because
    every text is conditioned on every video; video_embeds is (B, D). Both embeddings have length 1.
    """

    logits_per_video: Tensor
    logits_per_text: Tensor
    text_embeds: Tensor
    video_embeds: Tensor
    text_model_output: EncoderOutput
    vision_model_output: EncoderOutput
    mit_output: EncoderOutput
    loss: Tensor | None = None
