"""What each view promises beside the main job: addresses, states, keys, drops, previews."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.browser import SLOW, Scheme, Size, Watched, throttle, wait_until
from tests.web.conftest import EVENT_S, OpenPage, Site

QUERY = "a red circle moving left"
FOUND = f"/?q={QUERY.replace(' ', '+')}"
SEARCH = "**/v1/collections/default/search"
CUT_AT = 50_000  # bytes
ABSTAINING = "/?q=a+dog+catching+a+frisbee&sure=1"


def cards(page: Page):
    return page.locator("ol.cards .card")


STATES = {
    "welcome": ("/", "Newest videos"),
    "filtered-out": (f'{FOUND}&f=["camera","eq","south"]', "The filters leave nothing"),
    "nothing": (ABSTAINING, "Most likely nothing here shows this"),
    "unsure": ("/?q=a+dog+catching+a+frisbee", "Probably not here"),
    "then": ("/?q=a+cyan+ring&then=a+green+circle", "within 30 s"),
    "jobs": ("/jobs", "ready to search"),
    "no-jobs": ("/jobs?status=running", "No jobs with this status"),
    "no-videos": ("/library?status=failed", "No videos have failed"),
    "settings": ("/settings", "All checks pass."),
    "gone": ("/video/vid_none", "This collection has no such video"),
    "lost": ("/nowhere", "This page does not exist"),
    "lost-name": ("constructor", "This page does not exist"),  # which every object has
}


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_every_view_and_state_says_what_it_is(open_page: OpenPage, size: Size, scheme: Scheme):
    """In words, readable in light and dark, with nothing that axe finds wrong."""
    with open_page(size, scheme) as seen:
        seen.visit("/library")
        for name, (address, shown) in STATES.items():
            seen.turn_to(address)
            expect(seen.page.locator("main")).to_contain_text(shown)
            seen.picture(name)
            seen.assert_accessible()


def test_why_nothing_was_found_names_the_nearest(open_page: OpenPage):
    """How many were compared, how sure the nearest is; one step shows it all the same."""
    with open_page("desktop", "light") as seen:
        seen.visit(ABSTAINING)
        notice = seen.page.locator(".notice")
        expect(notice).to_contain_text(re.compile(r"none reaches\s+50\s%\s+confidence"))
        expect(notice).to_contain_text(re.compile(r"The nearest, in \w+\.mp4, has .+% confidence"))
        notice.get_by_role("link", name="Show the nearest anyway").click()
        expect(cards(seen.page).first).to_be_visible()


def test_the_address_brings_everything_back(open_page: OpenPage, site: Site):
    """Query, filter, options and the opened hit; back closes it, and forward opens it again."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(f'{FOUND}&byvideo=1&f=["kind","ne","three"]')
        expect(cards(page)).to_have_count(2)
        expect(page.get_by_role("list", name="What narrows")).to_contain_text("kind is not three")
        expect(page.get_by_role("button", name="One per video")).to_have_attribute(
            "aria-pressed", "true"
        )
        page.locator("a.shot").first.click()
        page.get_by_role("dialog").wait_for()
        page.reload()
        expect(page.get_by_role("dialog", name="circle.mp4, 0:00 – 0:05")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("dialog")).not_to_be_visible()
        expect(cards(page)).to_have_count(2)
        page.go_forward()
        expect(page.get_by_role("dialog")).to_be_visible()


def test_filters_are_tokens_that_can_be_taken_away(open_page: OpenPage):
    """A filter is put together from the metadata that there is; its token has a button."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(FOUND)
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_label("Field").fill("kind")
        expect(page.locator("#fields option[value=kind]")).to_be_attached()
        page.get_by_label("Value").fill("square")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(cards(page)).to_have_count(1)
        expect(cards(page)).to_contain_text("square.mp4")
        page.get_by_role("button", name="Remove: kind is square").click()
        expect(cards(page).nth(1)).to_be_visible()


def test_searches_are_kept_by_this_browser(open_page: OpenPage):
    """The recent ones by themselves, saved ones for as long as they are wanted."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(FOUND)
        page.get_by_role("button", name="Save search").click()
        seen.visit("/?q=a+blue+square")
        cards(page).first.wait_for()
        seen.visit("/")
        expect(page.locator(".kept")).to_contain_text(re.compile("Saved.*red circle.*Recent.*blue"))
        page.get_by_role("link", name=f"“{QUERY}”").click()
        expect(cards(page).first).to_contain_text("circle.mp4")


