"""The loss of a batch: as transformers computes it, and the same when activations are cached."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xclip.config import XCLIPConfig
from xclip.model import XCLIPModel
from xclip.training.config import ObjectiveConfig
from xclip.training.gradient_cache import backward_in_parts
from xclip.training.initialisation import set_drop_path
from xclip.training.network import Batch, TrainingNetwork

VIDEOS = 5


def drawn(config: XCLIPConfig, labels: int | None = None) -> Batch:
    """Noise for videos, random texts; with labels, so many texts and a target for each video."""
    noise = torch.Generator().manual_seed(1)
    vision, text = config.vision_config, config.text_config
    shape = (VIDEOS, vision.num_frames, 3, vision.image_size, vision.image_size)
    ids = torch.randint(0, text.vocab_size, (labels or VIDEOS, 6), generator=noise)
    targets = None if labels is None else torch.arange(VIDEOS) % labels
    return Batch(torch.randn(shape, generator=noise), ids, torch.ones_like(ids), targets)


def gradients(model: XCLIPModel) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], relative: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        bound = relative * (1 + float(gradient.abs().max()))
        assert float((found[name] - gradient).abs().max()) <= bound, name


@pytest.mark.parametrize("seed", range(3))
def test_captions_cost_what_transformers_says(
    seed: int, make_config: Callable, make_model: Callable, make_twin: Callable
) -> None:
    """Loss and the gradient of every weight, float32, within 1e-4."""
    model = make_model(make_config(seed), seed)
    with torch.no_grad():
        model.logit_scale.fill_(2.0)
    twin, batch = make_twin(model), drawn(model.config)
    loss = TrainingNetwork(model, ObjectiveConfig("captions"))(batch)
    expected = twin(
        input_ids=batch.input_ids, pixel_values=batch.pixel_values, return_loss=True
    ).loss
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    loss.backward()
    expected.backward()
    theirs = {name: parameter.grad for name, parameter in twin.named_parameters()}
    assert_close(gradients(model), theirs, 1e-4)


def test_labels_cost_a_smoothed_cross_entropy(make_config: Callable, make_model: Callable) -> None:
    """Over one video's logits of all labels, from the network's own forward pass."""
    model = make_model(make_config(1), 1)
    batch = drawn(model.config, labels=3)
    network = TrainingNetwork(model, ObjectiveConfig("labels", label_smoothing=0.1))
    logits = model(batch.input_ids, batch.pixel_values, batch.attention_mask).logits_per_video
    expected = F.cross_entropy(logits, batch.targets, label_smoothing=0.1)
    assert torch.allclose(network(batch), expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [None, 3])
@pytest.mark.parametrize("part", [1, 2, 4])
def test_cached_gradients_are_those_of_the_whole_batch(
    labels: int | None, part: int, make_config: Callable, make_model: Callable
) -> None:
    """Whatever the part, also one that does not divide the batch: within 1e-5."""
    model = make_model(make_config(2), 2).train()
    objective = ObjectiveConfig("captions" if labels is None else "labels", 0.1)
    network, batch = TrainingNetwork(model, objective), drawn(model.config, labels)
    whole = network(batch)
    whole.backward()
    expected = gradients(model)
    loss = backward_in_parts(network, batch, part, seed=0)
    assert float(loss) == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_close(gradients(model), expected, 1e-5)


def test_dropped_messages_are_the_same_in_both_passes(
    make_config: Callable, make_model: Callable
) -> None:
    """The second pass draws what the first drew: in one part, the gradients of a whole batch."""
    model = make_model(make_config(2), 2).train()
    set_drop_path(model, 0.5)
    network, batch = TrainingNetwork(model, ObjectiveConfig("captions")), drawn(model.config)
    torch.manual_seed(7)
    network(batch).backward()
    expected = gradients(model)
    backward_in_parts(network, batch, VIDEOS, seed=7)
    assert_close(gradients(model), expected, 1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_near(
    precision: str, make_config: Callable, make_model: Callable
) -> None:
    """The loss is float32, and within 2 % of what full precision gives."""
    model = make_model(make_config(1), 1)
    with torch.no_grad():
        model.logit_scale.fill_(2.0)
    batch = drawn(model.config)
    exact = TrainingNetwork(model, ObjectiveConfig("captions"))(batch)
    rough = TrainingNetwork(model, ObjectiveConfig("captions"), precision)(batch)
    assert rough.dtype == torch.float32
    assert float(rough.detach()) == pytest.approx(float(exact.detach()), rel=0.02)
