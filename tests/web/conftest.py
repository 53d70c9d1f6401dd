"""One real service with a few clips, and one Chromium, for all tests of the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.service import Service, running, upload, wait_for_job
from tests.web.browser import Watched, find_chromium, launch, watched
from xclip.motion.clips import write_clip
from xclip.motion.world import Subject, sample_scene

KEPT = {
    "circle.mp4": [Subject("red", "circle", "left")],
    "square.mp4": [Subject("blue", "square", "up")],
    "three.mp4": [
        Subject("cyan", "ring", "left"),
        Subject("green", "circle", "up"),
        Subject("white", "square", "grow"),
    ],
}
EVENT_S = 5.0


@dataclass(frozen=True)
class Site:
    """The service, the files that are in it, and one that is not."""

    service: Service
    videos: dict[str, str]  # ids by file name
    folder: Path
    new: Path


OpenPage = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine; XCLIP_TEST_CHROMIUM names one")
    with sync_playwright() as playwright:
        opened = launch(playwright, path)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    random = np.random.default_rng(7)
    for name, subjects in KEPT.items():
        _write(folder / name, subjects, random)
    _write(folder / "new.mp4", [Subject("yellow", "star", "right")], random)
    with running(folder / "data") as service, service.client() as client:
        videos = {}
        for name in KEPT:
            metadata = json.dumps({"kind": name.removesuffix(".mp4"), "camera": "north"})
            answer = upload(client, folder / name, metadata=metadata).json()
            assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
            videos[name] = answer["video"]["id"]
        yield Site(service, videos, folder, folder / "new.mp4")


@pytest.fixture(scope="module")
def open_page(browser: Browser, site: Site) -> OpenPage:
    """`with open_page("phone", "dark") as seen:` opens the page to a new reader."""
    return partial(watched, browser, site.service.url)


def _write(path: Path, subjects: list[Subject], random: np.random.Generator) -> None:
    scenes = [(sample_scene(subject, random), EVENT_S) for subject in subjects]
    write_clip(path, scenes, 160, 120, 24, random)
