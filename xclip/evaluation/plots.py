"""Plots of an evaluation, in the format that the file name ends in (.svg, .png, .pdf).

Drawn with matplotlib, which only the extra `plots` installs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xclip.confidence.calibration import expected_calibration_error
from xclip.evaluation.classification import Classification
from xclip.evaluation.errors import PlotsUnavailable
from xclip.evaluation.metrics import Floats
from xclip.evaluation.retrieval import RetrievalLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The ranks that are counted together: from one edge up to before the next, ranks from 1.
_RANK_EDGES = (1, 2, 3, 4, 5, 6, 11, 21, 51, 101)
_MOST_NAMES = 60  # beside a confusion matrix; more could not be read
_BINS = 10
# People who do not see all colours can distinguish these (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73")
_QUIET = "#888888"


def require_plots() -> None:
    """Raise PlotsUnavailable, which says what to install, if plots cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotsUnavailable(
            "plots need matplotlib; install it with pip install 'xclip-search[plots]'"
        ) from error


def plot_ranks(path: Path, lines: Sequence[RetrievalLine]) -> None:
    """Which share of the queries has which rank, one colour for each way to score."""
    directions = list(dict.fromkeys(line.direction for line in lines))
    figure = _figure(4.4 * len(directions) + 0.8, 3.6)
    for axes, direction in zip(
        np.ravel(figure.subplots(1, len(directions), sharey=True)), directions, strict=True
    ):
        shown = [line for line in lines if line.direction == direction]
        _rank_bars(axes, shown)
        axes.set_title(f"{direction}, {shown[0].figures.queries} queries", fontsize=10)
        axes.set_xlabel("rank of the right one")
        axes.legend(frameon=False, fontsize=8)
        _open(axes)
    figure.axes[0].set_ylabel("share of queries")
    _save(figure, path)


def _rank_bars(axes: Axes, lines: Sequence[RetrievalLine]) -> None:
    last = max(float(line.ranks.max()) for line in lines) + 1
    edges = [edge for edge in _RANK_EDGES if edge <= last]
    names = [
        _span(first, following)
        for first, following in zip(edges, [*_RANK_EDGES[1 : len(edges)], None], strict=True)
    ]
    if len(edges) < len(_RANK_EDGES):
        names[-1] = _span(edges[-1], _RANK_EDGES[len(edges)])
    width = 0.8 / len(lines)
    for number, line in enumerate(lines):
        # A rank between two whole ones, from ties, counts as the worse.
        which = np.searchsorted(edges, np.ceil(line.ranks) + 1, side="right") - 1
        shares = np.bincount(which, minlength=len(edges)) / len(which)
        offset = (number - (len(lines) - 1) / 2) * width
        label = f"{line.method} (R@1 {line.figures.r1:.3f})"
        colour = _COLOURS[number % len(_COLOURS)]
        axes.bar(np.arange(len(edges)) + offset, shares, width, label=label, color=colour)
    axes.set_xticks(range(len(edges)), names, fontsize=8)


def _span(first: int, following: int | None) -> str:
    if following is None:
        return f"≥{first}"
    return str(first) if following == first + 1 else f"{first}–{following - 1}"


def plot_confusion(path: Path, classified: Classification) -> None:
    """What the clips of each label were taken for: shares of a row, truth in rows."""
    counts = classified.counts
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    labels = classified.labels
    edge = min(12.0, max(4.0, 1.8 + 0.2 * len(labels)))
    figure = _figure(edge + 0.8, edge)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the label's clips")
    if len(labels) <= _MOST_NAMES:
        # Labels are free text: a $ in one is no formula.
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=6, parse_math=False)
        axes.set_yticks(range(len(labels)), labels, fontsize=6, parse_math=False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("shows")
    axes.set_title(f"top-1 {classified.top(1):.3f} of {len(classified.truth)} clips", fontsize=10)
    _save(figure, path)


def plot_calibration(path: Path, classified: Classification) -> None:
    """How often the first label is right beside the share it was given, and how often each is."""
    confidence, right = classified.confidence
    which = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(which, minlength=_BINS)
    accuracy: Floats = np.bincount(which, weights=right, minlength=_BINS) / counts.clip(1)
    figure = _figure(4.4, 5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (np.arange(_BINS) + 0.5) / _BINS
    above.bar(middles, accuracy, 0.9 / _BINS, color=_COLOURS[0], label="right")
    above.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", linewidth=1, label="honest")
    above.set_ylabel("share that is right")
    above.set_ylim(0, 1)
    above.legend(frameon=False, fontsize=8, loc="upper left")
    error = expected_calibration_error(confidence, right, _BINS)
    above.set_title(f"calibration error {error:.3f} over {len(right)} clips", fontsize=10)
    below.bar(middles, counts / len(right), 0.9 / _BINS, color=_QUIET)
    below.set_ylabel("share of clips")
    below.set_xlabel("softmax share of the first label")
    below.set_xlim(0, 1)
    for axes in (above, below):
        _open(axes)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; none of matplotlib's global state is touched."""
    require_plots()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _open(axes: Axes) -> None:
    """Leave only the axes that are read."""
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=120, bbox_inches="tight")  # long labels reach beyond the layout
