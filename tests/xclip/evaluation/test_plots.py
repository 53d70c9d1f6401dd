"""Plots are written where matplotlib is, and an error says so where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from xclip.evaluation.classification import Classification
from xclip.evaluation.errors import PlotsUnavailable
from xclip.evaluation.metrics import RankFigures
from xclip.evaluation.plots import plot_calibration, plot_confusion, plot_ranks
from xclip.evaluation.retrieval import RetrievalLine


@pytest.fixture
def classified() -> Classification:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
    return Classification(("plain", "costs $5 or $6", "ünïcode"), np.arange(20) % 3, shares)


def test_each_plot_is_an_image_that_names_what_it_shows(classified: Classification, tmp_path: Path):
    """Labels may hold dollar signs; ranks may end anywhere."""
    pytest.importorskip("matplotlib")
    lines = []
    for method, ranks in (("plain", np.array([0.0, 0.5, 250.0])), ("exact", np.zeros(3))):
        lines.append(RetrievalLine(method, "text→video", RankFigures.of(ranks), ranks))
    plot_ranks(tmp_path / "ranks.svg", lines)
    plot_ranks(tmp_path / "best.svg", lines[1:])
    plot_confusion(tmp_path / "confusion.svg", classified)
    plot_calibration(tmp_path / "calibration.svg", classified)
    for name in ("ranks", "best", "confusion", "calibration"):
        assert (tmp_path / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    assert "costs $5 or $6" in (tmp_path / "confusion.svg").read_text()


def test_without_matplotlib_the_message_says_what_to_install(
    classified: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An import that fails is what its absence looks like."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotsUnavailable, match=r"xclip-search\[plots\]"):
        plot_confusion(tmp_path / "confusion.svg", classified)
