"""Weight conversion between the original X-CLIP code (microsoft/VideoX) and Hugging Face.

Both hold the same numbers under other names, with two differences: the original keeps the query,
key and value projections of an attention as one `in_proj`, stacked in that order, and it stores
two projections transposed, because it multiplies from the other side. Nothing is computed, so a
round trip is exact in every bit, and each tensor keeps its dtype.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.errors import WeightsError
from xclip.model import XCLIPModel
from xclip.weights import check_tensors

HEAD_WIDTH = 64  # the original code has no other
MLP_RATIO = 4  # nor another of these
# The published large checkpoints say 8 heads of MIT and prompts that were trained with 12.
PUBLISHED_HEADS = 8
HEADS = ("prompt_num_attention_heads", "vision_config.mit_num_attention_heads")
# OpenAI's CLIP archives carry these three sizes as if they were weights. X-CLIP starts from such an
# archive and its code, too, deletes them before it loads one.
IGNORED_ORIGINAL_KEYS = frozenset({"input_resolution", "context_length", "vocab_size"})


@dataclass(frozen=True, slots=True)
class Pair:
    """One tensor of the original and what it is called in Hugging Face's layout.

    names : tuple of str
        One name; of a fused projection three, in the order in which they are stacked.
    """

    original: str
    names: tuple[str, ...]
    transposed: bool = False

    def to_hugging_face(self, tensor: Tensor) -> dict[str, Tensor]:
        """Cut the original's tensor apart; every part is a contiguous copy."""
        whole = tensor.T if self.transposed else tensor
        parts = whole.chunk(len(self.names)) if len(self.names) > 1 else (whole,)
        return {
            name: part.clone(memory_format=torch.contiguous_format)
            for name, part in zip(self.names, parts, strict=True)
        }

    def to_original(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Put the original's tensor together again."""
        if len(self.names) > 1:
            return torch.cat([tensors[name] for name in self.names])
        (name,) = self.names
        tensor = tensors[name].T if self.transposed else tensors[name]
        return tensor.clone(memory_format=torch.contiguous_format)


def pairs(config: XCLIPConfig) -> list[Pair]:
    """Every tensor of a network."""
    return [*_text(config), *_vision(config), *_integration(config), *_prompts(config)]


def to_hugging_face(
    original: Mapping[str, Tensor], config: XCLIPConfig, source: str
) -> dict[str, Tensor]:
    """Rename and cut the original's tensors.

    source : str
        What error messages call them.

    Raises WeightsError naming the keys that are missing, unknown or misshapen.
    """
    check_tensors(_rename_back(_blueprint(config), config), original, source)
    return {
        name: tensor
        for pair in pairs(config)
        for name, tensor in pair.to_hugging_face(original[pair.original]).items()
    }


def to_original(
    tensors: Mapping[str, Tensor], config: XCLIPConfig, source: str
) -> dict[str, Tensor]:
    """Rename and stack tensors in Hugging Face's layout; the undoing of `to_hugging_face`.

    Raises WeightsError for keys that do not fit, and for a network that the original code, which
    derives most numbers from shapes, would run as another one.
    """
    check_tensors(_blueprint(config), tensors, source)
    for names in (pair.names for pair in pairs(config) if len(pair.names) > 1):
        if len({tensors[name].dtype for name in names}) > 1:
            raise WeightsError(f"{', '.join(names)} of {source} need one dtype: they are joined")
    original = _rename_back(tensors, config)
    derived = read_config(original, source)
    check_tensors(_rename_back(_blueprint(derived), derived), original, source)
    is_as_published = config == with_heads(config, PUBLISHED_HEADS)
    if found := differences(config, derived, HEADS if is_as_published else ()):
        raise WeightsError(
            f"the original code would run {source} as a different network: {'; '.join(found)}"
        )
    return original


def read_config(original: Mapping[str, Tensor], source: str) -> XCLIPConfig:
    """The numbers of a network from the shapes of the original's tensors, as its own code does.

    All attention heads are 64 wide there, and an MLP is four times as wide as its layer.

    Raises WeightsError for tensors that are no X-CLIP network.
    """
    shape = _Shapes(original, source)
    grid = math.isqrt(shape("visual.positional_embedding", 2)[0] - 1)
    width, channels, patch_size, _ = shape("visual.conv1.weight", 4)
    text_width, dim = shape("text_projection", 2)
    vocab_size, _ = shape("token_embedding.weight", 2)
    text = XCLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=text_width,
        intermediate_size=MLP_RATIO * text_width,
        num_hidden_layers=shape.layers(r"transformer\.resblocks"),
        num_attention_heads=shape.heads(text_width),
        max_position_embeddings=shape("positional_embedding", 2)[0],
    )
    vision = XCLIPVisionConfig(
        hidden_size=width,
        intermediate_size=MLP_RATIO * width,
        num_hidden_layers=shape.layers(r"visual\.transformer\.resblocks"),
        num_attention_heads=shape.heads(width),
        mit_hidden_size=dim,
        mit_intermediate_size=MLP_RATIO * dim,
        mit_num_hidden_layers=shape.layers(r"mit\.resblocks"),
        mit_num_attention_heads=shape.heads(dim),
        num_channels=channels,
        image_size=patch_size * grid,
        patch_size=patch_size,
        num_frames=shape("mit.positional_embedding", 3)[1],
    )
    return XCLIPConfig(
        text,
        vision,
        projection_dim=dim,
        prompt_layers=shape.layers(r"prompts_generator\.decoder"),
        prompt_num_attention_heads=shape.heads(dim),
    )


