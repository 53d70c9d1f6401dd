"""Segmentation defaults: what is cut by when a request names a window, a stride, both or none."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from app.services.library.segmentation import SegmentationDefaults

DEFAULTS = SegmentationDefaults(window_s=4.0, stride_s=2.0)


@pytest.mark.parametrize(
    ("requested", "filled"),
    [
        ((None, None), (4.0, 2.0)),
        ((8.0, None), (8.0, 2.0)),
        ((1.0, None), (1.0, 1.0)),
        ((None, 3.0), (4.0, 3.0)),
        ((1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_what_is_not_requested_is_filled_in(
    requested: tuple[float | None, float | None], filled: tuple[float, float]
) -> None:
    """Each missing value is the default, and a default stride is never longer than the window."""
    assert DEFAULTS.fill(*requested) == filled


@pytest.mark.parametrize("requested", [(None, 4.5), (1.0, 1.5)])
def test_a_requested_stride_is_no_longer_than_the_window(
    requested: tuple[float | None, float],
) -> None:
    """Seconds between two windows would be in no segment: such a stride is refused."""
    with pytest.raises(InvalidRequest, match="stride_s"):
        DEFAULTS.fill(*requested)
