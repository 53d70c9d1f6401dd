"""Moments that were found: opened, followed, played, saved and labelled, with the focus kept."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web.browser import wait_until
from tests.web.conftest import OpenPage

FOUND = '/?q=a+red+circle&then=a+blue+square&f=["camera","eq","north"]&f=["kind","ne","x"]'
IS_NEAR = "selector => document.activeElement.closest(selector) !== null"


def test_a_click_on_a_playing_preview_opens_it(open_page: OpenPage):
    """Wherever on it; and when it is closed the focus is on that card again."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+green+circle+moving+up&sure=1")
        shot = page.locator("a.shot").first
        shot.hover()
        shot.locator("video.shown").wait_for()
        page.mouse.down()
        page.mouse.up()
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(shot).to_be_focused()


def test_what_is_taken_away_leaves_the_focus_near(open_page: OpenPage):
    """A filter's token, the last of them, and the form that added one."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(FOUND)
        tokens = page.locator(".tokens").first
        for left in (2, 1):
            tokens.get_by_role("button").last.press("Enter")
            expect(tokens.locator(".token")).to_have_count(left)
            wait_until(page, IS_NEAR, ".tokens")
        tokens.get_by_role("button").press("Enter")
        expect(tokens).to_have_count(0)
        wait_until(page, IS_NEAR, ".asking")
        page.get_by_role("button", name="But not").press("Enter")
        page.get_by_label("should not show").fill("a star")
        page.keyboard.press("Enter")
        expect(page.locator(".token")).to_have_count(1)
        wait_until(page, IS_NEAR, ".asking")


def test_a_time_is_picked_and_a_length_is_a_number(open_page: OpenPage):
    """Days are local, before or after; nothing that the form takes is refused by the service."""
    with open_page("phone", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+red+circle")
        for day, comparison, found in (
            ("2020-01-02", "on or after", True),
            ("2020-01-02", "before", False),
        ):
            page.get_by_role("button", name="Filter", exact=True).click()
            page.get_by_label("Field").fill("created")
            page.locator(".adding select").select_option(comparison)
            page.get_by_label("Day").fill(day)
            page.get_by_label("Time, if").fill("08:30")
            seen.picture("filter-by-time")
            seen.assert_accessible()
            page.get_by_role("button", name="Add", exact=True).click()
            token = page.get_by_text(f"created {comparison} 2 Jan 2020, 08:30")
            expect(token).to_be_visible()
            shown = "Nothing found" if not found else re.compile("moments? from")
            expect(page.locator(".outcome")).to_contain_text(shown)
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_label("Field").fill("duration")
        expect(page.get_by_label("Seconds")).to_have_attribute("type", "number")
        expect(page.locator(".adding select")).not_to_contain_text("exists")
