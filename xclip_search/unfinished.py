"""Upload journal: remembers the ids of unfinished uploads, so a later process can resume them."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xclip_search.library import Metadata

_ID = re.compile(r"upl_[0-9a-z]{1,36}")
_KEPT = 1000  # by number, not by age: a clock that is set then ends none


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Uploads to the service at `url` that have begun, one small file each in `folder`.

    It only saves sending bytes twice: a folder that cannot be written to is as good as an empty
    one, and a file that has changed since is another file.
    """

    folder: Path
    url: str

    def find(self, file: Path, collection: str, metadata: Metadata) -> str | None:
        """The id of the upload of this file that has begun."""
        try:
            found = self._record_path(file, collection, metadata).read_text(errors="replace")
        except OSError:
            return None
        return found if _ID.fullmatch(found) else None

    def keep(self, upload_id: str, file: Path, collection: str, metadata: Metadata) -> None:
        """Remember the id until the upload is forgotten."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            newest_first = sorted(self.folder.iterdir(), key=_written_at, reverse=True)
            for old in newest_first[_KEPT - 1 :]:
                old.unlink()
        with suppress(OSError):
            self._record_path(file, collection, metadata).write_text(upload_id)

    def forget(self, file: Path, collection: str, metadata: Metadata) -> None:
        """The upload has ended."""
        with suppress(OSError):
            self._record_path(file, collection, metadata).unlink()

    def _record_path(self, file: Path, collection: str, metadata: Metadata) -> Path:
        stat = file.stat()
        of = [self.url, collection, str(file.resolve()), stat.st_size, stat.st_mtime_ns, metadata]
        # a file's name may be bytes that are no text
        key = json.dumps(of, sort_keys=True, default=dict).encode()
        return self.folder / hashlib.sha256(key).hexdigest()[:40]


def _written_at(record: Path) -> float:
    try:
        return record.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0
