"""Training stage 4 of `motion-tiny`: confidence, from a background and a calibration.

python -m xclip.motion.recipe.stage4_confidence FOLDER writes `bank.txt` and
`confidence.safetensors` beside the weights in FOLDER, from seeds, in about a minute.

The background is of training subjects, whole events and cuts from one event to the next, as windows
over long videos hold them, and of the wider world's kinds. The calibration is fitted to searches
for half of the subjects that training never showed; the other half is left to measure it on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xclip.confidence.calibration import (
    Background,
    Calibration,
    Examples,
    calibration_features,
    draw_examples,
    fit,
)
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.motion.composition import render_composition
from xclip.motion.kinds import Alone, Kind
from xclip.motion.recipe.stage3_wider import draw_kinds
from xclip.motion.world import CALIBRATION, HELD_OUT, TRAINING, Subject, render, sample_scene
from xclip.text_bank import BANK_FILE, bank_digest, says_the_same

SEED = 2022_2
WHOLE, CUT, WIDER = 192, 64, 64  # background segments: one event, parts of two, other kinds
WIDER_CAPTIONS = 128  # of the bank
CLIPS_EACH = 8  # of every held-out subject
COLLECTION_SIZES = (10, 20, 40)
CROWDED_SIZE = 50  # a collection filled up with training subjects, many of them near misses
SEARCHES, CROWDED_SEARCHES = 8, 4  # of each text at each size

_TIMES = (np.arange(8) + 0.5) / 8

Frames = NDArray[np.uint8]


def background_frames(random: np.random.Generator, edge: int) -> Frames:
    """Frames of unrelated segments, uint8, shape = (WHOLE + CUT + WIDER, 8, edge, edge, 3)."""
    first = [TRAINING[index] for index in random.permutation(len(TRAINING))[:WHOLE]]
    second = [TRAINING[index] for index in random.permutation(len(TRAINING))[: 2 * CUT]]
    whole = [_event(subject, random, edge) for subject in first]
    pairs = zip(second[:CUT], second[CUT:], strict=True)
    cut = [_cut(*pair, random, edge) for pair in pairs]
    wider = [
        render_composition(kind.compose(random), _TIMES, edge, edge, random)
        for kind in wider_kinds(random, WIDER)
    ]
    return np.stack(whole + cut + wider)


def wider_kinds(random: np.random.Generator, count: int) -> list[Kind]:
    """Draw so many of what the third lesson shows beside single events, no caption twice."""
    found: dict[str, Kind] = {}
    while len(found) < count:
        for kind in draw_kinds(random):
            if not isinstance(kind, Alone):
                found[kind.caption] = kind
    drawn = list(found.values())
    return [drawn[index] for index in random.permutation(len(drawn))[:count]]


def bank_texts() -> list[str]:
    """All captions of single events, and some of the other kinds, sorted."""
    wider = wider_kinds(np.random.default_rng(SEED), WIDER_CAPTIONS)
    alone = [subject.caption for subject in TRAINING + HELD_OUT]
    return sorted([*alone, *(kind.caption for kind in wider)])


def _event(subject: Subject, random: np.random.Generator, edge: int) -> Frames:
    start, stop = random.uniform(0.0, 0.15), random.uniform(0.85, 1.0)
    return render(
        sample_scene(subject, random), start + _TIMES * (stop - start), edge, edge, random
    )


def _cut(first: Subject, second: Subject, random: np.random.Generator, edge: int) -> Frames:
    """The second half of one event and the first half of the next."""
    ends = render(sample_scene(first, random), 0.5 + _TIMES[:4], edge, edge, random)
    begins = render(sample_scene(second, random), _TIMES[:4], edge, edge, random)
    return np.concatenate([ends, begins])


def fit_motion(
    encoder: Encoder, background: StoredSegments, random: np.random.Generator
) -> Calibration:
    """Fit to searches for the calibration half among held-out clips, and in larger collections."""
    shown = [subject for subject in HELD_OUT for _ in range(CLIPS_EACH)]
    held_out = _examples(encoder, background, shown, COLLECTION_SIZES, SEARCHES, random)
    shown = [*shown, *TRAINING]
    crowded = _examples(encoder, background, shown, (CROWDED_SIZE,), CROWDED_SEARCHES, random)
    return fit(
        Examples(
            np.concatenate([held_out.features, crowded.features]),
            np.concatenate([held_out.eligible, crowded.eligible]),
            np.concatenate([held_out.match, crowded.match]),
        )
    )


def _examples(
    encoder: Encoder,
    background: StoredSegments,
    shown: Sequence[Subject],
    sizes: Sequence[int],
    rounds: int,
    random: np.random.Generator,
) -> Examples:
    edge = encoder.geometry.crop
    clips = encoder.encode_video(np.stack([_event(subject, random, edge) for subject in shown]))
    texts = encoder.encode_text([subject.caption for subject in CALIBRATION])
    bank = encoder.encode_text(encoder.bank)
    logits = encoder.score(texts, clips)
    features = calibration_features(
        logits,
        Background.of(encoder.score(texts, background)),
        encoder.score(bank, clips),
        says_the_same(texts, bank),
    )
    match = np.array([[subject == wanted for wanted in CALIBRATION] for subject in shown])
    return draw_examples(logits, features, match, sizes, rounds, random)


def main() -> None:
    """Write the bank, then the confidence model that needs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the checkpoint")
    folder = parser.parse_args().folder
    (folder / BANK_FILE).write_text("\n".join(bank_texts()) + "\n", encoding="utf-8")
    encoder = load_encoder(str(folder), device="cpu")
    random = np.random.default_rng(SEED)
    background = encoder.encode_video(background_frames(random, encoder.geometry.crop))
    calibration = fit_motion(encoder, background, random)
    model = ConfidenceModel(encoder.fingerprint, bank_digest(encoder.bank), calibration, background)
    model.save(folder / CONFIDENCE_FILE)
    print(calibration)


if __name__ == "__main__":
    main()
