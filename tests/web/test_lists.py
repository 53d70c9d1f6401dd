"""Lists that come in pages: each page once, kept for the way back, true while the world moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.service import all_items, upload, wait_for_job
from tests.web.browser import Watched, wait_until
from tests.web.conftest import OpenPage, Site

FINE = "fine"  # a collection whose windows are so short that one video has several pages of them
SEARCH = f"/?c={FINE}&q=a+green+circle&windows=1"
ON_A_PAGE = 24
PRESS_UNTIL_GONE = """() => {
  const button = document.querySelector(".more button");
  button?.click();
  return !button;
}"""


@pytest.fixture(scope="module")
def fine(site: Site) -> Iterator[str]:
    """The name of a collection in which a search has three pages."""
    with site.service.client() as client:
        client.put(f"/v1/collections/{FINE}", json={"window_s": 1, "stride_s": 0.2})
        answer = upload(client, site.folder / "three.mp4", collection=FINE).json()
        assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        yield FINE
        client.delete(f"/v1/collections/{FINE}")


def cards(page: Page):
    """The cards of the list that is shown."""
    return page.locator("main .cards:not(.waiting) > .card")


def in_pages_of(count: int, page: Page, path: str) -> list[str]:
    """Let a list's requests ask for so few items; returns the cursors that are sent from now on."""
    cursors: list[str] = []

    def ask(route: Route) -> None:
        url = urlsplit(route.request.url)
        given = parse_qs(url.query)
        cursors.extend(given.get("cursor", []))
        limited = url.query.replace(f"limit={given['limit'][0]}", f"limit={count}")
        route.continue_(url=url._replace(query=limited).geturl())

    page.route(lambda url: urlsplit(url).path == path and "limit=" in url, ask)
    return cursors


def test_show_more_twice_shows_a_page_once(open_page: OpenPage, fine: str):
    """However fast the presses, no cursor is sent twice and no result is shown twice."""
    cursors: list[str] = []
    with open_page("desktop", "light") as seen:
        page = seen.page

        def note(route: Route) -> None:
            cursors.append(route.request.post_data_json["cursor"])
            route.continue_()

        page.route(f"**/collections/{FINE}/search", note)
        seen.visit(SEARCH)
        more = page.locator(".more button")
        more.evaluate("button => { for (let turn = 0; turn < 5; turn += 1) button.click(); }")
        expect(cards(page).nth(ON_A_PAGE)).to_be_attached()
        more.dblclick()
        expect(more).to_have_count(0)
        shown = page.locator("a.shot").evaluate_all("all => all.map((each) => each.href)")
        assert len(shown) == len(set(shown)) > 2 * ON_A_PAGE
        assert len(cursors) == len(set(cursors)) == 3
        # The button is gone, and the keyboard goes on where the new results begin.
        expect(page.locator("a.shot").nth(2 * ON_A_PAGE)).to_be_focused()


@pytest.mark.parametrize(
    ("address", "path", "items"),
    [
        ("/library", "/v1/collections/default/videos", ".cards > .card"),
        ("/jobs", "/v1/jobs", ".rows > .row"),
    ],
)
def test_lists_show_a_page_once_too(
    open_page: OpenPage, site: Site, address: str, path: str, items: str
):
    """Of videos as of jobs."""
    with open_page("desktop", "light") as seen, site.service.client() as client:
        which = {"collection": "default"} if path == "/v1/jobs" else {}
        total = len(client.get(path, params={"limit": 200, **which}).json()["items"])
        page = seen.page
        cursors = in_pages_of(1, page, path)
        seen.visit(address)
        more = page.locator(".more button")
        more.dblclick()
        wait_until(page, PRESS_UNTIL_GONE)
        assert page.locator(f"main {items}").count() == total
        assert len(cursors) == len(set(cursors)) == total - 1


