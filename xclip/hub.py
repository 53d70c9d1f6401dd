"""Checkpoint location: in this package, in a folder, or in a Hugging Face repository."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from xclip.checkpoint_causes import what_it_is_instead
from xclip.errors import WeightsError

CONFIG_FILE = "config.json"
PACKAGED = Path(__file__).parent / "checkpoints"

# Called as a file is downloaded: its name, the bytes so far, and the total if known.
Report: TypeAlias = Callable[[str, int, "int | None"], None]
_report: ContextVar[Report | None] = ContextVar("report", default=None)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILE_NAME = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The files of one checkpoint at one revision.

    `folder` holds what was found so far; for a hub repository files appear there on request.
    """

    folder: Path
    repository: str | None = None
    commit: str | None = None

    def find(self, name: str) -> Path | None:
        """Path of a file, fetched when it is not here yet; None when the checkpoint has none.

        Raises WeightsError when the hub cannot be reached, for a name that leaves the folder, and
        for a file that stands for another one: a Git LFS pointer, a page about it.
        """
        if not _FILE_NAME.fullmatch(name):
            raise WeightsError(f"{name!r} is not a plain file name")
        path = self.folder / name
        if path.is_file():
            if (instead := what_it_is_instead(path)) is not None:
                raise WeightsError(f"{path} cannot be read: {instead}")
            return path
        if self.repository is None or self.commit is None:
            return None
        if _known_absent(self.repository, name, self.commit):
            return None
        return _fetch(self.repository, name, self.commit)


def locate(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint by the name of a packaged one, by folder or by hub id.

    revision : str, optional
        Branch, tag or commit of a hub repository. All files come from the commit it names now.

    Raises WeightsError when there is none.
    """
    text = str(source)
    if text.startswith("~"):
        text = os.path.expanduser(text)  # noqa: PTH111  # which leaves alone what is no home folder
    if (PACKAGED / text / CONFIG_FILE).is_file():
        return Checkpoint(PACKAGED / text)
    if Path(text).is_dir():
        return Checkpoint(Path(text))
    if Path(text).is_file():
        raise WeightsError(f"{text!r} is a file; a checkpoint is named by its folder")
    if not _HUB_ID.fullmatch(text):
        raise WeightsError(f"{text!r} is neither a folder nor the id of a hub repository")
    config = _fetch(text, CONFIG_FILE, revision)
    if config is None:
        raise WeightsError(f"the hub repository {text!r} holds no {CONFIG_FILE}")
    # The cache keeps one folder per commit, so its name pins the files that follow.
    return Checkpoint(config.parent, text, config.parent.name)


def fetch_from_dataset(repository: str, name: str) -> Path:
    """Download one file of a hub repository that holds data. Raises WeightsError."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, repo_type="dataset"))
    except (EntryNotFoundError, OSError, ValueError) as error:
        raise WeightsError(
            f"cannot download {name} of the hub's {repository!r}: {error}"
        ) from error


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Within the block `report` is called as downloads go on, instead of the hub's own bars."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def _meter(name: str) -> type[Any] | None:
    """The progress bar class that the hub is given for a file; None for the hub's own bar."""
    reported = _report.get()
    if reported is None:
        return None
    report: Report = reported
    from tqdm import tqdm

    class Meter(tqdm):  # type: ignore[misc]  # it comes without types
        """Draws nothing; a bar that is not drawn does not count either, so it counts itself."""

        def __init__(
            self, *_: object, total: int | None = None, initial: int = 0, **__: object
        ) -> None:
            super().__init__(disable=True)
            self.total, self.n = total, initial

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            report(name, self.n, self.total)

    return Meter


def _fetch(repository: str, name: str, revision: str | None) -> Path | None:
    """Download one file to the hub cache, or take it from there; None when it does not exist."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(
            huggingface_hub.hf_hub_download(
                repository, name, revision=revision, tqdm_class=_meter(name)
            )
        )
    except (EntryNotFoundError, OSError, ValueError) as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return None
        raise WeightsError(
            f"no folder is called {repository!r}, and {name} of the hub repository of that name"
            f"{f' at revision {revision!r}' if revision else ''} cannot be downloaded: {error}"
        ) from error


def _known_absent(repository: str, name: str, commit: str) -> bool:
    """Whether the hub has said before that this commit has no such file.

    Without a network transformers would ask the hub again and again, for minutes.
    """
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    return try_to_load_from_cache(repository, name, revision=commit) is _CACHED_NO_EXIST
