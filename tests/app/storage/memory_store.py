"""Memory store: an object store in a dict, to show that the contract asks for no folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

from app.storage.object_store import ObjectMissing, ObjectStat, check_key, check_prefix


@dataclass(frozen=True, slots=True)
class OpenBytes:
    """An object's bytes and facts."""

    content: bytes
    stat: ObjectStat

    def read_range(self, start: int, end: int) -> bytes:
        return self.content[start:end]

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class MemoryObjectStore:
    """Objects of one process."""

    def __init__(self) -> None:
        self._objects: dict[str, OpenBytes] = {}
        self._versions = itertools.count()

    def put(self, key: str, content: bytes) -> None:
        stat = ObjectStat(len(content), 0.0, str(next(self._versions)))
        self._objects[check_key(key)] = OpenBytes(content, stat)

    def put_file(self, key: str, file: Path) -> None:
        self.put(key, file.read_bytes())
        file.unlink()

    def stat(self, key: str) -> ObjectStat:
        return self.open(key).stat

    def read(self, key: str) -> bytes:
        return self.open(key).content

    def open(self, key: str) -> OpenBytes:
        try:
            return self._objects[check_key(key)]
        except KeyError:
            raise ObjectMissing(key) from None

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        with NamedTemporaryFile() as file:
            file.write(self.read(key))
            file.flush()
            yield Path(file.name)

    def delete(self, key: str) -> None:
        self._objects.pop(check_key(key), None)

    def delete_prefix(self, prefix: str) -> None:
        check_key(prefix.removesuffix("/"))
        for key in list(self.list(prefix)):
            del self._objects[key]

    def sync(self, keys: Iterable[str]) -> None:
        pass

    def list(self, prefix: str) -> Iterator[str]:
        check_prefix(prefix)
        return iter([key for key in self._objects if key.startswith(prefix)])

    def sweep(self) -> int:
        return 0