def test_a_page_that_fails_can_be_asked_for_again(open_page: OpenPage, fine: str):
    """What was shown stays, and the reason stands where the page would have come."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(SEARCH)
        expect(cards(page)).to_have_count(ON_A_PAGE)
        page.route(f"**/collections/{FINE}/search", lambda route: route.abort())
        page.get_by_role("button", name="Show more").click()
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        seen.assert_accessible()
        page.unroute(f"**/collections/{FINE}/search")
        page.get_by_role("button", name="Show more").click()
        expect(cards(page).nth(ON_A_PAGE)).to_be_attached()
        expect(page.get_by_role("alert")).to_have_count(0)


def by_card(seen: Watched) -> None:
    """To a video, by the last card that is shown, and back."""
    page = seen.page
    page.locator("a.shot").last.click()
    page.get_by_role("link", name="Whole video").click()
    expect(page.get_by_role("heading", level=1, name="three.mp4")).to_be_visible()
    page.go_back()
    page.go_back()


def by_reload(seen: Watched) -> None:
    """The browser loads the page anew."""
    seen.page.reload()


def by_another_page(seen: Watched) -> None:
    """To the reference of the API, which is a page of its own, and back."""
    seen.page.evaluate("location.href = '/docs'")
    seen.page.locator(".swagger-ui").first.wait_for()
    seen.page.go_back()


@pytest.mark.parametrize("away", [by_card, by_reload, by_another_page])
def test_the_way_back_leads_to_the_same_place(
    open_page: OpenPage, fine: str, away: Callable[[Watched], None]
):
    """As many results as before, and as far down among them."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(SEARCH)
        for shown in (2, 3):
            page.get_by_role("button", name="Show more").click()
            expect(cards(page).nth((shown - 1) * ON_A_PAGE)).to_be_attached()
        page.locator("a.shot").last.scroll_into_view_if_needed()
        count = cards(page).count()
        place = page.evaluate("scrollY")
        assert place > 1000
        away(seen)
        expect(cards(page)).to_have_count(count)
        expect(page.get_by_role("dialog")).to_have_count(0)
        wait_until(page, "place => Math.abs(scrollY - place) < 3", place)


