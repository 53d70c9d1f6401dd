"""Gradient cache: the gradient of a whole batch with the activations of only a part in memory.

The loss compares every video with every text, so it cannot be summed over parts of the batch. It
needs of the towers only v, X and t (see `network`), which are small. So the towers run once without
keeping anything; the loss is taken back to v, X and t; then the towers run again part by part, and
what was taken back goes on from there (Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from xclip.training.network import Batch, Sides, TrainingNetwork


def backward_in_parts(
    network: TrainingNetwork,
    batch: Batch,
    part: int,
    seed: int,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Tensor:
    """Add the gradients of the whole batch to the parameters; returns the loss.

    part : clips, and texts, that run through a tower at once
    seed : what is random in a part (drop path) is drawn from it, alike in both passes
    scale : applied to the loss before it is taken back
    """
    videos = torch.split(batch.pixel_values, part)
    texts = list(
        zip(
            torch.split(batch.input_ids, part),
            torch.split(batch.attention_mask, part),
            strict=True,
        )
    )

    def encode_videos(number: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed + number)
        return network.encode_videos(videos[number])

    def encode_texts(number: int) -> Tensor:
        torch.manual_seed(seed + len(videos) + number)
        return network.encode_texts(*texts[number])

    with torch.no_grad():
        encoded = [encode_videos(number) for number in range(len(videos))]
        written = [encode_texts(number) for number in range(len(texts))]
    sides = Sides(
        torch.cat([v for v, _ in encoded]).requires_grad_(),
        torch.cat([patches for _, patches in encoded]).requires_grad_(),
        torch.cat(written).requires_grad_(),
    )
    torch.manual_seed(seed + len(videos) + len(texts))
    loss = network.loss(sides, batch.targets, part)
    torch.autograd.backward(scale(loss))
    taken = [torch.split(_gradient(side), part) for side in sides]
    for number in range(len(videos)):
        outputs = encode_videos(number)
        torch.autograd.backward(outputs, (taken[0][number], taken[1][number]))
    for number in range(len(texts)):
        output = encode_texts(number)
        if output.requires_grad:  # not where the text tower is frozen
            torch.autograd.backward(output, taken[2][number])
    return loss.detach()


def _gradient(side: Tensor) -> Tensor:
    assert side.grad is not None, "every side takes part in the loss"
    return side.grad
