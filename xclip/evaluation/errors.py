"""Errors of an evaluation, worded for the person who started it."""

from __future__ import annotations

from xclip.errors import XCLIPError


class EvaluationError(XCLIPError, ValueError):
    """Clips that do not meet the requirements: none that decodes, an unknown label."""

    code = "evaluation_invalid"


class PlotsUnavailable(XCLIPError):
    """The library that draws is not installed."""

    code = "plots_unavailable"
