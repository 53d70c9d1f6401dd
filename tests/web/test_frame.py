"""The page around its views: what shows first, on every width, and what a refusal leaves."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.web.conftest import OpenPage


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
