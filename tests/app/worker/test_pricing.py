"""Prices: what an ingest takes is told from its pixels and segments, as this machine does them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.worker.pricing import TYPICAL, Pricing, Workload

GIANT = Workload(pixels=4000 * 4000 * 50_000, segments=2000)
CLIP = Workload(pixels=640 * 360 * 300, segments=4)
FILM = Workload(pixels=1920 * 1080 * 90_000, segments=1440)


def test_a_giant_is_told_from_a_clip_before_anything_was_measured() -> None:
    """A GIF of a megabyte with 50,000 large pictures takes an hour, a clip a second."""
    assert Pricing().price_s(GIANT) > 3600
    assert Pricing().price_s(CLIP) < 2


@given(
    st.tuples(st.floats(0.2, 20), st.floats(0.2, 20)),
    st.lists(
        st.builds(Workload, st.integers(10**7, 10**12), st.integers(1, 2000)),
        min_size=8,
        max_size=32,
    ),
)
@settings(max_examples=30, deadline=None)
def test_prices_follow_the_machine(slower: tuple[float, float], done: list[Workload]) -> None:
    """After some ingests of several kinds the next of each kind is priced about right."""
    pricing = Pricing()

    def seconds(work: Workload) -> float:
        return work.pixels * TYPICAL[0] * slower[0] + work.segments * TYPICAL[1] * slower[1]

    for work in [*done, CLIP, FILM] * 2:
        pricing.learn(work, seconds(work))
    for work in (CLIP, FILM):
        assert 0.25 < pricing.price_s(work) / seconds(work) < 4


def test_small_ingests_alone_do_not_make_a_large_one_cheap_or_endless() -> None:
    """What small pictures cost says little of large ones: the typical cost of a pixel holds."""
    pricing = Pricing()
    for _ in range(40):
        pricing.learn(Workload(pixels=64 * 48 * 50, segments=2), 0.3)
    typical_s = GIANT.pixels * TYPICAL[0]
    assert typical_s / 10 < pricing.price_s(GIANT) < typical_s * 10


def test_a_price_is_never_nothing() -> None:
    """Even where the fit would say so."""
    pricing = Pricing()
    for _ in range(40):
        pricing.learn(GIANT, 0.0)
    assert pricing.price_s(GIANT) > 0
