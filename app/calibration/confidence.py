"""Confidence calibration: fits a collection's confidence model to its own videos and pairs.

K segments, N texts, B background segments, N0 bank texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.calibration.labelled_pairs import RankedPair
from app.calibration.stored_collection import CalibrationError, StoredCollection
from app.catalog import Catalog
from app.model_api.tensor_records import stack_bank, stack_records
from index import Ids
from xclip.confidence.calibration import (
    BANK_ODDS,
    PLAIN,
    STANDARD_SCORE,
    Background,
    Calibration,
    Examples,
    Floats,
    Logits,
    calibration_features,
    draw_examples,
    expected_calibration_error,
    fit,
)
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.text_bank import bank_digest, says_the_same

LEAST_BACKGROUND = 20
LEAST_TEXTS = 20
SAMPLE = 1000  # segments that the searches of a fit choose from, beside those that match
SMALLEST_SEARCH = 10
ROUNDS = 8  # searches of each text and size, with a match and as many without
HELD_OUT_SHARE = 5  # one text in so many is not fitted to, but measured on
SURE = 0.5

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How a fit did on texts it had not seen; the figures are of the first results of searches.

    error : expected calibration error; abstained : of the searches without a match, how many were
    less than SURE; kept : of the right first results, how many were not
    """

    texts: int
    searches: int
    error: float
    without_match: int
    abstained: int
    right: int
    kept: int


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """A calibration that is in use; `held_out` is None when there were no pairs to measure on."""

    name: str
    calibration: Calibration
    background: int
    held_out: HeldOut | None


def calibrate(
    footage: StoredCollection,
    folder: Path,
    shown: Sequence[RankedPair] | None,
    background: int,
    seed: int,
) -> CalibrationResult:
    """Make a confidence model in `folder` and let the collection use it.

    background : how many segments to draw; the same seed draws the same

    Raises CalibrationError.
    """
    random = np.random.default_rng(seed)
    rows = footage.rows()
    unrelated = _background(footage, np.sort(random.permutation(rows)[:background]))
    held_out = None
    calibration = PLAIN
    if shown is not None:
        chosen = np.union1d(random.permutation(rows)[:SAMPLE], _matching_rows(shown))
        searches = Searches.over(footage, unrelated, shown, chosen)
        held_out = measure_held_out(searches, random)
        calibration = fit_rising(searches.examples(searches.usable, 5, random))
    encoder, collection = footage.encoder, footage.collection
    model = ConfidenceModel(encoder.fingerprint, bank_digest(encoder.bank), calibration, unrelated)
    name = f"{collection.id}-{_digest(model)}"
    model.save(folder / f"{name}.safetensors")
    footage.catalog.set_calibration(collection.name, name)
    _forget(folder, collection.id, {name, collection.calibration})
    return CalibrationResult(name, calibration, len(unrelated), held_out)


def remove(catalog: Catalog, name: str, folder: Path) -> bool:
    """Go back to the model's own calibration; whether there was another."""
    collection = catalog.get_collection(name)
    catalog.set_calibration(name, None)
    _forget(folder, collection.id, {collection.calibration})
    return collection.calibration is not None


def _forget(folder: Path, collection_id: str, kept: set[str | None]) -> None:
    """Delete the models of earlier runs, except the last: running searches may still need it."""
    for path in folder.glob(f"{collection_id}-*.safetensors"):
        if path.stem not in kept:
            path.unlink(missing_ok=True)


def _digest(model: ConfidenceModel) -> str:
    facts = [model.fingerprint, model.bank, json.dumps(asdict(model.calibration))]
    background = model.background
    arrays = [array.tobytes() for array in (background.embedding, *background.arrays.values())]
    return hashlib.sha256("\n".join(facts).encode() + b"".join(arrays)).hexdigest()[:12]


def _background(footage: StoredCollection, rows: Ids) -> StoredSegments:
    """The segments of these rows as the file will give them back."""
    parts = [stack_records(records) for _, records in footage.read(rows)]
    count = sum(len(part) for part in parts)
    if count < LEAST_BACKGROUND:
        raise CalibrationError(
            f"a background takes at least {LEAST_BACKGROUND} segments; the collection "
            f"{footage.collection.name!r} has {count}"
        )
    whole = StoredSegments.concatenate(parts)
    halves = {
        name: array.astype(np.float16).astype(np.float32) for name, array in whole.arrays.items()
    }
    return StoredSegments(whole.embedding, halves)


