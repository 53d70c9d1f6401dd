"""A Chromium that watches the page: what it complains of, whom it asks, what axe finds in it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, Response, expect

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
# What an answer that refuses, or a stopped video, leaves in the console: the page says it in words.
EXPECTED = "Failed to load resource"

PATIENCE_MS = 60_000  # the machine may have other work
# Of the network: slow enough that a person sees the bytes go, and as it is.
SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 150_000}
FAST = SLOW | {"uploadThroughput": -1}

Size = Literal["desktop", "phone"]
Scheme = Literal["light", "dark"]


def find_chromium() -> str | None:
    """Where a Chromium is, if there is one; XCLIP_TEST_CHROMIUM names another."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    named = os.environ.get("XCLIP_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright, path: str) -> Browser:
    """A Chromium without a window; its own sandbox does not work for root."""
    arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return playwright.chromium.launch(executable_path=path, args=arguments)


@dataclass
class Watched:
    """A page and what was seen of it so far."""

    page: Page
    url: str
    name: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    answers: list[Response] = field(default_factory=list)

    def visit(self, address: str) -> None:
        """Load the page anew at an address behind the #, and wait for its view."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#{address}")
        self.page.locator("main h1").wait_for(state="attached")

    def turn_to(self, address: str) -> None:
        """Go to another address of the page that is open, as a link does."""
        self.page.evaluate("address => { location.hash = address; }", address)

    def picture(self, name: str) -> None:
        """Keep how the page looks now, for a person to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.name}.png")

    def assert_accessible(self) -> None:
        """axe-core finds nothing wrong with what is shown."""
        found = Axe().run(self.page).response["violations"]
        assert not found, json.dumps([_violation(each) for each in found], indent=1)

    def partial_answers(self, path: str) -> list[Response]:
        """The answers 206 to requests for a path that ends so."""
        return [a for a in self.answers if a.status == 206 and a.url.endswith(path)]


@contextmanager
def watched(browser: Browser, url: str, size: Size, scheme: Scheme) -> Iterator[Watched]:
    """A new reader's page; at the end nothing was complained of and nobody else asked."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        has_touch=size == "phone",
        is_mobile=size == "phone",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    seen = Watched(page, url, f"{size}-{scheme}")
    page.on("console", lambda said: seen.complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.elsewhere.add(_host(request.url)))
    page.on("response", lambda answer: seen.answers.append(answer))
    try:
        yield seen
    finally:
        context.close()
    complaints = [each for each in seen.complaints if EXPECTED not in each]
    assert not complaints, complaints
    assert seen.elsewhere <= {_host(url), ""}, seen.elsewhere


def wait_until(page: Page, script: str, argument: object = None) -> None:
    """Ask the page until it says yes.

    Not by `wait_for_function`, which evaluates text inside the page: its policy forbids that.
    """
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(script, argument):
        assert time.monotonic() < deadline, script
        page.wait_for_timeout(50)


def throttle(page: Page, speed: Mapping[str, object]) -> None:
    """Let the page's network be SLOW, FAST or away from now on."""
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", dict(speed))


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _violation(found: dict[str, Any]) -> dict[str, Any]:
    nodes = [[node["target"], node["failureSummary"]] for node in found["nodes"]]
    return {"rule": found["id"], "help": found["help"], "nodes": nodes}
