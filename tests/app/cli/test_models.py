"""`xclip-search models`: the published names, both conversions, and the check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.http_stand_in import serving
from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.conversion.published import GOLDEN_DATASET, PUBLISHED
from xclip.model import XCLIPModel

from .conftest import RunCommand

WEIGHTS = "model.safetensors"
COMMIT = "c" * 40


def copy_checkpoint(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def spoil(folder: Path) -> None:
    """Put one number that is none into the weights."""
    tensors = load_file(folder / WEIGHTS)
    tensors["text_projection.weight"][0, 0] = torch.nan
    save_file({key: value.clone() for key, value in tensors.items()}, folder / WEIGHTS)


@dataclass
class Hub:
    """The part of the hub's HTTP interface that downloads use; `files` are what it has."""

    files: dict[str, bytes]
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Serve /{repository}/resolve/{revision}/{file}, whatever the revision."""
        repository, _, rest = request.path.strip("/").partition("/resolve/")
        body = self.files.get(f"{repository}/{rest.partition('/')[2]}")
        request.send_response(404 if body is None else 200)
        request.send_header("X-Repo-Commit", COMMIT)
        if body is None:
            request.send_header("X-Error-Code", "EntryNotFound")
        else:
            request.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        request.send_header("Content-Length", str(len(body or b"")))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body or b"")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """An empty hub on this machine, which this process asks, and an empty cache."""
    served = Hub({})
    with serving(served.answer) as served.url:
        template = f"{served.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield served


def test_the_published_names_are_listed(command: RunCommand) -> None:
    """All 18, with what tells them apart."""
    answer = command("models", "list")
    rows = [line.split() for line in answer.output.splitlines() if line.startswith("microsoft/")]
    assert [row[0] for row in rows] == [model.repository for model in PUBLISHED]
    large = next(row for row in rows if row[0].endswith("large-patch14-16-frames"))
    assert large[1:6] == ["16", "336", "14", "768", "576,007,425"]


def test_there_and_back(command: RunCommand, tmp_path: Path) -> None:
    """What SOURCE is decides the direction; the weights come back bit for bit."""
    config = XCLIPConfig(
        XCLIPTextConfig(30, 64, 256, 1, 1, 9),
        XCLIPVisionConfig(64, 256, 1, 1, 64, 256, 1, 1, image_size=8, patch_size=4, num_frames=2),
        projection_dim=64,
        prompt_num_attention_heads=1,
    )
    torch.manual_seed(0)
    XCLIPModel(config).save_pretrained(tmp_path / "first")
    there = command("models", "convert", tmp_path / "first", tmp_path / "original.pth")
    back = command("models", "convert", tmp_path / "original.pth", tmp_path / "second")
    assert (there.exit_code, back.exit_code) == (0, 0), there.output + back.output
    assert "tokenizer" in back.stderr
    first, second = (load_file(tmp_path / name / WEIGHTS) for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())

    again = command("models", "convert", tmp_path / "original.pth", tmp_path / "second")
    assert again.exit_code == 1
    assert "not empty" in again.stderr


def test_a_folder_passes_without_golden_values(command: RunCommand, checkpoint: Path) -> None:
    """What can be checked is; what cannot is said."""
    answer = command("models", "check", checkpoint)
    assert answer.exit_code == 0, answer.output
    assert "no golden values are known" in answer.output
    assert f"{checkpoint}: pass, not compared with golden values" in answer.output


def test_a_spoiled_folder_fails(command: RunCommand, checkpoint: Path, tmp_path: Path) -> None:
    """The status is 1 and the table says which tensor."""
    spoil(copy_checkpoint(checkpoint, tmp_path / "spoiled"))
    answer = command("models", "check", tmp_path / "spoiled")
    assert answer.exit_code == 1
    assert "not in text_projection.weight" in answer.output
    assert answer.output.rstrip().endswith(": fail")


def test_what_does_not_load_is_one_line(command: RunCommand, tmp_path: Path) -> None:
    """No traceback for a folder without a network, nor for a file that is none."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.pth").write_bytes(b"no weights")
    for arguments in (
        ("check", tmp_path / "empty"),
        ("convert", tmp_path / "file.pth", tmp_path / "folder"),
    ):
        answer = command("models", *arguments)
        assert answer.exit_code == 1
        assert answer.stderr.startswith("error: ")
        assert len(answer.stderr.splitlines()) == 1


def test_a_published_name_is_fetched_and_held_to_its_golden_clip(
    hub: Hub, command: RunCommand, checkpoint: Path, tmp_path: Path
) -> None:
    """Checkpoint and clip come from the hub; a network that is not the published one fails."""
    name = "xclip-base-patch32"
    for file in checkpoint.iterdir():
        hub.files[f"microsoft/{name}/{file.name}"] = file.read_bytes()
    without_clip = command("models", "check", name)
    assert without_clip.exit_code == 1
    assert "eating_spaghetti_8_frames.npy" in without_clip.output
    assert "no golden values" not in without_clip.output

    frames = XCLIPConfig.from_json_file(checkpoint / "config.json").vision_config.num_frames
    np.save(tmp_path / "clip.npy", np.full((frames, 24, 32, 3), 90, np.uint8))
    wanted = f"datasets/{GOLDEN_DATASET}/eating_spaghetti_8_frames.npy"
    hub.files[wanted] = (tmp_path / "clip.npy").read_bytes()
    answer = command("models", "check", name)
    assert answer.exit_code == 1
    rows = {line[:22].strip(): line for line in answer.output.splitlines()}
    assert "pass" in rows["loads"]
    assert "FAIL" in rows[f"is {name}"]
    assert "golden clip" not in rows