def _matching_rows(shown: Sequence[RankedPair]) -> Ids:
    return np.array(sorted({row for one in shown for row in one.matching}), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """What searches for N texts among K segments are scored by.

    logits : (K, N); features : (K, N, FEATURE_COUNT); match, partly : bool, (K, N)
    """

    logits: Logits
    features: Floats
    match: Flags
    partly: Flags

    @classmethod
    def over(
        cls,
        footage: StoredCollection,
        background: StoredSegments,
        shown: Sequence[RankedPair],
        rows: Ids,
    ) -> Searches:
        encoder = footage.encoder
        texts = encoder.encode_text([one.text for one in shown])
        bank_texts = encoder.encode_text(encoder.bank)
        seen: list[int] = []
        logits, bank = [], []
        for segments, records in footage.read(rows):
            stored = stack_records(records)
            kept = stack_bank(records, bank_digest(encoder.bank))
            seen += [segment.row for segment in segments]
            logits.append(encoder.score(texts, stored))
            bank.append(_bank(encoder, bank_texts, stored) if kept is None else kept)
        features = calibration_features(
            np.concatenate(logits),
            Background.of(encoder.score(texts, background)),
            np.concatenate(bank),
            says_the_same(texts, bank_texts),
        )
        match = np.column_stack([np.isin(seen, list(one.matching)) for one in shown])
        partly = np.column_stack([np.isin(seen, list(one.partly)) for one in shown])
        return cls(np.concatenate(logits), features, match, partly)

    @property
    def usable(self) -> list[int]:
        """The texts that something matches and something does not."""
        others = ~self.match & ~self.partly
        return np.flatnonzero(self.match.any(axis=0) & others.any(axis=0)).tolist()

    def examples(self, texts: Sequence[int], first: int, random: np.random.Generator) -> Examples:
        """Searches for these texts.

        A segment that shows a part of the requested event is left out of them: it is neither a
        match nor an example of something else.
        """
        parts = []
        for text in texts:
            clear, column = ~self.partly[:, text], slice(text, text + 1)
            parts.append(
                draw_examples(
                    self.logits[clear, column],
                    self.features[clear, column],
                    self.match[clear, column],
                    self._sizes(),
                    ROUNDS,
                    random,
                    first,
                )
            )
        return Examples(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.eligible for part in parts]),
            np.concatenate([part.match for part in parts]),
        )

    def _sizes(self) -> list[int]:
        """10, 20, 40, … up to half of the segments."""
        sizes = [SMALLEST_SEARCH]
        while 2 * sizes[-1] <= len(self.logits) / 2:
            sizes.append(2 * sizes[-1])
        return sizes


def _bank(
    encoder: Encoder, bank_texts: NDArray[np.float32], stored: StoredSegments
) -> NDArray[np.float16]:
    return encoder.score(bank_texts, stored).astype(np.float16)  # as an ingest keeps them


def measure_held_out(searches: Searches, random: np.random.Generator) -> HeldOut:
    """Fit to four texts in five and measure on the others. Raises CalibrationError for too few."""
    usable = searches.usable
    if len(usable) < LEAST_TEXTS:
        raise CalibrationError(
            f"a fit takes at least {LEAST_TEXTS} texts that some segments show and others do not; "
            f"the pairs have {len(usable)}"
        )
    order = random.permutation(usable).tolist()
    count = len(order) // HELD_OUT_SHARE
    calibration = fit_rising(searches.examples(order[count:], 5, random))
    first = searches.examples(order[:count], 1, random)
    confidence = np.array(
        [
            calibration.confidence(features, int(eligible))
            for features, eligible in zip(first.features, first.eligible, strict=True)
        ]
    )
    without = np.arange(len(confidence)) % 2 == 0  # every other search has a match
    return HeldOut(
        texts=count,
        searches=len(confidence),
        error=expected_calibration_error(confidence, first.match),
        without_match=int(without.sum()),
        abstained=int((confidence[without] < SURE).sum()),
        right=int(first.match.sum()),
        kept=int((confidence[first.match] >= SURE).sum()),
    )


def fit_rising(examples: Examples) -> Calibration:
    """A fit by which a higher score never lowers confidence. Raises CalibrationError if none is."""
    for use in ((STANDARD_SCORE, BANK_ODDS), (STANDARD_SCORE,), (BANK_ODDS,)):
        calibration = fit(examples, use)
        if min(calibration.weights) >= 0:
            return calibration
    raise CalibrationError(
        "what matches scores no higher than what does not: either the pairs are wrong, "
        "or the model cannot tell these texts apart"
    )
