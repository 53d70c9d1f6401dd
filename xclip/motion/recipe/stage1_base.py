"""Training stage 1 of `motion-tiny`, the checkpoint that ships in the package: the base.

python -m xclip.motion.recipe.stage1_base FOLDER trains it, about twenty minutes on two cores, and
writes the folder; interrupted, the same command goes on. Its figures are in the folder's README.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.inputs import ModelInputs
from xclip.model import XCLIPModel
from xclip.motion.recipe.loop import Schedule, train
from xclip.motion.world import (
    COLOURS,
    HELD_OUT,
    MOTIONS,
    SHAPES,
    TRAINING,
    Scene,
    Subject,
    phrasing,
    render,
    sample_scene,
    vocabulary,
    whereabouts,
)
from xclip.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xclip.tokenizer import XCLIPTokenizer, build_tokenizer
from xclip.training.network import Batch

WIDTH = 128
BATCH_SIZE = 64
SCHEDULE = Schedule(
    steps=2200,
    warm_up=100,
    peak_rate=1e-3,
    weight_decay=0.05,
    clip_norm=1.0,
    seed=2208_02816,
    save_every=100,
)
EVALUATE_EVERY = 100
ALLOWED = frozenset(TRAINING)
PLACES_FIRST = 600
LOOKS = [(colour, shape) for colour in COLOURS for shape in SHAPES]


def configuration(vocab_size: int) -> XCLIPConfig:
    """Return the network: 48 px, patches of 12, 8 frames, 3 layers of width 128."""
    tower: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    text = XCLIPTextConfig(vocab_size=vocab_size, max_position_embeddings=32, **tower)
    vision = XCLIPVisionConfig(
        image_size=48,
        patch_size=12,
        num_frames=8,
        mit_hidden_size=WIDTH,
        mit_intermediate_size=4 * WIDTH,
        mit_num_attention_heads=4,
        **tower,
    )
    return XCLIPConfig(text, vision, projection_dim=WIDTH, prompt_num_attention_heads=4)


def initialise_positions(model: XCLIPModel) -> None:
    """Give both position tables, of patches and of frames, plain waves to start from.

    CLIP's small random tables suit a network that has seen images before. Trained from nothing on
    where things are when, the network found directions late or not at all with those.
    """
    table = model.vision_model.embeddings.position_embedding.weight
    width = table.shape[1]
    side = int((len(table) - 1) ** 0.5)
    across = waves(side, width // 2)
    rows, columns = across.repeat_interleave(side, dim=0), across.repeat(side, 1)
    frames = waves(model.config.vision_config.num_frames, width)
    with torch.no_grad():
        table[1:] = torch.cat([rows, columns], dim=1)
        model.mit.position_embedding[0] = 0.5 * (frames - frames.mean(dim=0))


def waves(length: int, width: int) -> Tensor:
    """Return (length, width): sines and cosines, the slowest a quarter of a wave in all."""
    position = (torch.arange(length) + 0.5)[:, None] / length
    frequency = torch.linspace(0.25, length / 4, width // 2)[None, :]
    angle = 2 * torch.pi * position * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def draw_batch(
    scenes: list[Scene], captions: list[str], tokenizer: XCLIPTokenizer, random: np.random.Generator
) -> Batch:
    """Draw the scenes at the model's size and encode the captions."""
    times = (np.arange(8) + 0.5) / 8
    clips = [_draw(scene, times, random) for scene in scenes]
    return as_batch(np.stack(clips), tokenizer(captions))


