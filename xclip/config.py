"""Configuration: every number of an X-CLIP network, as Hugging Face's config.json holds it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from xclip.errors import ConfigError

ACTIVATIONS = ("quick_gelu", "gelu")


class _JSONConfig:
    """Reading and writing one level of a Hugging Face configuration."""

    __slots__ = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a config.json mapping; keys this network does not use are ignored."""
        known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: value for key, value in values.items() if key in known})

    def to_dict(self) -> dict[str, Any]:
        """Return the values under the names that Hugging Face uses."""
        return {**dataclasses.asdict(self), "model_type": self.model_type}  # type: ignore[call-overload,attr-defined]


@dataclass(frozen=True, slots=True)
class XCLIPTextConfig(_JSONConfig):
    """The text tower; the defaults are those of xclip-base-patch32.

    The special token ids of published files (0, 1, 2) do not belong to CLIP's vocabulary. They are
    kept for round trips only: the network pools at the largest id and needs none of them.
    """

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | None = 2

    model_type = "xclip_text_model"

    def __post_init__(self) -> None:
        _check_positive(
            self,
            ("vocab_size", "intermediate_size", "num_hidden_layers", "max_position_embeddings"),
        )
        _check_heads("text", self.hidden_size, self.num_attention_heads)
        _check_activation(self.hidden_act)


@dataclass(frozen=True, slots=True)
class XCLIPVisionConfig(_JSONConfig):
    """The cross-frame vision tower and the multi-frame integration transformer (`mit_*`)."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mit_hidden_size: int = 512
    mit_intermediate_size: int = 2048
    mit_num_hidden_layers: int = 1
    mit_num_attention_heads: int = 8
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    num_frames: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    drop_path_rate: float = 0.0

    model_type = "xclip_vision_model"

    def __post_init__(self) -> None:
        sizes = ("intermediate_size", "num_hidden_layers", "mit_intermediate_size")
        more_sizes = ("mit_num_hidden_layers", "num_channels", "patch_size", "num_frames")
        _check_positive(self, sizes + more_sizes)
        _check_heads("vision", self.hidden_size, self.num_attention_heads)
        _check_heads("mit", self.mit_hidden_size, self.mit_num_attention_heads)
        _check_activation(self.hidden_act)
        if not isinstance(self.image_size, int) or self.image_size < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size} is smaller than a patch ({self.patch_size})"
            )

    @property
    def num_patches(self) -> int:
        """Patches of one frame of the native size; an incomplete last row or column is cut off."""
        return (self.image_size // self.patch_size) ** 2

    def multiframe_integration(self) -> XCLIPVisionConfig:
        """Return the same configuration with the encoder fields that the MIT uses."""
        return dataclasses.replace(
            self,
            hidden_size=self.mit_hidden_size,
            intermediate_size=self.mit_intermediate_size,
            num_hidden_layers=self.mit_num_hidden_layers,
            num_attention_heads=self.mit_num_attention_heads,
        )


@dataclass(frozen=True, slots=True)
class XCLIPConfig(_JSONConfig):
    """Both towers, the projections and the video-specific prompt generator (`prompt_*`).

    `prompt_num_attention_heads` and `mit_num_attention_heads` are 8 in every converted checkpoint,
    the large ones included, although the original network used width / 64: the shapes agree, so
    nothing but these fields can tell.
    """

    text_config: XCLIPTextConfig = field(default_factory=XCLIPTextConfig)
    vision_config: XCLIPVisionConfig = field(default_factory=XCLIPVisionConfig)
    projection_dim: int = 512
    prompt_layers: int = 2
    prompt_alpha: float = 0.1
    prompt_hidden_act: str = "quick_gelu"
    prompt_num_attention_heads: int = 8
    prompt_attention_dropout: float = 0.0
    prompt_projection_dropout: float = 0.0
    logit_scale_init_value: float = 2.6592
    initializer_factor: float = 1.0

    model_type = "xclip"

    def __post_init__(self) -> None:
        _check_positive(self, ("projection_dim", "prompt_layers"))
        _check_heads("prompt", self.projection_dim, self.prompt_num_attention_heads)
        _check_activation(self.prompt_hidden_act)
        if self.vision_config.mit_hidden_size != self.projection_dim:
            raise ConfigError(
                f"mit_hidden_size {self.vision_config.mit_hidden_size} must equal "
                f"projection_dim {self.projection_dim}: nothing projects between them"
            )

    @classmethod
    def from_text_vision_configs(
        cls,
        text_config: XCLIPTextConfig,
        vision_config: XCLIPVisionConfig,
        **kwargs: Any,
    ) -> XCLIPConfig:
        """Join two tower configurations; `kwargs` are the remaining fields."""
        return cls(text_config=text_config, vision_config=vision_config, **kwargs)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a config.json mapping; towers that it leaves out get the defaults."""
        if values.get("model_type", "xclip") != "xclip":
            raise ConfigError(f"model_type is {values['model_type']!r}, not 'xclip'")
        # Older files repeat the towers under `*_config_dict`, which then wins.
        text = values.get("text_config_dict") or values.get("text_config") or {}
        vision = values.get("vision_config_dict") or values.get("vision_config") or {}
        towers = {
            "text_config": XCLIPTextConfig.from_dict(text),
            "vision_config": XCLIPVisionConfig.from_dict(vision),
        }
        try:
            return super(XCLIPConfig, cls).from_dict({**values, **towers})
        except TypeError as error:
            raise ConfigError(f"config.json holds a value of the wrong type: {error}") from error

    @classmethod
    def from_json_file(cls, path: Path) -> Self:
        """Read a config.json; ConfigError if it is not one."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {path.name}: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path.name} does not hold a JSON object")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return the values under the names that Hugging Face uses, towers included."""
        return {
            **super(XCLIPConfig, self).to_dict(),
            "text_config": self.text_config.to_dict(),
            "vision_config": self.vision_config.to_dict(),
        }


def _check_positive(config: object, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is {value!r}, but must be a whole number of at least 1")


def _check_heads(part: str, width: int, heads: int) -> None:
    if not (isinstance(width, int) and isinstance(heads, int)) or heads < 1 or width % heads:
        raise ConfigError(f"{part}: a width of {width} does not divide into {heads} heads")


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation {name!r} is not one of {', '.join(ACTIVATIONS)}")