def test_a_card_plays_its_moment_while_it_is_pointed_at(open_page: OpenPage):
    """Muted, from its start, and no longer than the pointer rests on it."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/?q=a+green+circle+moving+up&sure=1")
        card = cards(page).first
        card.locator(".shot").hover()
        preview = card.locator("video.shown")
        preview.wait_for()
        start, end = 2.5, 15.0  # of all moments of three.mp4 that show any of it
        now = preview.evaluate("v => [v.muted, v.paused, v.currentTime]")
        assert now[:2] == [True, False]
        assert start <= now[2] <= end
        page.mouse.move(0, 0)
        expect(card.locator("video")).to_have_count(0)


def test_the_video_seeks_by_ranges(open_page: OpenPage, site: Site):
    """The scrubber reaches any place, and the service answers 206."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(f"/video/{site.videos['three.mp4']}")
        wait_until(page, "document.querySelector('video').readyState >= 2")
        for place in (12.5, 3.0):
            page.get_by_label("Position in the video").fill(str(place))
            wait_until(
                page,
                "at => (v => !v.seeking && v.readyState >= 2 && Math.abs(v.currentTime - at) < 0.1)"
                "(document.querySelector('video'))",
                place,
            )
        assert seen.partial_answers("/content")
        page.get_by_role("button", name="Play 0:05 – 0:10").click()
        wait_until(page, "document.querySelector('video').currentTime > 5.1")


def test_a_search_within_a_video_shows_when(open_page: OpenPage, site: Site):
    """The strip's highest place is where it happens; a click on it goes there."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(f"/video/{site.videos['three.mp4']}")
        page.get_by_label("What happens in this video").fill("a white square growing")
        page.keyboard.press("Enter")
        strip = page.get_by_role("img", name="Score over time")
        strip.click(position={"x": strip.bounding_box()["width"] * 0.9, "y": 10})
        wait_until(
            page, "from => document.querySelector('video').currentTime > from", 2.5 * EVENT_S
        )
        seen.picture("video")


def test_the_scrubber_shows_what_it_points_at(open_page: OpenPage, site: Site):
    """A picture of that moment and its time, as long as a pointer is there."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(f"/video/{site.videos['three.mp4']}")
        scrubber = page.get_by_label("Position in the video")
        pictures = [page.evaluate("document.createElement('canvas').toDataURL()")]
        for share in (0.1, 0.9):
            box = scrubber.bounding_box()
            page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            peek = page.locator(".peek")
            expect(peek).to_contain_text("0:01" if share < 0.5 else "0:13")
            pictures.append(peek.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
            seen.picture(f"peek-{share}")
        assert len({*pictures}) == 3
        page.mouse.move(5, 5)
        expect(peek).to_have_count(0)


def test_everything_goes_by_keyboard(open_page: OpenPage):
    """A way past the frame, / to the query, arrows between cards, and the focus comes back."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/jobs")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        for name in ("X-CLIP Search", "Search", "Library", "Jobs", "Settings"):
            page.keyboard.press("Tab")
            expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
        seen.visit(FOUND)
        cards(page).first.wait_for()
        page.locator("a.shot").first.focus()
        page.keyboard.press("/")
        expect(page.get_by_label("Describe the moments to find")).to_be_focused()
        page.locator("a.shot").first.focus()
        page.keyboard.press("ArrowRight")
        second = page.locator("a.shot").nth(1)
        expect(second).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(second).to_be_focused()


def test_a_refusal_is_said_in_words_and_can_be_tried_again(open_page: OpenPage):
    """The service's own sentence and code; and where nothing answers at all, that."""
    problem = {"status": 503, "code": "worker_unavailable", "detail": "The model does not run."}

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body=json.dumps(problem), headers={"retry-after": "5"})

    with open_page("desktop", "dark") as seen:
        page = seen.page
        page.route(SEARCH, refuse)
        seen.visit(FOUND)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The model does not run. worker_unavailable")
        expect(alert).to_contain_text("Try again in 5 s")
        seen.picture("refused")
        seen.assert_accessible()
        page.unroute(SEARCH)
        page.route(SEARCH, lambda route: route.abort())
        alert.get_by_role("button", name="Try again").click()
        expect(alert).to_contain_text("The service cannot be reached.")
        page.unroute(SEARCH)
        alert.get_by_role("button", name="Try again").click()
        expect(cards(page).first).to_be_visible()


