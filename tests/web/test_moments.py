"""Moments that were found: opened, followed, played, saved and labelled, with the focus kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.service import upload, wait_for_job
from tests.web.browser import Size, wait_until
from tests.web.conftest import EVENT_S, OpenPage, Site
from xclip.motion.clips import write_clip
from xclip.motion.world import Subject, sample_scene

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


@pytest.fixture(scope="module")
def avi(site: Site) -> Iterator[str]:
    """The id of a video that no browser plays and that no clip can be cut from."""
    random = np.random.default_rng(3)
    path = site.folder / "camera.avi"
    write_clip(
        path, [(sample_scene(Subject("red", "star", "up"), random), EVENT_S)], 96, 64, 12, random
    )
    with site.service.client() as client:
        answer = upload(client, path, metadata='{"kind": "avi"}').json()
        assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        yield answer["video"]["id"]
        client.delete(f"/v1/collections/default/videos/{answer['video']['id']}")


def open_first(page: Page) -> None:
    """Open the best moment that was found."""
    page.locator("a.shot").first.click()
    page.get_by_role("dialog").wait_for()


def test_what_cannot_be_played_or_cut_can_be_downloaded(open_page: OpenPage, site: Site, avi: str):
    """The reason stands beside the button that does nothing, and the file comes as it was."""
    with open_page("phone", "dark") as seen:
        page = seen.page
        seen.visit('/?q=a+red+star&f=["kind","eq","avi"]')
        open_first(page)
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("alert")).to_contain_text("cannot play this video")
        expect(dialog.get_by_role("button", name="Save clip")).to_be_disabled()
        expect(dialog).to_contain_text("No clips of h264 in avi")
        seen.picture("unplayable")
        seen.assert_accessible()
        with page.expect_download() as coming:
            dialog.locator(".about").get_by_role("link", name="Download original").click()
        assert coming.value.suggested_filename == "camera.avi"
        original = (site.folder / "camera.avi").read_bytes()
        assert coming.value.path().read_bytes() == original
        seen.visit(f"/video/{avi}")
        expect(page.get_by_role("link", name="Download original")).to_have_count(2)


def test_a_clip_is_saved_under_its_name_or_the_reason_is_said(open_page: OpenPage):
    """The browser gets a file that is named after its video; no refusal becomes a file."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+red+circle+moving+left")
        open_first(page)
        save = page.get_by_role("button", name="Save clip")
        with page.expect_download() as coming:
            save.click()
        assert re.fullmatch(r"circle 0\.00-\d\.\d\d\.mp4", coming.value.suggested_filename)
        assert b"ftyp" in coming.value.path().read_bytes()[:16]
        refusal = '{"code": "not_cuttable", "detail": "No key frame was found."}'
        page.route("**/clip?*", lambda route: route.fulfill(status=422, body=refusal))
        save.click()
        expect(page.locator(".about").get_by_role("alert")).to_have_text("No key frame was found.")
        seen.assert_accessible()


def test_two_confidences_do_not_pass_for_one(open_page: OpenPage):
    """Among all videos in the list, and within this one over the strip, which says so."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+red+circle+moving+left")
        open_first(page)
        expect(page.locator(".heat figcaption")).to_contain_text(
            re.compile(r"%\s+confidence within this video")
        )
        bars = page.locator(".strip .piece title").all_text_contents()
        assert bars
        assert all(bar.endswith("confidence within this video") for bar in bars)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_nothing_moves_while_a_moment_loads(open_page: OpenPage, size: Size):
    """The picture stands in for the video, and the controls are where they will be."""
    held: list[Route] = []
    is_open = False

    def hold(route: Route) -> None:
        if is_open:
            route.continue_()
        else:
            held.append(route)

    with open_page(size, "light") as seen:
        page = seen.page
        page.route(re.compile("/heatmap|/content"), hold)
        seen.visit("/?q=a+red+circle+moving+left")
        open_first(page)
        poster = page.locator(".screen video").get_attribute("poster")
        assert poster is not None
        assert "/thumbnail?t=" in poster
        controls = page.locator(".controls")
        before = controls.bounding_box()
        seen.picture("loading-moment")
        while not any("/heatmap" in each.request.url for each in held):
            page.wait_for_timeout(20)
        is_open = True
        for each in held:
            each.continue_()
        page.locator(".heat .query").wait_for()
        wait_until(page, "document.querySelector('.screen video').readyState >= 2")
        assert controls.bounding_box() == before


def test_labels_have_a_confidence_of_their_own(open_page: OpenPage, site: Site):
    """Where none fits each is low, one alone is enough, and the old comparison is a choice."""
    address = f"/video/{site.videos['circle.mp4']}?label=a+green+star&label=a+white+ring"
    with open_page("phone", "light") as seen:
        page = seen.page
        seen.visit(address + "&label=a+red+circle+moving+left")
        labels = page.locator(".labels > li")
        best = labels.first
        expect(best).to_contain_text("a red circle")
        expect(best.locator(".value")).to_contain_text(re.compile(r"%\s+confidence"))
        assert percent(best.locator("b").inner_text()) > 50
        best.get_by_role("button", name="Remove").click()
        expect(labels).to_have_count(2)
        assert all(percent(each) < 30 for each in labels.locator("b").all_inner_texts())
        labels.last.get_by_role("button", name="Remove").click()
        expect(labels).to_have_count(1)
        expect(labels.locator("b")).to_contain_text("%")
        seen.picture("labels-many")
        seen.assert_accessible()
        seen.visit(address)
        page.get_by_label("Applies").select_option("exactly one of them")
        expect(page.locator("main")).to_contain_text("Together they add up to 100 %")
        assert sum(map(percent, labels.locator("b").all_inner_texts())) == pytest.approx(100, abs=1)


def percent(written: str) -> float:
    """The number in what the page writes."""
    return float(re.sub(r"[^\d.]", "", written))


def test_labels_without_a_calibration_are_compared(open_page: OpenPage, site: Site):
    """And the page says that it does so."""

    def refuse(route: Route) -> None:
        if route.request.post_data_json["mode"] == "single":
            route.continue_()
            return
        body = '{"code": "not_calibrated", "detail": "No confidence is known."}'
        route.fulfill(status=409, body=body)

    with open_page("desktop", "light") as seen:
        page = seen.page
        page.route("**/classify", refuse)
        seen.visit(f"/video/{site.videos['circle.mp4']}?label=a+red+circle&label=a+blue+ring")
        expect(page.locator("main")).to_contain_text("No confidence is known for this model, so")
        expect(page.locator(".labels > li")).to_have_count(2)
