"""The service of `tests.app.stack`, for all tests here."""

from tests.app.stack import library, stack

__all__ = ["library", "stack"]
