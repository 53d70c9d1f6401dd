"""Temporal grounding: from scores of windows to ranked moments with bounds; arithmetic alone."""
