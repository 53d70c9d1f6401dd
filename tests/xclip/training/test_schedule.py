"""How the rate goes."""

from __future__ import annotations

import pytest

from xclip.training.schedule import Rates


def test_the_rate_rises_linearly_then_falls_as_a_cosine() -> None:
    """Full rate at the end of warm-up, half of it midway, zero at the end."""
    rates = Rates(steps=110, warm_up=10, peak=1.0)
    assert rates.rate(0) == pytest.approx(0.1)
    assert rates.rate(9) == rates.rate(10) == pytest.approx(1.0)
    assert rates.rate(60) == pytest.approx(0.5)
    assert rates.rate(110) == pytest.approx(0.0)


def test_the_cosine_ends_at_the_final_share() -> None:
    """A hundredth of the peak, as in the original repository; midway half between the two."""
    rates = Rates(steps=100, warm_up=0, peak=2.0, final=0.01)
    assert rates.rate(100) == pytest.approx(0.02)
    assert rates.rate(50) == pytest.approx((2.0 + 0.02) / 2)
