"""Dockerfile and docker-compose.yml, as far as they can be judged without an engine.

`make check-image` goes through the installation itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
_DEFAULTED = re.compile(r"\$\{\w+:-([^}]*)\}")

each_service = pytest.mark.parametrize("name", SERVICES)


def _compose() -> list[str] | None:
    """The command of Docker Compose, as a plugin or by itself, if there is one."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    return None


def test_hadolint_finds_nothing() -> None:
    """Whatever the linter of Dockerfiles knows, is heeded."""
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.is_file():
        pytest.skip("no hadolint: its wheel is for Linux on x86-64")
    found = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    """A build fails late for a name that is wrong."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_compose_understands_its_file() -> None:
    """`docker compose config` resolves it without a word of complaint."""
    command = _compose()
    if command is None:
        pytest.skip("no docker compose on this machine")
    found = subprocess.run(
        [*command, "--file", COMPOSE, "--profile", "gpu", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")


@each_service
def test_a_container_can_do_little_beyond_its_work(name: str) -> None:
    """Not root, no capabilities, nothing to write on but its volumes, no more than its share."""
    service = SERVICES[name]
    assert re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert "privileged" not in service


@each_service
def test_a_container_says_whether_it_is_well(name: str) -> None:
    """An engine restarts or reports what it can see is not well; the check runs in the image."""
    check = SERVICES[name]["healthcheck"]
    assert check["test"][:2] == ["CMD", "python"]
    compile(check["test"][3], name, "exec")
    assert {"interval", "timeout", "start_period"} <= set(check)


@each_service
def test_volumes_belong_to_the_user_before_they_are_mounted(name: str) -> None:
    """A new volume takes the owner of the folder it covers; a missing one would be root's."""
    (prepared,) = re.findall(
        r"install --directory --owner=xclip --group=xclip (.+)$", DOCKERFILE, re.MULTILINE
    )
    targets = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}
    assert targets == set(prepared.split())


@each_service
def test_variables_are_settings(name: str) -> None:
    """A misspelt variable would refuse the start in the container only."""
    environment = {
        variable: _DEFAULTED.sub(r"\1", str(value))
        for variable, value in SERVICES[name]["environment"].items()
    }
    settings = load_settings(environment)
    assert settings.log_format == "json"
    assert settings.worker_base_urls == ("http://model:8001",)


def test_only_the_api_is_published_and_only_here() -> None:
    """Whoever wants more has to say so, and puts TLS in front of it."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000"]}


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda u: u.name)
def test_systemd_understands_its_units(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` with the command of this environment."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this machine")
    here = Path(sys.executable).parent / "xclip-search"
    text = unit.read_text()
    assert "/opt/xclip-search/bin/xclip-search" in text
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/opt/xclip-search/bin/xclip-search", str(here)))
    found = subprocess.run(
        ["systemd-analyze", "verify", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_units_pass_on_settings_only() -> None:
    """As in containers."""
    for unit in (ROOT / "deploy").glob("*.service"):
        (line,) = re.findall(r"^Environment=(.+)$", unit.read_text(), re.MULTILINE)
        load_settings(dict(pair.split("=", 1) for pair in line.split()))
