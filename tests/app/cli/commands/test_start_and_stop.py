"""How real processes start on a volume that cannot be written, and end at a second signal."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import checkpoint
from tests.e2e.service import Service
from tests.faults.test_full_disk import OWN_MOUNTS, can_mount

__all__ = ["checkpoint"]

EXIT_CONFIG = 78
FOLDERS = ["", "media", "thumbnails", "tensors", "uploads", "tmp"]
MOUNT_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a service that has run."""
    from app.settings import Settings
    from app.storage.library_identity import open_catalog
    from app.storage.write_check import check_writable

    settings = Settings(data_dir=tmp_path_factory.mktemp("made") / "data")
    with open_catalog(settings):
        check_writable(settings.layout)
    return settings.data_dir


def start(command: str, data: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    environment = {name: v for name, v in os.environ.items() if not name.startswith("XCLIP_")}
    return subprocess.run(
        [*prefix, sys.executable, "-m", "app.cli.main", command],
        env=environment | {"XCLIP_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.skipif(not can_mount(), reason="this machine lets no user mount anything")
@pytest.mark.parametrize("read_only", [*FOLDERS, "catalog.sqlite"])
def test_what_is_mounted_read_only_ends_a_start_with_its_path(
    read_only: str, made: Path, tmp_path: Path
):
    """One line and the status of wrong settings, which no supervisor starts again."""
    data = shutil.copytree(made, tmp_path / "data")
    path = data / read_only
    ended = start("serve", data, *OWN_MOUNTS, "sh", "-c", MOUNT_READ_ONLY, "sh", str(path))
    assert ended.returncode == EXIT_CONFIG, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert str(path) in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_catalog_that_is_none_ends_each_process_with_its_path(
    command: str, made: Path, tmp_path: Path
):
    data = shutil.copytree(made, tmp_path / "data")
    (data / "catalog.sqlite").write_bytes(os.urandom(8192))
    ended = start(command, data)
    assert ended.returncode == EXIT_CONFIG, ended.stderr
    assert str(data / "catalog.sqlite") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_link_that_leads_nowhere_is_named(made: Path, tmp_path: Path):
    """As of a volume that is not mounted."""
    data = shutil.copytree(made, tmp_path / "data")
    (data / "media").rmdir()
    (data / "media").symlink_to(tmp_path / "not-mounted")
    ended = start("serve", data)
    assert ended.returncode == EXIT_CONFIG, ended.stderr
    assert str(data / "media") in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_service_at_once(number: int, tmp_path: Path):
    """A download that its client does not read would hold it for the whole grace period."""
    service = Service(tmp_path / "data", XCLIP_SHUTDOWN_GRACE_S="600")
    service.start()
    ids = service.process_ids()
    try:
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as slow:
            head = "Host: 127.0.0.1\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n"
            slow.sendall(f"POST /v1/collections/default/search HTTP/1.1\r\n{head}".encode())
            os.kill(ids["serve"], number)
            while accepts(service.url):
                pass
            assert service.is_running()
            os.kill(ids["serve"], number)
            service.wait_dead()
    finally:
        if service.is_running():
            service.kill("serve")
    assert not any(Path(f"/proc/{each}").exists() for each in ids.values())


def accepts(url: str) -> bool:
    """Whether the service still takes connections."""
    try:
        httpx.get(f"{url}/livez", timeout=60)
    except httpx.TransportError:
        return False
    return True