def with_heads(config: XCLIPConfig, heads: int) -> XCLIPConfig:
    """The same network with so many heads in the MIT and in the prompts; no shape changes."""
    vision = dataclasses.replace(config.vision_config, mit_num_attention_heads=heads)
    return dataclasses.replace(config, vision_config=vision, prompt_num_attention_heads=heads)


def differences(
    config: XCLIPConfig, other: XCLIPConfig, ignoring: Collection[str] = ()
) -> list[str]:
    """What evaluation would do otherwise with the other configuration, in words."""
    here, there = _flat(config), _flat(other)
    return [
        f"{name} {there[name]}, not {here[name]}"
        for name in here
        if here[name] != there[name] and name not in ignoring
    ]


def _flat(config: XCLIPConfig) -> dict[str, object]:
    """Every number that takes part in evaluation, by its path in config.json."""
    left_out = re.compile("(dropout|drop_path_rate|init.*|token_id|model_type)$")
    levels = {"": config.to_dict()}
    for tower in ("text_config", "vision_config"):
        levels[f"{tower}."] = levels[""].pop(tower)
    return {
        prefix + name: value
        for prefix, values in levels.items()
        for name, value in values.items()
        if not left_out.search(name) and name != "prompt_alpha"  # alpha's own tensor counts
    }


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Looks shapes up, and says in words what is wrong with a file that is something else."""

    tensors: Mapping[str, Tensor]
    source: str

    def __call__(self, key: str, ndim: int) -> torch.Size:
        if key not in self.tensors:
            raise WeightsError(f"{self.source} is not an X-CLIP network: it lacks {key}")
        shape = self.tensors[key].shape
        if len(shape) != ndim or 0 in shape:
            raise WeightsError(f"{key} of {self.source} has the impossible shape {tuple(shape)}")
        return shape

    def layers(self, stack: str) -> int:
        """How many numbers follow a name; a gap among them shows when the keys are compared."""
        found = {match[1] for key in self.tensors if (match := re.match(rf"{stack}\.(\d+)\.", key))}
        if not found:
            raise WeightsError(
                f"{self.source} is not an X-CLIP network: it has no layer of {stack}"
            )
        return len(found)

    def heads(self, width: int) -> int:
        if width % HEAD_WIDTH:
            raise WeightsError(
                f"{self.source} has a layer of width {width}, which is not a multiple of "
                f"{HEAD_WIDTH}, the width of a head in the original code"
            )
        return width // HEAD_WIDTH


def _blueprint(config: XCLIPConfig) -> dict[str, Tensor]:
    """Names and shapes in Hugging Face's layout; the tensors are empty."""
    with torch.device("meta"):
        return XCLIPModel(config).state_dict()


