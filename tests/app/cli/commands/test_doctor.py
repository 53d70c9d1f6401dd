"""`xclip-search doctor`: what it finds on this machine, and what it says of one that is wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from app.maintenance.doctor import Diagnosis, diagnose
from app.settings import Settings

RunCommand = Callable[..., Result]
CHECKS = [
    *("software", "data folder", "disk", "catalog", "port of the API", "port of the worker"),
    *("access", "open files", "codecs", "sandbox", "GPU", "model", "trial"),
]


def findings(until: str, **choices: object) -> dict[str, Diagnosis]:
    """The findings up to a check: those after it take seconds."""
    found: dict[str, Diagnosis] = {}
    for finding in diagnose(Settings(**choices)):  # type: ignore[arg-type]
        found[finding.check] = finding
        if finding.check == until:
            break
    return found


def test_a_sound_machine_is_called_so(
    command: RunCommand,
    checkpoint: Path,
    tmp_path: Path,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every check by name, a clip through decoder and model last; nothing is left behind."""
    for name, value in {
        "DATA_DIR": tmp_path / "data",
        "MODEL": checkpoint,
        "PORT": free_port,
        "WORKER_PORT": free_port + 1,
        "THREADS": 1,
        "DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(f"XCLIP_{name}", str(value))
    printed = command("doctor", "--json")
    found = [Diagnosis(**each) for each in json.loads(printed.output)]
    assert [finding.check for finding in found] == CHECKS
    assert printed.exit_code == 0, printed.output
    assert {finding.verdict for finding in found} <= {"ok", "note"}
    assert all(bool(finding.fix) == (finding.verdict != "ok") for finding in found)
    assert "decoded, encoded and scored" in found[-1].message
    assert not (tmp_path / "data").exists()


def test_what_is_wrong_comes_with_the_fix(
    command: RunCommand, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is none: status 1, the reason, and what to do below it."""
    monkeypatch.setenv("XCLIP_MODEL", str(tmp_path))
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XCLIP_PORT", str(free_port))
    monkeypatch.setenv("XCLIP_WORKER_PORT", str(free_port + 1))
    result = command("doctor")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    wrong = next(number for number, line in enumerate(lines) if line.startswith("✗"))
    assert "model" in lines[wrong]
    assert "→ XCLIP_MODEL names" in "".join(lines[wrong:])


def test_a_taken_port_is_told_from_the_service(running_service: str, tmp_path: Path) -> None:
    """Our own service may have it; another program may not."""
    port = int(running_service.rsplit(":", 1)[1])
    ours = findings("port of the worker", data_dir=tmp_path, port=port, worker_port=port + 1)
    assert ours["port of the API"].message == f"{port}: the service runs there"
    assert ours["port of the worker"].verdict == "ok"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        theirs = findings("port of the API", data_dir=tmp_path, port=taken)["port of the API"]
    assert theirs.verdict == "wrong"
    assert "XCLIP_PORT" in theirs.fix


def test_disk_folder_catalog_and_access(tmp_path: Path) -> None:
    """Each says what is the matter in words that name the setting."""
    file = tmp_path / "file"
    file.touch()
    assert findings("data folder", data_dir=file / "data")["data folder"].verdict == "wrong"
    full = findings("disk", data_dir=tmp_path, min_free_bytes=1 << 60)["disk"]
    assert (full.verdict, "XCLIP_DATA_DIR" in full.fix) == ("wrong", True)
    (tmp_path / "catalog.sqlite").write_bytes(b"no database at all" * 100)
    broken = findings("catalog", data_dir=tmp_path)["catalog"]
    assert (broken.verdict, "verify" in broken.fix) == ("wrong", True)
    opened = findings("access", data_dir=tmp_path / "new", host="0.0.0.0")["access"]
    assert (opened.verdict, "keys create" in opened.fix) == ("wrong", True)


def test_a_gpu_that_is_asked_for_and_not_there(tmp_path: Path) -> None:
    """Is wrong where the settings name it, and no matter where they do not."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that PyTorch can use")
    asked = findings("GPU", data_dir=tmp_path, device="cuda")["GPU"]
    assert (asked.verdict, "XCLIP_DEVICE=cpu" in asked.fix) == ("wrong", True)
    left = findings("GPU", data_dir=tmp_path)["GPU"]
    assert left.verdict in ("ok", "note")


def test_a_device_that_is_not_there_is_not_blamed_on_the_model(tmp_path: Path) -> None:
    """The fix names the setting that is wrong."""
    found = findings("model", data_dir=tmp_path, device="cuda:900")["model"]
    assert (found.verdict, "XCLIP_DEVICE" in found.fix) == ("wrong", True)
    assert "XCLIP_MODEL" not in found.fix
