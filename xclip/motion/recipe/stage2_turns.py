"""Training stage 2 of `motion-tiny`: which way a shape circles.

python -m xclip.motion.recipe.stage2_turns FROM TO goes on from the checkpoint in FROM, where
`stage1_base` leaves it, for about twelve minutes on two cores, and writes the folder TO;
interrupted, the same command goes on.

Circles that begin anywhere say nothing at first: no place and no direction of a step tells
clockwise from anticlockwise, only how the steps turn. So circles begin at the top in the first
batches, where the two go off to different sides, which the network can see already; then further
and further from it, until they begin anywhere.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from xclip.motion.recipe.loop import Schedule, train
from xclip.motion.recipe.stage1_base import (
    ALLOWED,
    EVALUATE_EVERY,
    LOOKS,
    draw_batch,
    evaluate,
    sample_scene_at,
    save_checkpoint,
)
from xclip.motion.world import MOTIONS, Scene, Subject, phrasing, sample_scene, whereabouts
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import XCLIPTokenizer
from xclip.training.network import Batch
from xclip.weights import load_model

SCHEDULE = Schedule(
    steps=1200,
    warm_up=50,
    peak_rate=6e-4,
    weight_decay=0.05,
    clip_norm=1.0,
    seed=2208_02817,
    save_every=100,
)
TOP = -np.pi / 2  # of a circle; y runs down
NARROW = 0.3  # radians to either side of the top, where the first circles begin
NARROW_STEPS = 60
WIDE_AFTER = 0.6  # of all steps: from there on circles begin anywhere
MOVING, CIRCLING, RESTING = 28, 28, 8  # clips of a batch


def spread(step: int) -> float:
    """How far from the top, in radians to either side, the circles of a step may begin."""
    along = max(0, step - NARROW_STEPS) / (WIDE_AFTER * SCHEDULE.steps - NARROW_STEPS)
    return float(min(np.pi, NARROW + (np.pi - NARROW) * along))


def turning_batch(step: int, tokenizer: XCLIPTokenizer) -> Batch:
    """Return the batch of a step: no two clips that the same caption would fit.

    A few looks with all their motions and a shape that rests in several places, as in the first
    lesson, so that nothing is forgotten; the others circle.
    """
    random = np.random.default_rng([SCHEDULE.seed, step])
    looks = [LOOKS[index] for index in random.permutation(len(LOOKS))]
    subjects = [Subject(colour, shape, motion) for colour, shape in looks for motion in MOTIONS]
    subjects = [subject for subject in subjects if subject in ALLOWED]
    moving, others = subjects[:MOVING], subjects[MOVING:]
    circling = [subject for subject in others if subject.motion.endswith("clockwise")][:CIRCLING]
    resting = next(subject for subject in others if subject.motion in ("grow", "shrink"))
    scenes = [_begin_near_top(subject, spread(step), random) for subject in moving + circling]
    scenes += [sample_scene_at(spot, resting, random) for spot in random.permutation(9)[:RESTING]]
    captions = []
    for number, scene in enumerate(scenes):
        caption = phrasing(scene.subject, random)
        with_place = random.random() < 0.5 or number >= len(moving + circling)
        captions.append(f"{caption} {whereabouts(scene)}" if with_place else caption)
    return draw_batch(scenes, captions, tokenizer, random)


def _begin_near_top(subject: Subject, width: float, random: np.random.Generator) -> Scene:
    scene = sample_scene(subject, random)
    return replace(scene, turn=float(TOP + random.uniform(-width, width)))


def main() -> None:
    """Train, or go on training, and write the checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="the checkpoint after the first lesson")
    parser.add_argument("folder", type=Path, help="where the checkpoint is written")
    parser.add_argument("--state", type=Path, default=Path(".training/motion-turns.pt"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = XCLIPProcessor.from_pretrained(arguments.first).tokenizer
    model = load_model(arguments.first)
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % EVALUATE_EVERY == 0:
            figures = " ".join(
                f"{name} {value:.2f}" for name, value in evaluate(model, tokenizer).items()
            )
            elapsed = time.monotonic() - started
            print(f"step {step}  loss {loss:.3f}  {elapsed:.0f} s  {figures}", flush=True)

    train(model, lambda step: turning_batch(step, tokenizer), SCHEDULE, arguments.state, report)
    save_checkpoint(model, tokenizer, arguments.folder)


if __name__ == "__main__":
    main()