def _rename_back(tensors: Mapping[str, Tensor], config: XCLIPConfig) -> dict[str, Tensor]:
    return {pair.original: pair.to_original(tensors) for pair in pairs(config)}


def _text(config: XCLIPConfig) -> list[Pair]:
    return [
        Pair("token_embedding.weight", ("text_model.embeddings.token_embedding.weight",)),
        Pair("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
        *_module("ln_final", "text_model.final_layer_norm"),
        Pair("text_projection", ("text_projection.weight",), transposed=True),
        Pair("logit_scale", ("logit_scale",)),
        *_stack("transformer", "text_model", config.text_config.num_hidden_layers),
    ]


def _vision(config: XCLIPConfig) -> list[Pair]:
    embeddings, layers = "vision_model.embeddings", config.vision_config.num_hidden_layers
    found = [
        Pair("visual.class_embedding", (f"{embeddings}.class_embedding",)),
        Pair("visual.positional_embedding", (f"{embeddings}.position_embedding.weight",)),
        Pair("visual.conv1.weight", (f"{embeddings}.patch_embedding.weight",)),
        *_module("visual.ln_pre", "vision_model.pre_layernorm"),
        *_module("visual.ln_post", "vision_model.post_layernorm"),
        Pair("visual.proj", ("visual_projection.weight",), transposed=True),
        *_stack("visual.transformer", "vision_model", layers),
    ]
    for layer in range(layers):
        original = f"visual.transformer.resblocks.{layer}"
        ours = f"vision_model.encoder.layers.{layer}"
        found += _module(f"{original}.message_fc", f"{ours}.message_fc")
        found += _module(f"{original}.message_ln", f"{ours}.message_ln")
        found += _attention(f"{original}.message_attn", f"{ours}.message_attn")
    return found


def _integration(config: XCLIPConfig) -> list[Pair]:
    return [
        Pair("mit.positional_embedding", ("mit.position_embedding",)),
        *_stack("mit", "mit", config.vision_config.mit_num_hidden_layers),
    ]


def _prompts(config: XCLIPConfig) -> list[Pair]:
    found = [
        *_module("prompts_visual_ln", "prompts_visual_layernorm"),
        # not transposed: Hugging Face's network multiplies this one as the original does
        Pair("prompts_visual_proj", ("prompts_visual_projection",)),
        *_module("prompts_generator.norm", "prompts_generator.layernorm"),
        Pair("prompts_generator.alpha", ("prompts_generator.alpha",)),
    ]
    for layer in range(config.prompt_layers):
        same = f"prompts_generator.decoder.{layer}"
        for projection in ("q_proj", "k_proj", "v_proj"):  # separate here, and without a bias
            key = f"{same}.cross_attn.{projection}.weight"
            found.append(Pair(key, (key,)))
        for module in ("cross_attn.proj", "norm1", "norm3", "mlp.0", "mlp.3"):
            found += _module(f"{same}.{module}", f"{same}.{module}")
    return found


def _stack(original: str, ours: str, layers: int) -> list[Pair]:
    """The parts of a transformer layer that all three towers share."""
    renamed = (
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    )
    found = []
    for layer in range(layers):
        there, here = f"{original}.resblocks.{layer}", f"{ours}.encoder.layers.{layer}"
        found += _attention(f"{there}.attn", f"{here}.self_attn")
        for theirs, mine in renamed:
            found += _module(f"{there}.{theirs}", f"{here}.{mine}")
    return found


def _attention(original: str, ours: str) -> list[Pair]:
    fused = [
        Pair(
            f"{original}.in_proj_{part}",
            tuple(f"{ours}.{projection}.{part}" for projection in ("q_proj", "k_proj", "v_proj")),
        )
        for part in ("weight", "bias")
    ]
    return [*fused, *_module(f"{original}.out_proj", f"{ours}.out_proj")]


def _module(original: str, ours: str) -> list[Pair]:
    return [Pair(f"{original}.{part}", (f"{ours}.{part}",)) for part in ("weight", "bias")]
