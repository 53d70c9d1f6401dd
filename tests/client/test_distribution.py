"""The client as a distribution of its own: a wheel that needs three packages, and no server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import app.client
import xclip_search
from tests.app.conftest import MakeClip
from tests.app.stack import Stack
from tests.app.worker.conftest import serving

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "xclip_search"

PROGRAM = """
import importlib.abc
import json
import sys

BANNED = {
    "app", "av", "faiss", "fastapi", "index", "numpy", "sqlalchemy", "starlette", "torch", "typer",
    "uvicorn", "xclip",
}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

wheel, url = sys.argv[1:]
sys.meta_path.insert(0, Absent())
sys.path.insert(0, wheel)

import xclip_search
from xclip_search import Client

with Client(url) as client:
    names = [video.filename for video in client.videos()]
    moments = client.search("a red square moves left").results
print(json.dumps({
    "from": xclip_search.__file__,
    "videos": names,
    "found": sorted({moment.filename for moment in moments}),
    "imported": sorted(BANNED & set(sys.modules)),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, built from a copy: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    leftovers = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    source = shutil.copytree(PACKAGE, folder / "source", ignore=leftovers)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, source]
    subprocess.run(command, check=True, cwd=folder)
    (built,) = folder.glob("xclip_search_client-*.whl")
    return built


def test_the_wheel_contains_every_module(wheel: Path) -> None:
    """What the folder holds is what is installed: each module, and the mark that it has types."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("xclip_search/")}
    written = [*PACKAGE.rglob("*.py"), PACKAGE / "py.typed"]
    build = PACKAGE / "build"
    kept = {str(file.relative_to(ROOT)) for file in written if build not in file.parents}
    assert packed == kept


def test_the_wheel_works_without_the_server(
    wheel: Path, stack: Stack, make_clip: MakeClip, tmp_path: Path
) -> None:
    """Where nothing of the server can be imported, the wheel's client searches a live service."""
    stack.ingest(make_clip(seconds=2))

    async def service(scope: dict[str, Any], *channels: Any) -> None:
        await stack.api.app({**scope, "state": stack.api.app_state.copy()}, *channels)

    with serving(service) as url:
        command = [sys.executable, "-I", "-c", PROGRAM, wheel, url]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer.pop("from").startswith(str(wheel))
    assert answer == {"videos": ["clip.mp4"], "found": ["clip.mp4"], "imported": []}


def test_both_distributions_agree() -> None:
    """Version, Python and the bounds of shared dependencies are the same in both descriptions."""
    client = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {name.partition(">")[0] for name in client["dependencies"]}
    assert needed == {"httpx", "numpy", "pydantic"}
    assert set(client["dependencies"]) <= set(server["dependencies"])
    for field in ("version", "requires-python", "license"):
        assert client[field] == server[field], field


def test_the_former_name_is_the_same_client() -> None:
    """`app.client` re-exports every public name of `xclip_search`."""
    assert app.client.__all__ == xclip_search.__all__
    assert app.client.Client is xclip_search.Client
