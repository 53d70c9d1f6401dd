"""The network against transformers' implementation, over random tiny networks of odd geometry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xclip.config import XCLIPConfig
from xclip.model import XCLIPModel, XCLIPTextModel, XCLIPVisionModel

SEEDS = range(16)
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}

Config = Callable[[int], XCLIPConfig]
Model = Callable[[XCLIPConfig, int], XCLIPModel]
Build = Callable[..., Any]


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).detach().abs().max())


def assert_same_outputs(ours: Any, theirs: Any, tolerance: float) -> None:
    """Compare every tensor that both promise, except the states of padding tokens."""
    for name in ("logits_per_video", "logits_per_text", "text_embeds", "video_embeds"):
        assert difference(getattr(ours, name), getattr(theirs, name)) <= tolerance, name
    for part in ("text_model_output", "vision_model_output", "mit_output"):
        mine, twins = getattr(ours, part), getattr(theirs, part)
        assert difference(mine.pooler_output, twins.pooler_output) <= tolerance, part
    for part in ("vision_model_output", "mit_output"):
        mine, twins = getattr(ours, part), getattr(theirs, part)
        assert difference(mine.last_hidden_state, twins.last_hidden_state) <= tolerance, part


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_forward(
    seed: int,
    dtype: torch.dtype,
    make_config: Config,
    make_model: Model,
    make_inputs: Build,
    make_twin: Build,
) -> None:
    """Logits, embeddings and features agree at logit scale 100, in float32 and in float64."""
    config = make_config(seed)
    model = make_model(config, seed).to(dtype)
    inputs = dataclasses.asdict(make_inputs(config, seed))
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    twin = make_twin(model)
    tolerance = TOLERANCE[dtype]
    with torch.no_grad():
        assert_same_outputs(model(**inputs), twin(**inputs), tolerance)
        pixels = inputs.pop("pixel_values")
        assert (
            difference(model.get_text_features(**inputs), twin.get_text_features(**inputs)[1])
            <= tolerance
        )
        assert (
            difference(model.get_video_features(pixels), twin.get_video_features(pixels)[1])
            <= tolerance
        )


@pytest.mark.parametrize("seed", range(6))
def test_left_padding_and_positions(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build, make_twin: Build
) -> None:
    """A mask with zeros on the left and explicit position ids mean the same to both."""
    config = make_config(seed)
    model = make_model(config, seed).double()
    inputs = make_inputs(config, seed)
    mask = torch.ones_like(inputs.attention_mask)
    mask[0, :2] = 0
    longest = config.text_config.max_position_embeddings
    positions = torch.arange(inputs.input_ids.shape[1]).flip(0)[None] % longest
    arguments = {
        "input_ids": inputs.input_ids,
        "attention_mask": mask,
        "position_ids": positions.expand_as(mask),
    }
    with torch.no_grad():
        ours = model.get_text_features(**arguments)
        theirs = make_twin(model).get_text_features(**arguments)[1]
        unmasked = model.get_text_features(inputs.input_ids)
    assert difference(ours, theirs) <= 1e-9
    assert difference(ours[:1], unmasked[:1]) > 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_padding_never_changes_a_text(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build
) -> None:
    """A text alone at its true length has the features it has in a padded batch."""
    config = make_config(seed)
    model, inputs = make_model(config, seed), make_inputs(config, seed)
    with torch.no_grad():
        batch = model.get_text_features(inputs.input_ids, inputs.attention_mask)
        for row, length in enumerate(inputs.attention_mask.sum(1).tolist()):
            alone = model.get_text_features(inputs.input_ids[row : row + 1, :length])
            assert difference(alone[0], batch[row]) <= 1e-5


@pytest.mark.parametrize("seed", range(6))
def test_interpolated_positions(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build, make_twin: Build
) -> None:
    """Frames of another size and shape agree when position codes are interpolated."""
    config = make_config(seed)
    model, inputs = make_model(config, seed).double(), make_inputs(config, seed)
    patch, frames = config.vision_config.patch_size, config.vision_config.num_frames
    pixels = torch.randn(2, frames, 3, 3 * patch + 1, 5 * patch, dtype=torch.float64)
    arguments = {"input_ids": inputs.input_ids, "pixel_values": pixels}
    with torch.no_grad():
        ours = model(**arguments, interpolate_pos_encoding=True)
        theirs = make_twin(model)(**arguments, interpolate_pos_encoding=True)
    assert_same_outputs(ours, theirs, 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_loss_and_its_gradients(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build, make_twin: Build
) -> None:
    """The contrastive loss and the gradient of every weight agree."""
    config = make_config(seed)
    model, inputs = make_model(config, seed).double(), make_inputs(config, seed)
    twin = make_twin(model)
    pixels = torch.randn(3, *inputs.pixel_values.shape[1:], dtype=torch.float64)
    ids = torch.randint(0, config.text_config.vocab_size, (3, 6))
    ours = model(input_ids=ids, pixel_values=pixels, return_loss=True).loss
    theirs = twin(input_ids=ids, pixel_values=pixels, return_loss=True).loss
    assert difference(ours, theirs) <= 1e-9
    ours.backward()
    theirs.backward()
    expected = {name: value.grad for name, value in twin.named_parameters()}
    for name, parameter in model.named_parameters():
        gradient = expected[name]
        assert parameter.grad is not None
        assert gradient is not None, name
        assert difference(parameter.grad, gradient) <= 1e-8 * (1 + float(gradient.abs().max()))


@pytest.mark.parametrize("seed", range(4))
def test_hidden_states_and_attentions(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build, make_twin: Build
) -> None:
    """States before, between and after layers and attention weights agree, tower by tower."""
    config = make_config(seed)
    model = make_model(config, seed)
    inputs = dataclasses.asdict(make_inputs(config, seed))
    del inputs["attention_mask"]
    wanted = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        ours = model(**inputs, **wanted)
        theirs = make_twin(model, "eager")(**inputs, **wanted)
        plain = model(**inputs)
    for part in ("text_model_output", "vision_model_output"):
        mine, twins = getattr(ours, part), getattr(theirs, part)
        for name in ("hidden_states", "attentions"):
            for value, other in zip(getattr(mine, name), getattr(twins, name), strict=True):
                assert difference(value, other) <= 1e-4
            assert getattr(getattr(plain, part), name) is None
    assert difference(ours.logits_per_video, plain.logits_per_video) <= 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_states_of_the_integration_transformer(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build, make_twin: Build
) -> None:
    """transformers does not report what its MIT's layers return; ours does, and it is the same."""
    config = make_config(seed)
    model = make_model(config, seed)
    pixels = make_inputs(config, seed).pixel_values
    ids = torch.randint(0, config.text_config.vocab_size, (1, 4))
    twin, expected = make_twin(model), []
    for layer in twin.mit.encoder.layers:
        layer.register_forward_hook(lambda _module, _arguments, output: expected.append(output))
    with torch.no_grad():
        ours = model(ids, pixels, output_hidden_states=True, output_attentions=True).mit_output
        twin(input_ids=ids, pixel_values=pixels)
    assert len(ours.hidden_states) == config.vision_config.mit_num_hidden_layers + 1
    for value, other in zip(ours.hidden_states[1:], expected, strict=True):
        assert difference(value, other) <= 1e-4
    heads, frames = config.vision_config.mit_num_attention_heads, config.vision_config.num_frames
    for weights in ours.attentions:
        assert weights.shape == (len(pixels), heads, frames, frames)
        assert difference(weights.sum(-1), torch.ones(len(pixels), heads, frames)) <= 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_gradient_checkpointing(
    seed: int, make_config: Config, make_model: Model, make_inputs: Build
) -> None:
    """Recomputing layers gives the gradients that keeping them gives, and really recomputes."""
    config = make_config(seed)
    inputs = make_inputs(config, seed)
    pixels, ids = inputs.pixel_values[:1], inputs.input_ids[:1]
    gradients, calls = [], []
    for enabled in (False, True):
        model = make_model(config, seed).train()
        if enabled:
            model.gradient_checkpointing_enable()
        count: list[int] = []
        layer = model.vision_model.encoder.layers[0]
        layer.message_fc.register_forward_hook(lambda *_, count=count: count.append(1))
        model(ids, pixels).logits_per_video.sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
        calls.append(len(count))
    assert calls == [1, 2]
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("shape", [(8, 1), (1, 4), (1, 16), (2, 7)])
def test_wrong_number_of_frames(shape: tuple[int, int], make_model: Model) -> None:
    """A model of 8 frames refuses any other T, also one whose rows would add up."""
    config = dataclasses.replace(
        _tiny(), vision_config=dataclasses.replace(_tiny().vision_config, num_frames=8)
    )
    model = make_model(config, 0)
    size = config.vision_config.image_size
    pixels = torch.zeros(*shape, 3, size, size)
    with pytest.raises(ValueError, match="8 frames"):
        model(torch.zeros(1, 4, dtype=torch.long), pixels)
    with pytest.raises(ValueError, match="8 frames"):
        model.get_video_features(pixels)


