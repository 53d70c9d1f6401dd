"""Library identity: one id in catalog and data folder; neither opens with another one's.

A catalog that is lost, empty or of another library makes every file of the folder look like an
orphan, and a service that starts on it has no keys. Each process therefore opens the catalog here.
The folder also keeps the latest job that it has seen in the catalog: a catalog without that job is
an older copy, for which everything that came later would be an orphan. It keeps how many keys were
made and revoked as well: an older copy would open to those whose keys have been revoked, or to all.

Two libraries get their ids when they are first opened: the folder's file is written before the
catalog's row, and says until then that the row is still to come.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from app.catalog import Catalog
from app.catalog.database import check_database_url, holds_catalog, shown_url, sqlite_file
from app.catalog.errors import DatabaseUrlInvalid
from app.clock import Clock
from app.data_layout import DataLayout
from app.settings import Settings, SettingsError, variable
from app.storage.composition import open_objects
from app.storage.disk_reserve import DiskReserve
from app.storage.errors import IdentityMismatch, NoLibrary
from app.storage.folder_store import sync_path
from app.storage.media_store import CONTENTS, content_key
from app.storage.object_store import ObjectMissing, ObjectStore

CONTENTS_LOOKED_FOR = 100  # of a library that has no id yet
_ADVICE = (
    "Set XCLIP_DATA_DIR and XCLIP_DATABASE_URL to a folder and a catalog that belong together, or "
    "restore both from one backup. `xclip-search adopt` pairs them as they are."
)


@dataclass(frozen=True, slots=True)
class FolderIdentity:
    """What the data folder's file says.

    is_paired : whether the catalog has the id too
    latest_job : the id of the newest job that the catalog is known to have had
    keys_made, keys_revoked : how many API keys it is known to have had, and not in force any more
    """

    library_id: str
    is_paired: bool
    latest_job: str | None = None
    keys_made: int = 0
    keys_revoked: int = 0


def open_catalog(settings: Settings, *, clock: Clock | None = None) -> Catalog:
    """Open the catalog that the settings name, once it is known to belong to the data folder.

    Raises IdentityMismatch, SettingsError (the URL), CatalogError, OSError (the folder cannot be
    written).
    """
    check_catalog_url(settings)
    layout = settings.layout
    layout.root.mkdir(parents=True, exist_ok=True)
    DiskReserve(layout).give_up_if_needed()  # SQLite cannot even be read without a little room
    _refuse_missing_catalog(settings)
    catalog = Catalog.open(settings.catalog_url, clock=clock, max_attempts=settings.max_attempts)
    try:
        pair(catalog, layout)
    except BaseException:
        catalog.close()
        raise
    return catalog


def check_catalog_url(settings: Settings) -> None:
    """Raise SettingsError for the URL of a database that is not supported."""
    try:
        check_database_url(settings.catalog_url)
    except DatabaseUrlInvalid as error:
        raise SettingsError(f"{variable('database_url')} is refused: {error}.") from error


def check_library(settings: Settings) -> None:
    """Raise NoLibrary unless there is one. Opening would make it: a misspelt folder must not.

    Raises SettingsError for the URL of a database that is not supported, IdentityMismatch where the
    folder knows of a catalog that is lost, and a database's error if its server does not answer.
    """
    check_exists(settings)
    _refuse_missing_catalog(settings)
    if not holds_catalog(settings.catalog_url):
        shown = shown_url(settings.catalog_url)
        raise NoLibrary(f"the catalog {shown} is empty; {_names_catalog(settings)}")


def check_exists(settings: Settings) -> None:
    """Raise NoLibrary unless catalog and data folder are there, whatever they hold.

    Raises SettingsError for the URL of a database that is not supported.
    """
    check_catalog_url(settings)
    file = sqlite_file(settings.catalog_url)
    if file is not None and not file.is_file():
        raise NoLibrary(f"there is no catalog {file}; {_names_catalog(settings)}")
    if not settings.layout.root.is_dir():
        raise NoLibrary(f"there is no data folder {settings.data_dir}; XCLIP_DATA_DIR names it")


def _names_catalog(settings: Settings) -> str:
    if settings.database_url is None:
        return "XCLIP_DATA_DIR names the data folder"
    return "XCLIP_DATABASE_URL names it"


def pair(catalog: Catalog, layout: DataLayout) -> None:
    """Check that both have one id, or give them one if neither has. Raises IdentityMismatch."""
    with _locked(layout):
        found = read(layout)
        known = catalog.library_id()
        if found is not None and found.is_paired:
            _check_paired(found, known, catalog, layout)
            return
        if known is not None and (found is None or found.library_id != known):
            raise IdentityMismatch(
                f"the catalog belongs to another data folder than {layout.root}. {_ADVICE}"
            )
        if known is None:
            _check_unpaired(catalog, layout)
        _write_pair(catalog, layout, found or FolderIdentity(secrets.token_hex(16), False))


def adopt(catalog: Catalog, layout: DataLayout) -> None:
    """Make a pair of this folder and this catalog, whatever either says."""
    with _locked(layout):
        known = catalog.library_id() or secrets.token_hex(16)
        _write_pair(catalog, layout, FolderIdentity(known, False))


def pair_copy(catalog: Catalog, layout: DataLayout) -> None:
    """Write the identity of a folder that a copied catalog is being completed with."""
    library_id = catalog.library_id()
    if library_id is not None:
        _write(layout, _with_progress(FolderIdentity(library_id, True), catalog))


def note_progress(catalog: Catalog, layout: DataLayout) -> None:
    """Write down how far the catalog has come. Raises IdentityMismatch once it is another one."""
    with _locked(layout):
        found = read(layout)
        if found is None:
            raise IdentityMismatch(f"{layout.identity} is gone: is the data folder mounted?")
        _check_paired(found, catalog.library_id(), catalog, layout)
        latest = _with_progress(found, catalog)
        if latest != found:
            _write(layout, latest)


def read(layout: DataLayout) -> FolderIdentity | None:
    """The folder's identity; None if it has none. Raises IdentityMismatch for a damaged file."""
    try:
        text = layout.identity.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return FolderIdentity(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise IdentityMismatch(f"{layout.identity} is damaged. {_ADVICE}") from error


def _check_paired(
    found: FolderIdentity, known: str | None, catalog: Catalog, layout: DataLayout
) -> None:
    if known is None:
        raise IdentityMismatch(
            f"the catalog is empty, but the data folder {layout.root} belongs to one that is not "
            f"here. {_ADVICE}"
        )
    if known != found.library_id:
        raise IdentityMismatch(
            f"the catalog belongs to another data folder than {layout.root}. {_ADVICE}"
        )
    if found.latest_job is not None and not catalog.has_job(found.latest_job):
        raise IdentityMismatch(
            f"the catalog is older than the data folder {layout.root}: it lacks the job "
            f"{found.latest_job}. {_ADVICE}"
        )
    made, revoked = catalog.count_keys()
    if made < found.keys_made or revoked < found.keys_revoked:
        raise IdentityMismatch(
            f"the catalog is older than the data folder {layout.root}: it has {made} API keys, "
            f"{revoked} of them revoked, where there were {found.keys_made} and "
            f"{found.keys_revoked}. {_ADVICE}"
        )


def _with_progress(identity: FolderIdentity, catalog: Catalog) -> FolderIdentity:
    """The identity with how far the catalog has come."""
    made, revoked = catalog.count_keys()
    return replace(
        identity,
        latest_job=catalog.latest_job_id(),
        keys_made=made,
        keys_revoked=revoked,
    )


def _check_unpaired(catalog: Catalog, layout: DataLayout) -> None:
    """Neither has an id: a new library, or one of an earlier version. Raises IdentityMismatch."""
    if catalog.latest_job_id() is None:
        if _holds_files(layout):
            raise IdentityMismatch(
                f"the catalog is empty, but the data folder {layout.root} holds videos. {_ADVICE}"
            )
        return
    hashes = catalog.some_contents(CONTENTS_LOOKED_FOR)
    objects = open_objects(layout)
    if hashes and not any(_is_stored(objects, content_key(each)) for each in hashes):
        raise IdentityMismatch(
            f"the data folder {layout.root} holds none of the catalog's videos. {_ADVICE}"
        )


def _is_stored(objects: ObjectStore, key: str) -> bool:
    try:
        objects.stat(key)
    except ObjectMissing:
        return False
    return True


def _holds_files(layout: DataLayout) -> bool:
    if any(True for _ in open_objects(layout).list(CONTENTS)):
        return True
    folders = (layout.tensors, layout.uploads)
    return any(path.is_file() for folder in folders for path in folder.rglob("*"))


def _write_pair(catalog: Catalog, layout: DataLayout, identity: FolderIdentity) -> None:
    _write(layout, replace(identity, is_paired=False))
    if catalog.set_library_id(identity.library_id) != identity.library_id:
        raise IdentityMismatch(
            f"the catalog was just paired with another data folder than {layout.root}. {_ADVICE}"
        )
    _write(layout, _with_progress(replace(identity, is_paired=True), catalog))


def _write(layout: DataLayout, identity: FolderIdentity) -> None:
    temporary = layout.identity.with_suffix(".partial")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(asdict(identity), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(layout.identity)
    sync_path(layout.root)


@contextmanager
def _locked(layout: DataLayout) -> Iterator[None]:
    """One process at a time; the lock is the kernel's and dies with its holder."""
    lock = os.open(layout.identity_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _refuse_missing_catalog(settings: Settings) -> None:
    """Opening makes a catalog: one that is gone must be missed, not replaced."""
    found = read(settings.layout)
    if found is None or not found.is_paired:
        return
    url = settings.catalog_url
    if not holds_catalog(url):
        file = sqlite_file(url)
        state = "empty" if file is None or file.is_file() else "not there"
        raise IdentityMismatch(
            f"the catalog {shown_url(url)} is {state}, but the data folder {settings.layout.root} "
            f"belongs to one. {_ADVICE}"
        )
