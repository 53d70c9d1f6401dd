"""Conversion of VideoX checkpoints, and verification against golden outputs."""
