"""What a page elsewhere, a false name, or a sniffing browser can do to the service: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.stack import assert_problem
from tests.security.doors import Doors, open_doors

LIST = "/v1/collections"


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("keyless")
    with open_doors(folder, keyed=False, allowed_hosts="clips.example.org") as opened:
        yield opened


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with open_doors(tmp_path_factory.mktemp("keyed")) as opened:
        yield opened


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.8.8.8",
     "clips.example.org", "Clips.Example.org:443"],
)  # fmt: skip
def test_names_of_this_machine_and_those_allowed_are_served(keyless: Doors, host: str):
    """Whatever this machine calls itself, and what the operator calls it."""
    assert keyless.api.get(LIST, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
     "192.168.1.7", "0.0.0.0", "[::", "", "evil.example@127.0.0.1x", "clips.example.org.evil"],
)  # fmt: skip
@pytest.mark.parametrize("path", [LIST, "/", "/readyz"])
def test_without_keys_a_name_that_was_pointed_here_is_refused(keyless: Doors, host: str, path: str):
    """DNS rebinding: the page was loaded from that name, which now means this machine."""
    assert_problem(keyless.api.get(path, headers={"host": host}), 421, "host_not_allowed")


def test_with_keys_the_name_does_not_matter(keyed: Doors):
    """Whoever shows a key was not led here by a trick; behind a proxy the name is the proxy's."""
    answer = keyed.api.get(LIST, headers=keyed.keys["read"] | {"host": "clips.example.org"})
    assert answer.status_code == 200


CROSS_SITE = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "origin": "https://evil.example",
    },
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": "http://127.0.0.1:3000"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
def test_a_page_of_another_site_changes_nothing(
    keyless: Doors, keyed: Doors, headers: dict[str, str]
):
    """Forms, scripts and frames elsewhere: refused with a key and without any."""
    path = f"{LIST}/planted"
    assert_problem(keyless.api.put(path, headers=headers), 403, "cross_site")
    answer = keyed.api.put(path, headers=headers | keyed.keys["admin"])
    assert_problem(answer, 403, "cross_site")
    assert keyless.api.get(path).status_code == 404


@pytest.mark.parametrize("headers", CROSS_SITE[:4], ids=str)
def test_nor_does_it_read_anything(keyless: Doors, headers: dict[str, str]):
    """A picture or a script from here does not load in a page elsewhere."""
    assert_problem(keyless.api.get(LIST, headers=headers), 403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1"},
        {"origin": "https://clips.example.org"},
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1"},
        {"sec-fetch-site": "same-origin", "origin": "https://proxied.example"},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
    ids=str,
)
def test_the_own_page_links_and_programs_are_let_in(keyless: Doors, headers: dict[str, str]):
    """What no page elsewhere can send, and a link from it."""
    assert keyless.api.get(LIST, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", LIST, "/v1/nothing", "/static/app.js", "/livez"])
def test_every_answer_carries_the_headers(keyless: Doors, path: str):
    """Pages, files, answers and refusals alike."""
    headers = keyless.api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    scripts = "default-src 'self'" if path in ("/", "/docs") else "default-src 'none'"
    assert policy.startswith(scripts)
    assert "script-src" not in policy  # so the default holds: no inline script anywhere
    if "json" in headers["content-type"]:
        assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_a_refusal_at_the_door_carries_them_too(keyed: Doors):
    """And an id, so that it can be found in the log."""
    answer = keyed.api.get(LIST, headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (401, "mine")
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_page_of_the_api_loads_nothing_from_elsewhere(keyless: Doors):
    """Its scripts and styles come from the package, and no validator elsewhere is asked."""
    page = keyless.api.get("/docs").text
    assert "//" not in page
    for path in ("/swagger/swagger-ui-bundle.js", "/swagger/swagger-ui.css", "/static/docs.js"):
        assert f'"{path}"' in page
        assert keyless.api.get(path).status_code == 200
    assert "validatorUrl: null" in keyless.api.get("/static/docs.js").text
