"""Frames are turned and mirrored as their display matrix says."""

import itertools
import struct

import numpy as np
import pytest

from xclip.video.orientation import Orientation

ONE = 1 << 16
STORED = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def packed(a, b, c, d):
    return struct.pack("<9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


def shown_by_definition(a, b, c, d):
    """Every pixel carried to (a x + c y, b x + d y), the result moved back to the origin."""
    height, width = STORED.shape[:2]
    positions = {
        (b * x + d * y, a * x + c * y): STORED[y, x] for y in range(height) for x in range(width)
    }
    rows = [row for row, _ in positions]
    columns = [column for _, column in positions]
    shown = np.zeros((max(rows) - min(rows) + 1, max(columns) - min(columns) + 1, 3), np.uint8)
    for (row, column), pixel in positions.items():
        shown[row - min(rows), column - min(columns)] = pixel
    return shown


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=2)))
def test_all_eight_orientations_carry_pixels_where_the_matrix_says(transposed, signs):
    """Four turns, each with and without mirroring, against the definition pixel by pixel."""
    first, second = signs
    coefficients = (0, first, second, 0) if transposed else (first, 0, 0, second)
    orientation = Orientation.from_matrix(packed(*(ONE * value for value in coefficients)))

    shown = orientation.apply(STORED)

    np.testing.assert_array_equal(shown, shown_by_definition(*coefficients))
    assert shown.flags.c_contiguous


@pytest.mark.parametrize(
    ("coefficients", "clockwise"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 90), ((-1, 0, 0, -1), 180), ((0, -1, 1, 0), 270)],
)
def test_rotation_is_told_in_degrees_clockwise(coefficients, clockwise):
    """What phones write for their four ways of being held."""
    orientation = Orientation.from_matrix(packed(*(ONE * value for value in coefficients)))

    assert orientation.rotation == clockwise
    np.testing.assert_array_equal(orientation.apply(STORED), np.rot90(STORED, -clockwise // 90))


@pytest.mark.parametrize(
    "matrix",
    [packed(0, 0, 0, 0), packed(ONE, 0, 0, 0), packed(46341, 46341, -46341, 46341), b"", b"short"],
    ids=["zero", "singular", "45 degrees", "empty", "short"],
)
def test_other_matrices_leave_the_frame_as_stored(matrix):
    """A matrix that does not map pixels onto pixels is ignored."""
    np.testing.assert_array_equal(Orientation.from_matrix(matrix).apply(STORED), STORED)
