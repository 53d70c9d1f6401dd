"""The near misses of a gallery: contrasts, firsts and confidence, on answers made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.estimates import Tally
from benchmarks.near_misses import (
    ABSTAINS,
    COMBINATIONS,
    ERROR,
    ERROR_MATCHED,
    KEPT,
    OPPOSITE,
    R1,
    R5,
    VALUES,
    Answer,
    Contrasts,
    answers_by_scores,
    changed,
    first_has,
    tally_measures,
    two_way,
)
from xclip.motion.world import Subject

SHOWN = Subject("red", "star", "left")
CONTRASTS = [other for factor in VALUES for other in changed(SHOWN, factor)]


def answer(
    first: Subject = SHOWN,
    *,
    above: tuple[Subject, ...] = (),
    confidence: float | None = 0.9,
    absent: float | None = 0.2,
) -> Answer:
    """An answer about the red star; `above` are the captions that it fits at least as well."""
    scores = dict.fromkeys(CONTRASTS, 0.02) | dict.fromkeys(above, 0.5) | {SHOWN: 0.5}
    return Answer(SHOWN, (first, SHOWN), confidence, absent, scores)


def test_every_other_value_of_a_factor_is_a_contrast() -> None:
    """A caption has 7 contrasts in colour, 4 in shape and 7 in motion, one word each."""
    assert [len(changed(SHOWN, factor)) for factor in VALUES] == [7, 4, 7]
    for other in CONTRASTS:
        words = zip(
            (SHOWN.colour, SHOWN.shape, SHOWN.motion),
            (other.colour, other.shape, other.motion),
            strict=True,
        )
        assert sum(one != two for one, two in words) == 1


def test_the_combinations_are_all_320() -> None:
    """No combination of colour, shape and motion is missing from the gallery or in it twice."""
    assert len(set(COMBINATIONS)) == len(COMBINATIONS) == 8 * 5 * 8


def test_a_first_that_differs_in_shape_alone_is_wrong_in_shape_alone() -> None:
    """Each factor of the first result counts by itself."""
    found = answer(first=Subject("red", "ring", "left")).measures()
    assert (found[R1], found[R5]) == (0, 1)
    assert [found[first_has(factor)] for factor in VALUES] == [1, 0, 1]


def test_a_contrast_that_fits_as_well_is_not_beaten() -> None:
    """One of four other shapes ties, and the opposite motion ties: 3 of 4, 6 of 7, none of one."""
    above = (Subject("red", "ring", "left"), SHOWN.opposite)
    found = answer(above=above).measures()
    assert found[two_way("shape")] == 3 / 4
    assert found[two_way("motion")] == 6 / 7
    assert found[two_way("colour")] == 1
    assert found[OPPOSITE] == 0


def test_contrasts_are_kept_for_each_pair_of_values() -> None:
    """A star is confused with a ring in one of two clips, and with nothing else."""
    contrasts = Contrasts()
    contrasts.add(answer())
    contrasts.add(answer(above=(Subject("red", "ring", "left"),)))
    assert contrasts.of("shape")["star"] == {"circle": 1, "square": 1, "triangle": 1, "ring": 0.5}
    assert contrasts.of("shape")["ring"] == {}


def test_confidence_is_judged_with_and_without_the_match() -> None:
    """A right first at 0.9 and an absent one at 0.2 count together; a wrong first keeps nothing."""
    tally = Tally("table")
    answer().tally_confidence(tally)
    answer(first=SHOWN.opposite, confidence=0.9, absent=0.6).tally_confidence(tally)
    assert tally.result(ERROR_MATCHED).service.value == pytest.approx(0.4)  # 0.9 against 1 of 2
    # Three bins: 0.9 against 1 of 2 twice, 0.2 and 0.6 against none.
    assert tally.result(ERROR).service.value == pytest.approx((2 * 0.4 + 0.2 + 0.6) / 4)
    assert tally.result(ABSTAINS).service.value == 0.5
    assert (tally.result(KEPT).clips, tally.result(KEPT).service.value) == (1, 1)


def test_a_model_without_a_calibration_has_no_measure_of_confidence() -> None:
    """Its other measures are counted as always."""
    tally = Tally("table")
    unsure = answer(confidence=None, absent=None)
    tally_measures(tally, unsure)
    unsure.tally_confidence(tally)
    assert R1 in list(tally)
    assert ERROR not in list(tally)


def test_a_peers_scores_make_the_same_measures() -> None:
    """Scores that are highest for the caption of each clip find all, and a constant one nothing."""
    column = {subject: place for place, subject in enumerate(COMBINATIONS)}
    shown = [SHOWN, SHOWN.opposite, Subject("blue", "star", "left")]
    scores = np.zeros((3, len(COMBINATIONS)), np.float32)
    for place, subject in enumerate(shown):
        scores[place, column[subject]] = 1
    found = [each.measures() for each in answers_by_scores(shown, scores)]
    assert all(value == 1 for measures in found for value in measures.values())
    same = answers_by_scores(shown, np.zeros_like(scores))[1].measures()
    assert same[two_way("shape")] == same[OPPOSITE] == 0


def test_a_table_holds_the_service_beside_its_peers() -> None:
    """The service is right where one peer is wrong, in the same line."""
    tally = Tally("table")
    wrong = answer(first=SHOWN.opposite)
    tally_measures(tally, answer(), [answer(), wrong])
    found = tally.result(R1)
    assert (found.service.value, found.plain, found.averaged) == (1, 1, 0)
