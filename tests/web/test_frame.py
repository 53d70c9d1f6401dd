"""The page around its views: what shows first, on every width, and what a refusal leaves."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.service import upload, wait_for_job
from tests.web.browser import wait_until
from tests.web.conftest import OpenPage, Site

SEARCH = "**/v1/collections/default/search"


def test_the_frame_shows_before_any_script(open_page: OpenPage):
    """On a slow line there is a page to see, and the scripts fill it without doubling anything."""
    held: list[Route] = []
    with open_page("phone", "dark") as seen:
        page = seen.page
        page.route("**/static/vendor/preact.js", lambda route: held.append(route))
        page.goto(seen.url, wait_until="commit")
        expect(page.locator("header")).to_contain_text("X-CLIP Search")
        expect(page.get_by_role("status")).to_have_text("Loading …")
        seen.picture("shell")
        while not held:
            page.wait_for_timeout(20)
        for each in held:
            each.continue_()
        expect(page.locator("main h1")).to_be_attached()
        for name in ("header", "main", ".brand"):
            expect(page.locator(name)).to_have_count(1)
        expect(page.locator(".shell")).to_have_count(0)


def test_a_failed_search_leaves_what_was_shown(open_page: OpenPage):
    """Below the reason, and marked as the results of the search before; a retry replaces them."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+red+circle")
        results = page.locator("ol.cards .card")
        results.first.wait_for()
        count = results.count()
        body = json.dumps({"code": "worker_unavailable", "detail": "The model does not run."})
        page.route(SEARCH, lambda route: route.fulfill(status=503, body=body))
        page.get_by_label("Describe the moments").fill("a blue square")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("The model does not run.")
        expect(page.locator("main")).to_contain_text("the results of the search before")
        expect(results).to_have_count(count)
        seen.picture("failed-search")
        seen.assert_accessible()
        page.unroute(SEARCH)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(results.first).to_contain_text("square.mp4")


def test_a_key_is_entered_once_for_all_tabs(open_page: OpenPage, site: Site):
    """A tab that opens later has it, one that was waiting gets it, and all forget it together."""
    key = site.service.create_key("write")
    try:
        with open_page("desktop", "light") as seen:
            first, second = seen.page, seen.page.context.new_page()
            dialogs = [each.get_by_role("dialog") for each in (first, second)]
            for page, dialog in zip((first, second), dialogs, strict=True):
                page.goto(f"{seen.url}/#/?q=a+red+circle")
                expect(dialog).to_be_visible()
            dialogs[0].get_by_label("Key").fill(key)
            dialogs[0].get_by_role("button", name="Use key").click()
            for page in (first, second):
                expect(page.locator("ol.cards .card").first).to_be_visible()
            third = seen.page.context.new_page()
            third.goto(f"{seen.url}/#/library")
            expect(third.locator(".cards .card").first).to_be_visible()
            third.goto(f"{seen.url}/#/settings")
            third.get_by_role("button", name="Forget the key").click()
            for page in (first, second, third):
                expect(page.get_by_role("dialog")).to_be_visible()
    finally:
        for key_id in re.findall(r"key_\w+", site.service.command("keys", "list").stdout):
            site.service.command("keys", "revoke", key_id)


@pytest.mark.parametrize("is_video_page", [False, True])
def test_what_failed_can_be_tried_again_or_deleted(
    open_page: OpenPage, site: Site, is_video_page: bool
):
    """Where it is shown: on its card, and on its own page."""
    path = site.folder / f"broken-{is_video_page}.mp4"
    path.write_text(f"no video {is_video_page}")
    with site.service.client() as client, open_page("phone", "dark") as seen:
        answer = upload(client, path).json()
        assert wait_for_job(client, answer["job"]["id"])["status"] == "failed"
        page = seen.page
        seen.visit(f"/video/{answer['video']['id']}" if is_video_page else "/library?status=failed")
        with page.expect_response("**:retry") as retried:
            page.get_by_role("button", name="Retry").click()
        assert retried.value.status == 200
        assert wait_for_job(client, answer["job"]["id"])["status"] == "failed"
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
        seen.picture("failed-video-page" if is_video_page else "failed-card")
        seen.assert_accessible()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text(path.name)).to_have_count(0)
        found = client.get(f"/v1/collections/default/videos/{answer['video']['id']}")
        assert found.status_code == 404


def test_what_systems_hide_is_not_uploaded(open_page: OpenPage, site: Site):
    """In folders and among files; how many are left out is said."""
    folder = site.folder / "card"
    hidden = ["._clip.mp4", "@eaDir/clip.mp4/thumb.mp4", ".Trash/old.mp4", "#recycle/old.mp4"]
    for name in [*hidden, "notes.txt"]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a video")
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/library")
        page.locator("#folder").set_input_files(folder)
        expect(page.locator(".choose")).to_contain_text("5 files skipped")
        page.locator("#files").set_input_files(folder / "._clip.mp4")
        expect(page.locator(".choose")).to_contain_text("1 file skipped")
        expect(page.locator(".uploads")).to_have_count(0)


def test_the_reference_is_dark_in_the_dark(open_page: OpenPage):
    """As the page is; and light otherwise, also when the system changes its mind."""
    with open_page("desktop", "dark") as seen:
        page = seen.page
        page.goto(f"{seen.url}/docs")
        page.locator(".opblock").first.wait_for()
        lightness = """() => {
          const colour = getComputedStyle(document.documentElement).backgroundColor;
          return Math.max(...colour.match(/\\d+/g).map(Number));
        }"""
        assert page.evaluate(lightness) < 80
        seen.picture("reference")
        page.emulate_media(color_scheme="light")
        wait_until(page, "() => !document.documentElement.classList.contains('dark-mode')")
