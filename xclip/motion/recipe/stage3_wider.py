"""Training stage 3 of `motion-tiny`: event order, two shapes, counts, speed, texture, pans.

python -m xclip.motion.recipe.stage3_wider FROM TO goes on from the checkpoint in FROM, where
`stage2_turns` leaves it, for about forty minutes on two cores, and writes the folder TO;
interrupted, the same command goes on.

A third of each batch is the world of the first two lessons, so that nothing is forgotten. The rest
comes in groups that differ in one word or in the order of two events: what a group shows beside its
words does not help to tell its clips apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from xclip.model import XCLIPModel
from xclip.motion.composition import TEXTURES, render_composition
from xclip.motion.kinds import (
    APPROACHES,
    DIRECTIONS,
    HELD_OUT_KINDS,
    LOOKS,
    NUMBERS,
    PACES,
    RELATIONS,
    TRAINING_PAIRS,
    TRAINING_PANS,
    Alone,
    Approach,
    Count,
    Kind,
    Look,
    Paced,
    Pan,
    Relation,
    Textured,
    Then,
    wider_vocabulary,
)
from xclip.motion.recipe.loop import Schedule, train
from xclip.motion.recipe.stage1_base import as_batch, evaluate, save_checkpoint
from xclip.motion.world import MOTIONS, TRAINING, Subject, vocabulary
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import XCLIPTokenizer, build_tokenizer
from xclip.training.network import Batch
from xclip.weights import load_model

SCHEDULE = Schedule(
    steps=3000,
    warm_up=50,
    peak_rate=8e-4,
    weight_decay=0.05,
    clip_norm=1.0,
    seed=2208_02818,
    save_every=100,
)
EVALUATE_EVERY = 250
ALONE, THENS, COUNTED, PACED, TEXTURED, RELATED, APPROACHING = 24, 4, 2, 2, 2, 1, 2  # groups
_ALLOWED = frozenset(TRAINING)
_TIMES = (np.arange(8) + 0.5) / 8


def wider_batch(step: int, tokenizer: XCLIPTokenizer) -> Batch:
    """Return the batch of a step: 64 clips, no two of which the same caption would fit."""
    random = np.random.default_rng([SCHEDULE.seed, step])
    kinds = draw_kinds(random)
    return draw_kinds_batch(kinds, [kind.phrase(random) for kind in kinds], tokenizer, random)


def draw_kinds(random: np.random.Generator) -> list[Kind]:
    """What the clips of a batch show; no look is in two groups."""
    pairs, free = _pairs(RELATED + APPROACHING, random)
    looks = iter(free)
    kinds: list[Kind] = [Relation(pairs[0][0], word, pairs[0][1]) for word in RELATIONS]
    kinds += [Approach(first, word, second) for first, second in pairs[1:] for word in APPROACHES]
    kinds += _panned(looks)
    for _ in range(THENS):
        first, second = _event(next(looks), MOTIONS, random), _event(next(looks), MOTIONS, random)
        kinds += [Then(first, second), Then(second, first), Alone(first)]
    for _ in range(COUNTED):
        subject = _event(next(looks), MOTIONS, random)
        kinds += [Alone(subject), *(Count(number, subject) for number in NUMBERS)]
    for _ in range(PACED):
        subject = _event(next(looks), DIRECTIONS, random)
        kinds += [Paced(subject, pace) for pace in PACES]
    for _ in range(TEXTURED):
        subject = _event(next(looks), MOTIONS, random)
        kinds += [Textured(texture, subject) for texture in TEXTURES]
    alone = (Subject(*look, motion) for look in looks for motion in MOTIONS)
    allowed = [Alone(subject) for subject in alone if subject in _ALLOWED]
    return kinds + allowed[:ALONE]


def _pairs(count: int, random: np.random.Generator) -> tuple[list[tuple[Look, Look]], list[Look]]:
    """Pairs of looks for what has two shapes, and the looks in none of them, in a random order."""
    free = [LOOKS[index] for index in random.permutation(len(LOOKS))]
    pairs: list[tuple[Look, Look]] = []
    for index in random.permutation(len(TRAINING_PAIRS)):
        pair = TRAINING_PAIRS[index]
        if len(pairs) < count and all(look in free for look in pair):
            pairs.append(pair)
            free = [look for look in free if look not in pair]
    return pairs, free


def _event(look: Look, motions: Iterable[str], random: np.random.Generator) -> Subject:
    """One of the events of a look that training may show."""
    subjects = [Subject(*look, motion) for motion in motions]
    allowed = [subject for subject in subjects if subject in _ALLOWED]
    return allowed[random.integers(len(allowed))]


def _panned(looks: Iterator[Look]) -> list[Kind]:
    """The camera going past the next look that training may show so, each way that it may."""
    allowed = frozenset(TRAINING_PANS)
    for look in looks:
        pans = [Pan(direction, look) for direction in DIRECTIONS]
        if allowed.issuperset(pans):
            return list(pans)
    raise AssertionError("no look was allowed, though most are")


def draw_kinds_batch(
    kinds: list[Kind], captions: list[str], tokenizer: XCLIPTokenizer, random: np.random.Generator
) -> Batch:
    """Draw the clips at the model's size and encode the captions."""
    clips = []
    for kind in kinds:
        start, stop = random.uniform(0.0, 0.12), random.uniform(0.88, 1.0)
        times = start + _TIMES * (stop - start)
        clips.append(render_composition(kind.compose(random), times, 48, 48, random))
    return as_batch(np.stack(clips), tokenizer(captions))


