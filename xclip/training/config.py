"""Training configuration: one frozen value, read from TOML or JSON (see docs/training.md)."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from xclip.errors import TextFileError
from xclip.text_file import read_text
from xclip.training.errors import TrainingError
from xclip.training.readers import Kind


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Where the first weights come from and which of them are trained.

    start : an X-CLIP `checkpoint`, `clip` weights with new X-CLIP parts, or `scratch`, which takes
        only configuration and tokenizer from the source
    text : the paper's setting is a frozen text tower, projection and scale
    num_frames : of a model made from CLIP; the others say it themselves
    drop_path : of the last layer's message attention; it rises from 0 at the first layer
    """

    source: str
    start: Literal["checkpoint", "clip", "scratch"] = "checkpoint"
    revision: str | None = None
    text: Literal["frozen", "trained"] = "frozen"
    num_frames: int = 8
    drop_path: float = 0.0


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which clips: `videos` is the folder that annotations refer to.

    shots : where given, so many clips of each label are drawn by the seed and no others used
    """

    kind: Kind
    annotations: Path
    videos: Path
    split: str = "train"
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """What is learned: which caption belongs to which video, or which label fits."""

    kind: Literal["captions", "labels"]
    label_smoothing: float = 0.0


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """What is done to a clip, the same to all of its frames; mixing is between clips.

    smallest_crop : share of the square that a random crop has at least; 1 crops the centre
    flip, grey, colour : probabilities of a mirror image, of grey, and of jittered colours
    frames_per_part : of so many instants of each of the T parts one is drawn; 1 takes the centre
    mixup, cutmix : the parameters of their Beta distributions; 0 is off; equally probable
        where both are on. Only for labels
    """

    smallest_crop: float = 1.0
    flip: float = 0.0
    grey: float = 0.0
    colour: float = 0.0
    frames_per_part: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """AdamW, and how its rate goes; the defaults are the original repository's.

    new_parts : how many times the rate is for what X-CLIP adds to CLIP
    final : the share of `rate` that the cosine ends at
    ema : decay of the averaged weights, which are then what is saved; 0 is off
    """

    rate: float = 8e-6
    new_parts: float = 10.0
    weight_decay: float = 0.001
    warm_up: int = 0
    final: float = 0.01
    clip_norm: float | None = None
    ema: float = 0.0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How long, how large and where.

    batch_size : clips of a step in each process
    micro_batch : clips whose activations are held at once, by cached gradients; 0 holds all
    workers : decoding processes
    decode_s : seconds a file may take
    cache_mib : of decoded frames that each process keeps, so that later epochs decode less; 0 is
        off. What is drawn does not depend on it
    """

    output: Path
    steps: int
    batch_size: int
    micro_batch: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    seed: int = 0
    save_every: int = 500
    workers: int = 2
    decode_s: float = 60.0
    cache_mib: int = 1024
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """Clips that are never trained on, and how often the model is measured on them.

    split : its name in the annotations
    annotations : where it is, if not in the annotations of the training clips
    every : steps from one measurement to the next; the last step is measured in any case
    """

    split: str = "val"
    annotations: Path | None = None
    every: int = 500


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A whole run."""

    model: ModelConfig
    data: DataConfig
    objective: ObjectiveConfig
    run: RunConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig | None = None

    def __post_init__(self) -> None:
        for complaint, wrong in _complaints(self).items():
            if wrong:
                raise TrainingError(complaint)

    def to_json(self) -> str:
        """The same text for the same run; saved runs are compared by it.

        What does not change the trained weights is left out, and a saved run may go on with it.
        """
        values = dataclasses.asdict(self)
        del values["run"]["cache_mib"]
        del values["validation"]
        return json.dumps(values, default=str, sort_keys=True)


_SEEDS = 1 << 63  # what PyTorch takes


def _complaints(config: TrainingConfig) -> dict[str, bool]:
    run, augment, optimiser = config.run, config.augment, config.optimiser
    counts = (
        *(run.steps, run.batch_size, run.save_every, run.workers),
        *(augment.frames_per_part, config.model.num_frames),
    )
    shares = (augment.flip, augment.grey, augment.colour, optimiser.final)
    captions = config.objective.kind == "captions"
    return {
        "steps, batch_size, save_every, workers, frames_per_part and num_frames are at least 1": (
            min(counts) < 1
        ),
        "decode_s is above 0": run.decode_s <= 0,
        "seed is at least 0 and below 2 to the power of 63": not 0 <= run.seed < _SEEDS,
        "micro_batch, cache_mib, warm_up, mixup, cutmix, rate, new_parts and weight_decay are not "
        "negative": min(
            run.micro_batch,
            optimiser.new_parts,
            run.cache_mib,
            optimiser.warm_up,
            augment.mixup,
            augment.cutmix,
            optimiser.rate,
            optimiser.weight_decay,
        )
        < 0,
        "flip, grey, colour and final are between 0 and 1": min(shares) < 0 or max(shares) > 1,
        "smallest_crop is above 0 and at most 1": not 0 < augment.smallest_crop <= 1,
        "drop_path, label_smoothing and ema are at least 0 and below 1": not all(
            0 <= share < 1
            for share in (
                config.model.drop_path,
                config.objective.label_smoothing,
                optimiser.ema,
            )
        ),
        "clip_norm is above 0": optimiser.clip_norm is not None and optimiser.clip_norm <= 0,
        "warm_up is shorter than steps": optimiser.warm_up >= run.steps,
        "validation.every is at least 1": config.validation is not None
        and config.validation.every < 1,
        "shots are at least 1": config.data.shots is not None and config.data.shots < 1,
        "mixup and cutmix need labels: a mixture of captions is no caption": captions
        and bool(augment.mixup or augment.cutmix),
        "shots need labels": captions and config.data.shots is not None,
        "captions need a batch of at least 2, or there is nothing to tell apart": captions
        and run.batch_size < 2,
    }


def read_config(path: Path) -> TrainingConfig:
    """Read a .toml or .json file; paths in it are relative to its folder.

    Raises TrainingError that names the key for unknown, missing and wrongly typed values.
    """
    format_of = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix.lower())
    if format_of is None:
        raise TrainingError(f"{path} must be called .toml or .json, after what it holds")
    try:
        values = format_of(read_text(path))
    except TextFileError as error:
        raise TrainingError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return _build(TrainingConfig, values, "", path.parent)


_Section = TypeVar("_Section")


def _build(cls: type[_Section], values: object, where: str, base: Path) -> _Section:
    if not isinstance(values, Mapping):
        raise TrainingError(f"{where.rstrip('.') or 'the configuration'} must be a table of keys")
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values.keys() - fields.keys():
        raise TrainingError(f"{where}{name} is unknown; the known keys are {', '.join(fields)}")
    for name, item in fields.items():
        nothing = dataclasses.MISSING
        if name not in values and item.default is nothing and item.default_factory is nothing:
            raise TrainingError(f"{where}{name} is missing")
    hints = get_type_hints(cls)
    return cls(
        **{name: _value(hints[name], value, where + name, base) for name, value in values.items()}
    )


def _value(kind: Any, value: object, where: str, base: Path) -> object:
    """The value as the annotation wants it."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(choice for choice in get_args(kind) if choice is not types.NoneType)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, f"{where}.", base)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise TrainingError(
                f"{where} must be one of {', '.join(get_args(kind))}, not {value!r}"
            )
        return value
    if kind is Path and isinstance(value, str):
        return base / _path(value, where)
    if kind is float:
        return _finite(value, where)
    if type(value) is not kind:
        raise TrainingError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value


def _path(text: str, where: str) -> Path:
    """A path, with the home folder for `~`: no shell has read the file."""
    if not text or "\0" in text:
        raise TrainingError(f"{where} must be a path, not {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise TrainingError(f"{where} is {text!r}, but there is no such home folder") from None


def _finite(value: object, where: str) -> float:
    """A number as float. JSON and TOML both know NaN and infinities, which nothing here may be."""
    if type(value) not in (int, float):
        raise TrainingError(f"{where} must be of type float, not {value!r}")
    try:
        number = float(value)  # type: ignore[arg-type]  # it is a number by the line above
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise TrainingError(f"{where} must be a finite number, not {value!r}")
    return number
