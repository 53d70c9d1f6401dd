"""The page's JavaScript modules, imported one by one in Chromium without a service."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Route

from app.routes.page import WEB_FOLDER

ORIGIN = "http://page.test"
Evaluate = Callable[..., Any]


@contextmanager
def importing(browser: Browser) -> Iterator[Evaluate]:
    """`evaluate("query.js", "({ valueOf }, x) => valueOf(x)", x)` calls what a module exports."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin")
    context.route(f"{ORIGIN}/**", _serve)
    page = context.new_page()
    page.goto(f"{ORIGIN}/")

    def call(module: str, function: str, argument: object = None) -> Any:
        script = f"async (given) => ({function})(await import('/static/{module}'), given)"
        return page.evaluate(script, argument)

    yield call
    context.close()


def _serve(route: Route) -> None:
    """Answer with a file of the page, or with an empty document for the root."""
    name = route.request.url.removeprefix(f"{ORIGIN}/").partition("?")[0]
    if not name.startswith("static/"):
        route.fulfill(body="<!doctype html><title>test</title>", content_type="text/html")
        return
    path = WEB_FOLDER / name.removeprefix("static/")
    route.fulfill(body=path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0])
