"""Where a checkpoint's files are, against a small hub on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.http_stand_in import serving
from xclip.encoders import load_encoder
from xclip.errors import WeightsError
from xclip.hub import Checkpoint, locate

COMMITS = {"main": "a" * 40, "older": "b" * 40}


@dataclass
class Hub:
    """The part of Hugging Face's HTTP interface that file downloads use."""

    folders: dict[str, Path]
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Serve /{owner}/{name}/resolve/{revision}/{file}, one folder per commit."""
        self.requests.append(f"{request.command} {request.path}")
        parts = request.path.strip("/").split("/")
        path = None
        if len(parts) == 5 and parts[:3] == ["someone", "tiny-xclip", "resolve"]:
            commit = COMMITS.get(parts[3], parts[3])
            path = self.folders.get(commit, Path("/nonexistent")) / parts[4]
        found = path is not None and path.is_file()
        body = path.read_bytes() if found and path is not None else b""
        request.send_response(200 if found else 404)
        if path is not None:
            request.send_header("X-Repo-Commit", commit)
        if found:
            request.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        elif path is None:
            request.send_header("X-Error-Code", "RepoNotFound")
        else:
            request.send_header("X-Error-Code", "EntryNotFound")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path) -> Iterator[Hub]:
    """A repository of two commits; the older one holds a pickle."""
    older = Path(shutil.copytree(checkpoint, tmp_path / "older"))
    weights = older / "model.safetensors"
    torch.save(load_file(weights), older / "pytorch_model.bin")
    weights.unlink()
    served = Hub({COMMITS["main"]: checkpoint, COMMITS["older"]: older})
    with serving(served.answer) as served.url:
        yield served


def run(program: str, hub_url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own: the hub's address is read at import."""
    here = {"HF_ENDPOINT": hub_url, "HF_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


LOAD = """
from xclip.encoders import load_encoder
print(load_encoder("someone/tiny-xclip", device="cpu").fingerprint)
"""

FIND = """
from xclip.hub import locate
checkpoint = locate("someone/tiny-xclip", {revision!r})
for name in ("config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"):
    print(checkpoint.find(name))
"""


def test_a_repository_loads_and_then_needs_no_network(
    hub: Hub, tmp_path: Path, checkpoint: Path
) -> None:
    """Files come from the hub once, all from one commit; afterwards the cache is enough."""
    cache = tmp_path / "cache"
    loaded = run(LOAD, hub.url, cache)
    assert loaded.stdout.strip() == load_encoder(str(checkpoint)).fingerprint, loaded.stderr
    files = [path for path in hub.requests if "/resolve/" in path]
    by_branch = {path.rsplit("/", 1)[1] for path in files if "/resolve/main/" in path}
    assert by_branch == {"config.json"}
    assert any(path.endswith("/model.safetensors") for path in files)
    assert not any(path.endswith("/pytorch_model.bin") for path in files)

    online = run(FIND.format(revision=None), hub.url, cache)
    offline = run(FIND.format(revision=None), "http://127.0.0.1:9", cache)
    assert offline.stdout == online.stdout, offline.stderr
    config, weights, pickle, tokenizer = offline.stdout.split()
    assert pickle == "None"
    for path in (config, weights, tokenizer):
        assert Path(path).read_bytes() == (checkpoint / Path(path).name).read_bytes()


REPORT = """
from xclip.hub import locate, reporting
with reporting(lambda name, done, total: print(name, done, total)):
    locate("someone/tiny-xclip").find("model.safetensors")
"""


def test_downloads_report_how_far_they_are(hub: Hub, tmp_path: Path, checkpoint: Path) -> None:
    """Every file by its name, up to its last byte, and no bar of the hub's own beside it."""
    reported = run(REPORT, hub.url, tmp_path / "cache")
    ends = {line.split()[0]: line.split()[1:] for line in reported.stdout.splitlines()}
    sizes = {name: str((checkpoint / name).stat().st_size) for name in ends}
    assert ends == {name: [size, size] for name, size in sizes.items()}
    assert "model.safetensors" in ends
    assert "%" not in reported.stderr


def test_a_revision_with_a_pickle(hub: Hub, tmp_path: Path) -> None:
    """A revision is honoured; what its commit lacks is None, what it has is fetched."""
    found = run(FIND.format(revision="older"), hub.url, tmp_path / "cache")
    _, weights, pickle, _ = found.stdout.split()
    assert weights == "None"
    expected = hub.folders[COMMITS["older"]] / "pytorch_model.bin"
    assert Path(pickle).read_bytes() == expected.read_bytes()


def test_an_unknown_revision_is_a_weights_error(hub: Hub, tmp_path: Path) -> None:
    """The error names the repository and what was requested."""
    missing = run(FIND.format(revision="nowhere"), hub.url, tmp_path / "cache")
    assert missing.returncode == 1
    assert "xclip.errors.WeightsError" in missing.stderr
    assert "someone/tiny-xclip" in missing.stderr


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """A folder's files are found, and those it lacks are None."""
    (tmp_path / "config.json").write_text("{}")
    checkpoint = locate(tmp_path)
    assert checkpoint.find("config.json") == tmp_path / "config.json"
    assert checkpoint.find("model.safetensors") is None


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source out of a file has been read by no shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert locate("~/model").folder == tmp_path / "model"


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "a/b", "", "..", ".hidden"])
def test_only_plain_names_are_looked_up(tmp_path: Path, name: str) -> None:
    """A name from inside a checkpoint cannot lead out of its folder."""
    with pytest.raises(WeightsError, match="plain file name"):
        Checkpoint(tmp_path).find(name)


@pytest.mark.parametrize("source", ["./missing", "/missing/folder", "a/b/c", "~/model", "../up"])
def test_what_is_neither_folder_nor_hub_id(source: str) -> None:
    """Such a source fails at once, without asking any network."""
    with pytest.raises(WeightsError, match="neither a folder"):
        locate(source)