def as_batch(clips: NDArray[np.uint8], tokens: ModelInputs) -> Batch:
    """Clips as drawn, uint8 (B, T, H, W, 3), with the captions' tokens, for the network."""
    pixels = torch.from_numpy(clips).permute(0, 1, 4, 2, 3) / 255  # (B, T, 3, H, W)
    mean, std = (torch.tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    return Batch((pixels - mean) / std, tokens.input_ids, tokens.attention_mask)


def _draw(scene: Scene, times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw one clip; a window need not begin and end with the event, so neither do these."""
    start, stop = random.uniform(0.0, 0.15), random.uniform(0.85, 1.0)
    return render(scene, start + times * (stop - start), 48, 48, random)


def training_batch(step: int, tokenizer: XCLIPTokenizer) -> Batch:
    """Return the batch of a step: 64 clips, no two of which the same caption would fit.

    A few looks come with all their motions: in a batch drawn freely, colour and shape alone would
    tell most clips apart, and direction would hardly be learned. The others, half of the batch at
    first and a quarter later, rest at different places and say so: directions are places in order,
    and a network that has learned to overlook places never sees them.
    """
    random = np.random.default_rng([SCHEDULE.seed, step])
    looks = [LOOKS[index] for index in random.permutation(len(LOOKS))]
    subjects = [Subject(colour, shape, motion) for colour, shape in looks for motion in MOTIONS]
    subjects = [subject for subject in subjects if subject in ALLOWED]
    moving = BATCH_SIZE // 2 if step < PLACES_FIRST else 3 * BATCH_SIZE // 4
    scenes = [sample_scene(subject, random) for subject in subjects[:moving]]
    resting = [subject for subject in subjects[moving:] if subject.motion in ("grow", "shrink")]
    for subject in resting[: (BATCH_SIZE - moving) // 8]:
        scenes += [sample_scene_at(spot, subject, random) for spot in random.permutation(9)[:8]]
    captions = []
    for number, scene in enumerate(scenes):
        caption = phrasing(scene.subject, random)
        with_place = random.random() < 0.5 or number >= moving
        captions.append(f"{caption} {whereabouts(scene)}" if with_place else caption)
    return draw_batch(scenes, captions, tokenizer, random)


def sample_scene_at(spot: int, subject: Subject, random: np.random.Generator) -> Scene:
    """Draw a scene of a shape that stays where it is, in one of nine parts of the frame."""
    scene = sample_scene(subject, random)
    reach = 0.48 - scene.radius
    row, column = divmod(spot, 3)
    ranges = ((0.5 - reach, 0.37), (0.43, 0.57), (0.63, 0.5 + reach))
    return replace(scene, x=random.uniform(*ranges[column]), y=random.uniform(*ranges[row]))


def evaluate(model: XCLIPModel, tokenizer: XCLIPTokenizer, rounds: int = 4) -> dict[str, float]:
    """Measure on fresh clips of the held-out subjects, one of each, averaged over rounds.

    R@1 is text→video among all; the others say how often a clip of such a motion fits its own
    caption better than the one with the opposite motion.
    """
    model.eval()
    target = torch.arange(len(HELD_OUT))
    opposite = torch.tensor([HELD_OUT.index(subject.opposite) for subject in HELD_OUT])
    right: dict[str, list[bool]] = {"R@1": [], **{motion: [] for motion in MOTIONS}}
    for number in range(rounds):
        random = np.random.default_rng([SCHEDULE.seed, 1_000_000, number])
        scenes = [sample_scene(subject, random) for subject in HELD_OUT]
        captions = [subject.caption for subject in HELD_OUT]
        batch = draw_batch(scenes, captions, tokenizer, random)
        with torch.no_grad():
            logits = model(
                batch.input_ids, batch.pixel_values, batch.attention_mask
            ).logits_per_video
        right["R@1"] += (logits.argmax(dim=0) == target).tolist()
        for index, subject in enumerate(HELD_OUT):
            fits = logits[index, index] > logits[index, opposite[index]]
            right[subject.motion].append(bool(fits))
    model.train()
    return {name: sum(values) / len(values) for name, values in right.items()}


def main() -> None:
    """Train, or go on training, and write the checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the checkpoint is written")
    parser.add_argument("--state", type=Path, default=Path(".training/motion-tiny.pt"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SCHEDULE.seed)
    tokenizer = build_tokenizer(vocabulary(), max_length=32)
    model = XCLIPModel(configuration(tokenizer.vocab_size))
    initialise_positions(model)
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - started:.0f} s", flush=True)
        if step % EVALUATE_EVERY == 0:
            figures = evaluate(model, tokenizer).items()
            print(f"step {step} ", *(f"{k} {v:.2f}" for k, v in figures), flush=True)

    train(model, lambda step: training_batch(step, tokenizer), SCHEDULE, arguments.state, report)
    save_checkpoint(model, tokenizer, arguments.folder)


def save_checkpoint(model: XCLIPModel, tokenizer: XCLIPTokenizer, folder: Path) -> None:
    """Write the folder as transformers lays it out: weights, configuration, processor."""
    from xclip.processor import XCLIPProcessor

    model.save_pretrained(folder)
    XCLIPProcessor.for_model(model.config, tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    main()
