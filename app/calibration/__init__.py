"""Calibration: measures a whole collection on disk, beside a running service or without one."""
