"""Errors of training, worded for the person who started it."""

from __future__ import annotations

from xclip.errors import XCLIPError


class TrainingError(XCLIPError):
    """A configuration, a data set or a saved run that cannot be trained with or from."""

    code = "training_invalid"
