"""How long the page takes from the key that asks to the pictures on the screen, and its first load.

A real service on motion-tiny over 10,000 random segments with a picture each, and Chromium. Each
round asks a new text twice: on the page, from the press of Enter until every picture in the window
is drawn, and the same search over the API alone, which no page can undercut.

python -m benchmarks.page [--segments 10000] [--searches 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from io import BytesIO
from pathlib import Path
from statistics import median

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from app.catalog import Catalog
from app.settings import Settings
from app.storage.composition import open_storage
from app.worker.pipeline import THUMBNAIL_QUALITY
from benchmarks.latency import SEGMENTS_OF_A_VIDEO, fill
from tests.e2e.service import running
from tests.web.browser import SIZES, find_chromium, launch, wait_until
from xclip.encoders import load_encoder
from xclip.motion.world import TRAINING, phrasing

BAR_MS, BAR_BYTES = 300, 150_000
WARM_UP = 3
ON_A_PAGE = 24  # as the page asks
MODEL = "motion-tiny"
# Sets window.drawn to the milliseconds from Enter until all pictures in the window are there.
STOPWATCH = """
addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  window.drawn = null;
  const look = () => {
    const seen = [...document.querySelectorAll("ol.cards img")]
      .filter((image) => image.getBoundingClientRect().top < innerHeight);
    if (seen.length && seen.every((image) => image.complete && image.naturalWidth)) {
      window.drawn = performance.now() - event.timeStamp;
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fill(data, load_encoder(MODEL, device="cpu"), arguments.segments, np.random.default_rng(1))
        draw_pictures(Settings(data_dir=data))
        with running(data) as service, service.client() as client:
            figures = measure(service.url, client, arguments.searches)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print_figures(figures, arguments.segments)


def draw_pictures(settings: Settings) -> None:
    """Give every segment a picture of its own, as large as an ingest makes them."""
    random = np.random.default_rng(2)
    media = open_storage(settings.layout, writer_id="bench").media
    with Catalog.open(settings.catalog_url) as catalog:
        cursor = None
        while True:
            page = catalog.list_videos("default", cursor=cursor, limit=200)
            for video in page.items:
                coarse = random.integers(0, 255, (9, 16, 3), dtype=np.uint8)
                picture = Image.fromarray(np.kron(coarse, np.ones((20, 20, 1), np.uint8)))
                webp = BytesIO()
                picture.save(webp, format="WEBP", quality=THUMBNAIL_QUALITY)
                for index in range(SEGMENTS_OF_A_VIDEO):
                    media.write_thumbnail(video.id, index, webp.getvalue())
            cursor = page.next_cursor
            if cursor is None:
                return


def measure(url: str, client: httpx.Client, searches: int) -> dict[str, float]:
    """Return medians in milliseconds, and the bytes of the first load."""
    random = np.random.default_rng(3)
    path = find_chromium()
    assert path, "no Chromium on this machine"
    drawn, answered = [], []
    with sync_playwright() as playwright:
        browser = launch(playwright, path)
        width, height = SIZES["desktop"]
        page = browser.new_page(viewport={"width": width, "height": height})
        page.add_init_script(STOPWATCH)
        loaded = first_load(page, url)
        for number in range(-WARM_UP, searches):
            text = f"{phrasing(TRAINING[number % len(TRAINING)], random)} {number}"
            on_page, alone = ask_page(page, text), ask_alone(client, f"{text} again")
            if number >= 0:
                drawn.append(on_page)
                answered.append(alone)
        browser.close()
    return {"pictures_ms": median(drawn), "api_ms": median(answered), "first_load_bytes": loaded}


def first_load(page: Page, url: str) -> float:
    """Load the page as who was never there; return the bytes of its own files as they travel."""
    sizes: dict[str, float] = {}
    pictures = set()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on(
        "Network.responseReceived",
        lambda seen: "/v1/" in seen["response"]["url"] and pictures.add(seen["requestId"]),
    )
    wire.on(
        "Network.loadingFinished",
        lambda seen: sizes.update({seen["requestId"]: seen["encodedDataLength"]}),
    )
    page.goto(url, wait_until="networkidle")
    return sum(size for each, size in sizes.items() if each not in pictures)


def ask_page(page: Page, text: str) -> float:
    """Milliseconds from Enter to all pictures in the window."""
    page.get_by_role("link", name="Search", exact=True).click()
    page.locator("ul.cards img").first.wait_for(state="attached")
    page.locator("#query").fill(text)
    page.locator("#query").press("Enter")
    wait_until(page, "window.drawn")
    return float(page.evaluate("window.drawn"))


def ask_alone(client: httpx.Client, text: str) -> float:
    """Milliseconds of the same search, without pictures."""
    began = time.perf_counter()
    body = {"text": text, "top_k": ON_A_PAGE, "merge": True}
    client.post("/v1/collections/default/search", json=body).raise_for_status()
    return 1_000 * (time.perf_counter() - began)


def print_figures(figures: dict[str, float], segments: int) -> None:
    """Print a line a figure, with its bar."""
    console = Console()
    console.print(f"page over {segments:,} segments")
    console.print(f"  Enter to pictures  {figures['pictures_ms']:.0f} ms (bar {BAR_MS})")
    console.print(f"  the search alone   {figures['api_ms']:.0f} ms")
    console.print(
        f"  first load         {figures['first_load_bytes']:,.0f} bytes (bar {BAR_BYTES:,})"
    )


if __name__ == "__main__":
    main()
