"""Losses: contrastive for captions and videos, cross-entropy for labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def caption_loss(logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of both cross-entropies of (B, B) logits whose diagonal holds the true pairs."""
    target = torch.arange(len(logits), device=logits.device)
    over_texts = F.cross_entropy(logits, target, label_smoothing=smoothing)
    over_videos = F.cross_entropy(logits.T, target, label_smoothing=smoothing)
    return (over_texts + over_videos) / 2


def label_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of (B, N) logits with labels, int64 (B,), or their mixtures, float (B, N)."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)
