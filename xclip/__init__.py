"""X-CLIP in plain PyTorch: models, processor, exact scores, video reading; usable alone.

The public names are loaded when first used, so that importing an error or the video reader does
not load PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
    from xclip.encoder import Encoder, StoredSegments
    from xclip.encoders import load_encoder
    from xclip.model import XCLIPModel, XCLIPTextModel, XCLIPVisionModel
    from xclip.processor import XCLIPProcessor
    from xclip.scoring import StoredVideos, encode_video, score
    from xclip.xclip_encoder import XCLIPEncoder

__all__ = [
    "Encoder",
    "StoredSegments",
    "StoredVideos",
    "XCLIPConfig",
    "XCLIPEncoder",
    "XCLIPModel",
    "XCLIPProcessor",
    "XCLIPTextConfig",
    "XCLIPTextModel",
    "XCLIPVisionConfig",
    "XCLIPVisionModel",
    "encode_video",
    "load_encoder",
    "score",
]

_MODULES = {
    "Encoder": "encoder",
    "StoredSegments": "encoder",
    "StoredVideos": "scoring",
    "XCLIPConfig": "config",
    "XCLIPEncoder": "xclip_encoder",
    "XCLIPModel": "model",
    "XCLIPProcessor": "processor",
    "XCLIPTextConfig": "config",
    "XCLIPTextModel": "model",
    "XCLIPVisionConfig": "config",
    "XCLIPVisionModel": "model",
    "encode_video": "scoring",
    "load_encoder": "encoders",
    "score": "scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
