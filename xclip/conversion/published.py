"""Published checkpoints: Microsoft's 18, with sizes and each one's golden outputs for one clip.

The golden values are those that the authors of the Hugging Face conversion computed: three texts
against one clip of a man eating spaghetti, of as many frames as the network takes. They are quoted
from that conversion script and from transformers' own tests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig

OWNER = "microsoft"
GOLDEN_TEXTS = ("playing sports", "eating spaghetti", "go shopping")
GOLDEN_DATASET = "hf-internal-testing/spaghetti-video"
_CLIPS = {
    8: "eating_spaghetti_8_frames.npy",
    16: "eating_spaghetti.npy",
    32: "eating_spaghetti_32_frames.npy",
}
_LARGE_PATCH = 14  # no base checkpoint has it
_LARGE = XCLIPConfig(
    XCLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    XCLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        mit_hidden_size=768,
        mit_intermediate_size=3072,
    ),
    projection_dim=768,
)


@dataclass(frozen=True, slots=True)
class Golden:
    """What a checkpoint answers to `GOLDEN_TEXTS`.

    clip : str
        File of `GOLDEN_DATASET`: uint8 RGB, shape = (T, H, W, 3).
    probabilities, logits : tuple of float, optional
        Softmax over the texts, to 1e-3 at best; the logits themselves where they are known.
    """

    clip: str
    probabilities: tuple[float, ...]
    logits: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """One published checkpoint.

    name : str
        In the hub's organisation `OWNER`.
    original : str
        File of the authors' model zoo that it was converted from; "" where that has no plain name.
    """

    name: str
    trained_on: str
    original: str
    parameters: int
    patch_size: int
    num_frames: int
    image_size: int
    probabilities: tuple[float, float, float]
    logits: tuple[float, float, float] | None = None

    @property
    def repository(self) -> str:
        """Its id on the hub."""
        return f"{OWNER}/{self.name}"

    @property
    def golden(self) -> Golden:
        """What it is known to answer."""
        return Golden(_CLIPS[self.num_frames], self.probabilities, self.logits)

    def config(self) -> XCLIPConfig:
        """Every number of the network, as the hub's config.json has it."""
        config = _LARGE if self.patch_size == _LARGE_PATCH else XCLIPConfig()
        vision = replace(
            config.vision_config,
            patch_size=self.patch_size,
            num_frames=self.num_frames,
            image_size=self.image_size,
        )
        return replace(config, vision_config=vision)


def find_published(source: str) -> Published | None:
    """The published checkpoint of this hub id or bare name."""
    name = source.removeprefix(f"{OWNER}/")
    return next((known for known in PUBLISHED if known.name == name), None)


def _few_shot(data: str, shots: int, probabilities: tuple[float, float, float]) -> Published:
    name = f"xclip-base-patch16-{data}-{shots}-shot"
    trained_on = f"{'HMDB-51' if data == 'hmdb' else 'UCF-101'}, {shots} clips a class"
    original = f"few_{data}_{shots}.pth"
    return Published(name, trained_on, original, 194_941_441, 16, 32, 224, probabilities)


# fmt: off
PUBLISHED = (
    Published("xclip-base-patch32", "Kinetics-400", "k400_32_8.pth", 196_585_729, 32, 8, 224,
              (0.0019, 0.9951, 0.0030), logits=(14.0181, 20.2771, 14.4776)),
    Published("xclip-base-patch32-16-frames", "Kinetics-400", "k400_32_16.pth", 196_589_825,
              32, 16, 224, (7.0999e-04, 9.9883e-01, 4.5580e-04)),
    Published("xclip-base-patch16", "Kinetics-400", "k400_16_8.pth", 194_929_153, 16, 8, 224,
              (0.0083, 0.9681, 0.0236)),
    Published("xclip-base-patch16-16-frames", "Kinetics-400", "k400_16_16.pth", 194_933_249,
              16, 16, 224, (7.6937e-04, 9.9728e-01, 1.9473e-03)),
    Published("xclip-large-patch14", "Kinetics-400", "", 575_673_601, 14, 8, 224,
              (0.0062, 0.9864, 0.0075)),
    Published("xclip-large-patch14-16-frames", "Kinetics-400", "", 576_007_425, 14, 16, 336,
              (3.3877e-04, 9.9937e-01, 2.8888e-04)),
    Published("xclip-base-patch16-kinetics-600", "Kinetics-600", "k600_16_8.pth", 194_929_153,
              16, 8, 224, (0.0555, 0.8914, 0.0531)),
    Published("xclip-base-patch16-kinetics-600-16-frames", "Kinetics-600", "k600_16_16.pth",
              194_933_249, 16, 16, 224, (3.8554e-04, 9.9929e-01, 3.2754e-04)),
    Published("xclip-large-patch14-kinetics-600", "Kinetics-600", "", 575_673_601, 14, 8, 224,
              (0.0036, 0.9920, 0.0045)),
    _few_shot("hmdb", 2, (7.1890e-06, 9.9994e-01, 5.6559e-05)),
    _few_shot("hmdb", 4, (1.0320e-05, 9.9993e-01, 6.2435e-05)),
    _few_shot("hmdb", 8, (4.1377e-06, 9.9990e-01, 9.8386e-05)),
    _few_shot("hmdb", 16, (4.1347e-05, 9.9962e-01, 3.3411e-04)),
    # The source gives both the same three numbers, so one of the two may be a slip of theirs.
    _few_shot("ucf", 2, (8.5857e-05, 9.9928e-01, 6.3291e-04)),
    _few_shot("ucf", 4, (8.5857e-05, 9.9928e-01, 6.3291e-04)),
    _few_shot("ucf", 8, (0.0027, 0.9904, 0.0070)),
    _few_shot("ucf", 16, (9.8219e-04, 9.9593e-01, 3.0863e-03)),
    Published("xclip-base-patch16-zero-shot", "Kinetics-400, for other classes", "zero.pth",
              194_941_441, 16, 32, 224, (3.5082e-04, 9.9785e-01, 1.7966e-03)),
)
# fmt: on
