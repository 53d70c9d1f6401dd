"""Confidence: its calibration, and the file that holds a fitted model."""