def test_a_new_view_begins_at_its_top(open_page: OpenPage, fine: str):
    """And so does a new search that was begun further down."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        seen.visit(SEARCH)
        cards(page).last.get_by_role("button", name="More like").click()
        wait_until(page, "location.hash.includes('like=') && scrollY === 0")
        page.go_back()
        wait_until(page, "scrollY > 500")
        page.get_by_role("link", name="Library").click()
        wait_until(page, "scrollY === 0")


def test_lists_follow_what_others_do(open_page: OpenPage, site: Site):
    """A video that comes by another way, its job, its end of processing and its deletion."""
    with open_page("desktop", "light") as seen, site.service.client() as client:
        library = seen.page
        seen.visit("/library")
        jobs = library.context.new_page()
        jobs.goto(f"{seen.url}/#/jobs")
        expect(jobs.locator(".rows .row").first).to_be_visible()
        answer = upload(client, site.new).json()
        card = library.get_by_role("list", name="Videos").locator(".card", has_text="new.mp4")
        expect(card.locator(".length")).to_be_visible()
        row = jobs.locator(".rows .row", has_text="new.mp4")
        expect(row).to_contain_text("ready to search")
        path = f"/v1/collections/default/videos/{answer['video']['id']}"
        client.patch(path, json={"metadata": {"camera": "moved"}})
        library.goto(f"{seen.url}/#/video/{answer['video']['id']}")
        expect(library.locator(".facts.given")).to_contain_text("moved")
        client.patch(path, json={"metadata": {"camera": "moved again"}})
        expect(library.locator(".facts.given")).to_contain_text("moved again")
        client.delete(path)
        expect(library.locator("main")).to_contain_text("This collection has no such video")


def test_of_many_files_those_that_failed_come_first(open_page: OpenPage, site: Site):
    """All of them with their reasons; what is done is a number that can be opened."""
    content = site.folder.joinpath("circle.mp4").read_bytes()
    files = [
        {"name": f"same-{index}.mp4", "mimeType": "video/mp4", "buffer": content}
        for index in range(6)
    ]
    files[2:2] = [
        {"name": f"broken-{index}.mp4", "mimeType": "video/mp4", "buffer": b"none %d" % index}
        for index in range(3)
    ]
    with open_page("phone", "dark") as seen, site.service.client() as client:
        page = seen.page
        seen.visit("/library")
        page.locator("#files").set_input_files(files)
        uploads = page.locator(".uploads")
        expect(uploads.get_by_role("status")).to_contain_text("9 files done, 3 failed")
        rows = uploads.locator(".row")
        expect(rows).to_have_count(3)
        expect(rows.locator(".why")).to_have_count(3)
        seen.picture("many-uploads")
        seen.assert_accessible()
        uploads.get_by_text("6 files ready to search").click()
        expect(rows).to_have_count(9)
        remove_others(client, site)


def in_large_pages(route: Route) -> None:
    """Let a search ask for a hundred results at a time."""
    route.continue_(post_data=json.dumps(route.request.post_data_json | {"top_k": 100}))


def test_the_end_of_the_results_is_said(open_page: OpenPage, site: Site, fine: str):
    """Whether every segment was compared, or only the candidates of a larger collection."""
    with site.service.client() as client, open_page("phone", "light") as seen:
        client.put("/v1/collections/finest", json={"window_s": 1, "stride_s": 0.1})
        for name in site.videos:
            answer = upload(client, site.folder / name, collection="finest").json()
            assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        page = seen.page
        seen.visit(SEARCH)
        cards(page).first.wait_for()
        wait_until(page, PRESS_UNTIL_GONE)
        expect(page.locator(".end")).to_contain_text("That is all: the search compared every one")
        page.route("**/collections/finest/search", in_large_pages)
        seen.visit(SEARCH.replace(FINE, "finest"))
        expect(page.locator(".outcome")).to_contain_text("not all compared")
        cards(page).first.wait_for()
        wait_until(page, PRESS_UNTIL_GONE)
        expect(page.locator(".end")).to_contain_text("The results end here with the 200 nearest")
        page.locator(".end").scroll_into_view_if_needed()
        seen.picture("end-of-results")
        client.delete("/v1/collections/finest")


OVERLAPS = """() => [...document.querySelectorAll(".badges")].filter((badges) => {
  const [one, other] = [...badges.children].map((each) => each.getBoundingClientRect());
  const shot = badges.parentElement.getBoundingClientRect();
  return (one.right > other.left && one.bottom > other.top && other.bottom > one.top)
    || other.left < shot.left || one.top < shot.top || other.top < shot.top;
}).length"""
COLUMNS = """() => getComputedStyle(document.querySelector("main .cards"))
  .gridTemplateColumns.split(" ").length"""
USED = """() => {
  const boxes = [...document.querySelectorAll("main .card")]
    .map((each) => each.getBoundingClientRect());
  return (Math.max(...boxes.map(({ right }) => right)) - boxes[0].left) / innerWidth;
}"""


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1600, 2560])
def test_cards_fill_every_width(open_page: OpenPage, fine: str, width: int):
    """Without a hole in a row, without badges over each other, and without sideways scrolling."""
    with open_page("desktop", "light") as seen:
        page = seen.page
        page.set_viewport_size({"width": width, "height": 900})
        long = {"start": 3723.4, "end": 3728.9, "confidence": 0.995}

        def lengthen(route: Route) -> None:
            answer = route.fetch()
            found = answer.json()
            found["results"] = [each | long for each in found["results"]]
            route.fulfill(response=answer, json=found)

        page.route(f"**/collections/{FINE}/search", lengthen)
        seen.visit(SEARCH)
        expect(cards(page)).to_have_count(ON_A_PAGE)
        assert page.evaluate(OVERLAPS) == 0
        assert ON_A_PAGE % page.evaluate(COLUMNS) == 0
        assert page.evaluate(USED) > 0.88
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        seen.picture(f"results-{width}")
        seen.assert_accessible()


def remove_others(client: httpx.Client, site: Site) -> None:
    """Delete the videos that do not belong to the site, as other tests count what there is."""
    for video in all_items(client, "/v1/collections/default/videos"):
        if video["id"] not in site.videos.values():
            client.delete(f"/v1/collections/default/videos/{video['id']}")