def widen(model: XCLIPModel, known: XCLIPTokenizer, wider: XCLIPTokenizer) -> XCLIPModel:
    """The same network with the wider vocabulary; tokens of both keep what they mean.

    The others begin at random.
    """
    text = replace(model.config.text_config, vocab_size=wider.vocab_size)
    larger = XCLIPModel(replace(model.config, text_config=text))
    weights = model.state_dict()
    table = larger.state_dict()[_TABLE]
    old_ids = known.vocabulary
    for token, index in wider.vocabulary.items():
        if token in old_ids:
            table[index] = weights[_TABLE][old_ids[token]]
    larger.load_state_dict(weights | {_TABLE: table})
    return larger


_TABLE = "text_model.embeddings.token_embedding.weight"


def evaluate_kinds(
    model: XCLIPModel, tokenizer: XCLIPTokenizer, clips: int = 64
) -> dict[str, float]:
    """How often a fresh held-out clip of each kind fits its caption better than its contrast's."""
    model.eval()
    right = {}
    for number, (name, draw) in enumerate(HELD_OUT_KINDS.items()):
        random = np.random.default_rng([SCHEDULE.seed, 1_000_000, number])
        kinds = [draw(random) for _ in range(clips)]
        captions = [kind.caption for kind in kinds] + [kind.contrast.caption for kind in kinds]
        batch = draw_kinds_batch(kinds, captions, tokenizer, random)
        with torch.no_grad():
            scores = model(batch.input_ids, batch.pixel_values, batch.attention_mask)
        logits = scores.logits_per_video
        own, other = logits[:, :clips].diagonal(), logits[:, clips:].diagonal()
        right[name] = float((own > other).float().mean())
    model.train()
    return right


def main() -> None:
    """Train, or go on training, and write the checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("second", type=Path, help="the checkpoint after the second lesson")
    parser.add_argument("folder", type=Path, help="where the checkpoint is written")
    parser.add_argument("--state", type=Path, default=Path(".training/motion-wider.pt"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SCHEDULE.seed)
    known = XCLIPProcessor.from_pretrained(arguments.second).tokenizer
    tokenizer = build_tokenizer([*vocabulary(), *wider_vocabulary()], max_length=32)
    model = widen(load_model(arguments.second), known, tokenizer)
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - started:.0f} s", flush=True)
        if step % EVALUATE_EVERY == 0:
            figures = evaluate(model, tokenizer) | evaluate_kinds(model, tokenizer)
            print(*(f"{name} {value:.2f}" for name, value in figures.items()), flush=True)

    train(model, lambda step: wider_batch(step, tokenizer), SCHEDULE, arguments.state, report)
    save_checkpoint(model, tokenizer, arguments.folder)


if __name__ == "__main__":
    main()
