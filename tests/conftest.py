"""For all tests: property-based ones have no deadline, since the machine may have other work."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