def _tiny() -> XCLIPConfig:
    return XCLIPConfig.from_dict(
        {
            "text_config": {
                "vocab_size": 20,
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "max_position_embeddings": 6,
            },
            "vision_config": {
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "mit_hidden_size": 8,
                "mit_intermediate_size": 8,
                "mit_num_attention_heads": 1,
                "image_size": 8,
                "patch_size": 4,
                "num_frames": 2,
            },
            "projection_dim": 8,
            "prompt_num_attention_heads": 1,
        }
    )


def test_wrong_frame_size(make_model: Model) -> None:
    """Frames of another size are refused unless positions are to be interpolated."""
    model = make_model(_tiny(), 0)
    with pytest.raises(ValueError, match="interpolate_pos_encoding"):
        model.get_video_features(torch.zeros(1, 2, 3, 9, 8))


def test_text_longer_than_the_position_table(make_model: Model) -> None:
    """Seven tokens do not fit six positions."""
    with pytest.raises(ValueError, match="7 tokens"):
        make_model(_tiny(), 0).get_text_features(torch.zeros(1, 7, dtype=torch.long))


def test_loss_needs_pairs(make_model: Model) -> None:
    """The loss of two videos and three texts is refused with both numbers."""
    with pytest.raises(ValueError, match="3 for 2"):
        make_model(_tiny(), 0)(
            torch.zeros(3, 4, dtype=torch.long), torch.zeros(2, 2, 3, 8, 8), return_loss=True
        )


def test_towers_stand_alone(make_model: Model) -> None:
    """The two towers are models of their own: same keys without the prefix, same outputs."""
    model = make_model(_tiny(), 0)
    ids, frames = torch.randint(0, 20, (2, 5)), torch.randn(4, 3, 8, 8)
    for whole, kind, argument in (
        (model.text_model, XCLIPTextModel(model.config.text_config), ids),
        (model.vision_model, XCLIPVisionModel(model.config.vision_config), frames),
    ):
        kind.load_state_dict(whole.state_dict())
        with torch.no_grad():
            assert torch.equal(kind.eval()(argument).pooler_output, whole(argument).pooler_output)


def test_a_text_is_read_at_its_first_largest_id(make_model: Model) -> None:
    """What follows the first end-of-text cannot change a text's features."""
    model = make_model(_tiny(), 0)
    ids = torch.tensor([[5, 3, 19, 4, 19, 0], [5, 3, 19, 19, 1, 2]])
    with torch.no_grad():
        features = model.get_text_features(ids)
    assert torch.equal(features[0], features[1])
