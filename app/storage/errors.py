"""Errors of maintenance commands, each leaf with a stable `code`.

MaintenanceError
├── NoLibrary          no_library
├── IdentityMismatch   identity_mismatch
├── BackupImpossible   backup_impossible
└── BackupUnusable     backup_unusable
"""

from __future__ import annotations

from typing import ClassVar


class MaintenanceError(Exception):
    """Root of the package's errors; the message says what to do."""

    code: ClassVar[str] = "care_error"


class NoLibrary(MaintenanceError):
    """There is no catalog where the settings say."""

    code = "no_library"


class IdentityMismatch(MaintenanceError):
    """Catalog and data folder do not belong together, or one of them is lost."""

    code = "identity_mismatch"


class BackupImpossible(MaintenanceError):
    """A backup, or its restoring, cannot be made there or of that."""

    code = "backup_impossible"


class BackupUnusable(MaintenanceError):
    """A folder that is no whole backup: something of it is missing or differs."""

    code = "backup_unusable"
