"""A person's main job: add a video, find a moment of it, play it, label it, delete it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.web.browser import FAST, SLOW, Scheme, Size, Watched, throttle, wait_until
from tests.web.conftest import EVENT_S, OpenPage, Site

ASKED = "a yellow star moving right"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_from_a_file_to_its_deletion(open_page: OpenPage, site: Site, size: Size, scheme: Scheme):
    """At every step the page says what happens, and axe finds nothing wrong with it."""
    with open_page(size, scheme) as seen:
        add(seen, site)
        find(seen)
        play_the_moment(seen)
        label(seen)
        delete(seen)


def add(seen: Watched, site: Site) -> None:
    """Bytes, then stages, then it can be searched."""
    page = seen.page
    seen.visit("/library")
    throttle(page, SLOW)
    page.locator("#files").set_input_files(site.new)
    row = page.locator(".uploads .row")
    expect(row).to_contain_text(re.compile(r"sending, [\d.]+ kB of [\d.]+ kB"))
    seen.picture("uploading")
    throttle(page, FAST)
    expect(row).to_contain_text("ready to search")
    assert any(answer.url.endswith("/events") for answer in seen.answers)
    expect(page.get_by_role("list", name="Videos").locator(".card")).to_have_count(4)
    seen.picture("library")
    seen.assert_accessible()


def find(seen: Watched) -> None:
    """The best moment is the one that shows it, and says from when to when and how sure that is."""
    page = seen.page
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Describe the moments to find").fill(ASKED)
    page.keyboard.press("Enter")
    first = page.locator(".cards .card").first
    expect(first).to_contain_text("new.mp4")
    expect(first.locator(".length")).to_have_text("0:00 – 0:05")
    expect(first.locator(".confidence.high")).to_contain_text("%")
    expect(first.locator("img")).to_have_js_property("complete", True)
    seen.picture("results")
    seen.assert_accessible()


def play_the_moment(seen: Watched) -> None:
    """It opens at the moment and plays it, over a strip of its score; Escape leads back."""
    page = seen.page
    page.locator(".cards .shot").first.click()
    dialog = page.get_by_role("dialog", name="new.mp4, 0:00 – 0:05")
    expect(dialog.get_by_role("img", name="Score over time")).to_be_visible()
    wait_until(page, "document.querySelector('video').currentTime > 0.2")
    assert page.evaluate("document.querySelector('video').currentTime") <= EVENT_S
    seen.picture("hit")
    seen.assert_accessible()
    page.keyboard.press("n")  # the next hit
    expect(dialog).not_to_be_visible()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("p")
    expect(dialog).to_be_visible()
    dialog.get_by_role("link", name="Whole video").click()


def label(seen: Watched) -> None:
    """Typed labels get a bar for the whole video and a strip over its time."""
    page = seen.page
    page.get_by_label("Labels, separated by commas").fill("a yellow star, a blue square")
    page.get_by_role("button", name="Add", exact=True).click()
    best = page.locator(".labels > li").first
    expect(best).to_contain_text("a yellow star")
    expect(best.locator("b")).to_contain_text("%")
    expect(best.get_by_role("img")).to_have_attribute("aria-label", re.compile("over time"))
    seen.picture("labels")
    seen.assert_accessible()


def delete(seen: Watched) -> None:
    """Asked first, then gone."""
    page = seen.page
    page.get_by_role("button", name="Delete this video").click()
    seen.picture("delete")
    seen.assert_accessible()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    videos = page.get_by_role("list", name="Videos")
    expect(videos.locator(".card")).to_have_count(3)
    expect(videos).not_to_contain_text("new.mp4")