def test_dropped_files_come_in_and_what_fails_says_why(open_page: OpenPage):
    """Of a drop the videos are taken; one that is none inside fails with the decoder's sentence."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/")
        page.evaluate(
            """() => {
              const held = new DataTransfer();
              held.items.add(new File(["no video at all"], "broken.mp4", { type: "video/mp4" }));
              held.items.add(new File(["notes"], "notes.txt", { type: "text/plain" }));
              document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
            }"""
        )
        row = page.locator(".uploads .row")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("failed")
        expect(row.locator(".why")).not_to_be_empty()
        seen.picture("failed")
        seen.assert_accessible()
        row.get_by_role("button", name="Retry broken.mp4").click()
        expect(row).to_contain_text("failed")
        remove(seen, "broken.mp4")


def test_an_upload_goes_on_where_it_was_cut(open_page: OpenPage, site: Site):
    """A cut is said, and leaves what came; a retry sends the rest only."""
    came = site.new.read_bytes()[:CUT_AT]

    def cut(route: Route) -> None:
        if route.request.method != "PATCH":
            route.continue_()
            return
        tus = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}
        headers = {**tus, "upload-offset": "0"}
        assert (
            httpx.patch(route.request.url, content=came, headers=headers, timeout=120).status_code
            == 204
        )
        route.abort("connectionreset")

    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/library")
        page.route("**/v1/uploads/*", cut)
        page.locator("#files").set_input_files(site.new)
        row = page.locator(".uploads .row")
        expect(row).to_contain_text("The connection was cut.")
        page.unroute("**/v1/uploads/*")
        with page.expect_request(lambda sent: sent.method == "PATCH") as sent:
            row.get_by_role("button", name="Retry new.mp4").click()
        assert sent.value.headers["upload-offset"] == str(CUT_AT)
        expect(row).to_contain_text("ready to search")
        remove(seen, "new.mp4")


def test_an_upload_can_be_stopped(open_page: OpenPage, site: Site):
    """Nothing of it stays, and it can be begun again."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit("/library")
        throttle(page, SLOW | {"uploadThroughput": 4_000})
        page.locator("#files").set_input_files(site.new)
        row = page.locator(".uploads .row")
        expect(row).to_contain_text("sending, ")
        row.get_by_role("button", name="Cancel new.mp4").click()
        expect(row).to_contain_text("canceled")
        expect(row.get_by_role("button", name="Retry new.mp4")).to_be_visible()


def remove(seen: Watched, filename: str) -> None:
    """Take a video out again through the API, as other tests count what there is."""
    seen.page.evaluate(
        """async (filename) => {
          const videos = "/v1/collections/default/videos";
          const { items } = await (await fetch(videos)).json();
          for (const video of items.filter((each) => each.filename === filename)) {
            await fetch(`${videos}/${video.id}`, { method: "DELETE" });
          }
        }""",
        filename,
    )


def test_a_key_is_asked_for_once_and_opens_pictures_too(open_page: OpenPage, site: Site):
    """A wrong one is refused in words; a right one lasts for the tab, pictures included."""
    key = site.service.create_key("write")
    try:
        with open_page("desktop", "dark") as seen:
            page = seen.page
            seen.visit(FOUND)
            dialog = page.get_by_role("dialog", name="This service asks for a key")
            dialog.get_by_label("Key").fill("xclip_wrong")
            dialog.get_by_role("button", name="Use key").click()
            expect(dialog.get_by_role("alert")).not_to_be_empty()
            seen.picture("key")
            seen.assert_accessible()
            dialog.get_by_label("Key").fill(key)
            dialog.get_by_role("button", name="Use key").click()
            expect(cards(page).first).to_be_visible()
            wait_until(page, "document.querySelector('.cards img').naturalWidth > 0")
            page.reload()
            expect(cards(page).first).to_be_visible()
            page.get_by_role("link", name="Settings").click()
            expect(page.locator("main")).to_contain_text("The tabs of this page hold a key")
            page.get_by_role("button", name="Forget the key").click()
            expect(dialog).to_be_visible()
    finally:
        for key_id in re.findall(r"key_\w+", site.service.command("keys", "list").stdout):
            site.service.command("keys", "revoke", key_id)


def test_the_first_load_is_small(open_page: OpenPage):
    """Page, styles and scripts as they travel; pictures of videos not counted."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        sizes: dict[str, float] = {}
        names: dict[str, str] = {}
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.on(
            "Network.responseReceived",
            lambda e: names.update({e["requestId"]: e["response"]["url"]}),
        )
        wire.on(
            "Network.loadingFinished",
            lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}),
        )
        page.goto(seen.url, wait_until="networkidle")
        own = {names[each]: size for each, size in sizes.items() if "/v1/" not in names[each]}
        assert len(own) > 20
        assert sum(own.values()) < 150_000
