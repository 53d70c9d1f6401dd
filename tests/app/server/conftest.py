"""A fresh service for each test, and one with a small library that tests only read."""

from tests.app.stack import library, stack

__all__ = ["library", "stack"]
