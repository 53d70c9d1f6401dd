"""Keys and what they open: from the text to the answer, with a clock that is moved by hand."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Catalog
from app.security.access_table import covers
from app.security.api_keys import create_key, owner_of
from app.security.rate_limits import ConcurrencyLimit, TokenBuckets
from app.security.session import COOKIE, LIFE_S, Sessions
from tests.app.catalog.samples import HandClock
from tests.app.stack import assert_problem
from tests.security.doors import SCOPES, new_key, open_doors

LIST = "/v1/collections"
CONTENT = "/v1/collections/default/videos/vid_none/content"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def catalog(tmp_path: Path, clock: HandClock):
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}", clock=clock) as opened:
        yield opened


def test_a_key_is_its_owners_and_nothing_of_its_secret_is_kept(catalog: Catalog, clock: HandClock):
    """The row holds the SHA-256 of the secret; the text leads back to the row."""
    key, text = create_key(catalog, "camera", "write", requests_per_minute=7)
    prefix, id_part, secret = text.split("_")
    assert (prefix, f"key_{id_part}", len(secret)) == ("xclip", key.id, 64)
    assert catalog.list_keys() == catalog.keys_in_force() == [key]
    assert key.hash == hashlib.sha256(secret.encode()).digest()
    assert (key.scope, key.requests_per_minute, key.concurrent_requests) == ("write", 7, None)
    assert owner_of(text.encode(), {key.id: key}, clock.now()) == key


def test_what_is_not_a_key_belongs_to_nobody(catalog: Catalog, clock: HandClock):
    """Another secret, another id, other letters, more and less of it, and another's secret."""
    (key, text), (other, another) = (create_key(catalog, name, "admin") for name in "ab")
    keys = {key.id: key, other.id: other}
    secret = text.rpartition("_")[2]
    for wrong in (
        text[:-1],
        text + "0",
        text.upper(),
        text.replace("xclip", "xclap"),
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        another.replace(another.rpartition("_")[2], secret),
        f"xclip_{'0' * 26}_{secret}",
        f"{text}\n",
        "",
        "é" * 97,
    ):
        assert owner_of(wrong.encode(), keys, clock.now()) is None, wrong


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_key(text: bytes):
    """Whatever stands in the header is a wrong key at worst."""
    assert owner_of(text, {}, HandClock().now()) is None


def test_secrets_are_compared_in_constant_time_as_bytes():
    """By construction: no module of the doors compares digests or signatures with == or !=."""
    for module in (
        "app/security/api_keys.py",
        "app/security/session.py",
        "app/worker/middleware.py",
    ):
        tree = ast.parse((Path(__file__).parents[2] / module).read_text())
        assert "compare_digest" in ast.dump(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                secret = re.search("hash|digest|signature|secret|sent", ast.unparse(node))
                assert not secret, f"{module}:{node.lineno} compares with =="


def test_making_and_revoking_count_within_a_second(tmp_path: Path, clock: HandClock):
    """The first key closes the service to everybody else; the last one revoked opens it again."""
    with open_doors(tmp_path, clock=clock, keyed=False) as doors:
        assert doors.api.get(LIST).status_code == 200
        key = new_key(doors.catalog)
        clock.advance(1.1)
        assert_problem(doors.api.get(LIST), 401, "key_missing")
        assert doors.api.get(LIST, headers=key).status_code == 200
        doors.catalog.revoke_key(doors.catalog.keys_in_force()[0].id)
        clock.advance(1.1)
        assert doors.api.get(LIST).status_code == 200


def test_a_key_ends_by_itself_and_opens_nothing_by_that(tmp_path: Path, clock: HandClock):
    """Nobody decided to open the service when the last key came of age."""
    with open_doors(tmp_path, clock=clock, keyed=False) as doors:
        key = new_key(doors.catalog, expires_in_s=3600)
        clock.advance(3599)
        assert doors.api.get(LIST, headers=key).status_code == 200
        clock.advance(1)
        assert_problem(doors.api.get(LIST, headers=key), 401, "key_invalid")
        assert_problem(doors.api.get(LIST), 401, "key_missing")


def test_without_keys_an_address_that_others_reach_serves_nobody(tmp_path: Path, clock: HandClock):
    """The start refuses that; here the last key is revoked while the service runs."""
    with open_doors(tmp_path, clock=clock, host="0.0.0.0") as doors:
        assert doors.api.get(LIST, headers=doors.keys["read"]).status_code == 200
        for key in doors.catalog.keys_in_force():
            doors.catalog.revoke_key(key.id)
        clock.advance(1.1)
        assert_problem(doors.api.get(LIST), 403, "keys_required")
        assert_problem(doors.api.get(LIST, headers=doors.keys["admin"]), 403, "keys_required")
        assert doors.api.get("/livez").status_code == 200
        assert doors.api.get("/readyz").json()["checks"] == {}


def test_other_credentials_are_a_wrong_key(tmp_path: Path):
    """Whatever Authorization says, the answer is a problem and never a 500."""
    with open_doors(tmp_path) as doors:
        for header in ("Basic eDp5", "Bearer", "Bearer  ", "xclip_a_b", "Bearer é", "Bearer a b"):
            answer = doors.api.get(LIST, headers={"authorization": header.encode("latin-1")})
            problem = assert_problem(answer, 401, "key_invalid")
            assert "xclip_a_b" not in problem["detail"]
            assert answer.headers["www-authenticate"].startswith("Bearer")
        right = doors.keys["read"]["authorization"]
        twice = [("authorization", right)] * 2
        assert_problem(doors.api.get(LIST, headers=twice), 401, "key_invalid")
        lower = {"authorization": right.replace("Bearer", "bearer")}
        assert doors.api.get(LIST, headers=lower).status_code == 200


def test_a_key_sends_so_many_a_minute_and_is_told_when_to_come_back(
    tmp_path: Path, clock: HandClock
):
    """Each key has a bucket of its own; its number, or the settings'."""
    with open_doors(tmp_path, clock=clock, keyed=False, key_requests_per_minute=2) as doors:
        few, many = new_key(doors.catalog), new_key(doors.catalog, requests_per_minute=30)
        clock.advance(1.1)
        assert [doors.api.get(LIST, headers=few).status_code for _ in range(3)] == [200, 200, 429]
        refused = doors.api.get(LIST, headers=few)
        assert_problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "30"
        clock.advance(29.9)
        assert doors.api.get(LIST, headers=few).headers["retry-after"] == "1"
        clock.advance(0.2)
        assert doors.api.get(LIST, headers=few).status_code == 200
        assert {doors.api.get(LIST, headers=many).status_code for _ in range(30)} == {200}


def test_wrong_keys_from_one_address_are_bounded_and_right_ones_are_not_locked_out(
    tmp_path: Path, clock: HandClock
):
    """Behind a proxy all share an address: a stranger must not be able to lock its owner out."""
    with open_doors(tmp_path, clock=clock, wrong_keys_per_minute=5) as doors:
        wrong = {"authorization": "Bearer xclip_no"}
        answers = [doors.api.get(LIST, headers=wrong) for _ in range(6)]
        assert {answer.status_code for answer in answers[:-1]} == {401}
        assert_problem(answers[-1], 429, "too_many_wrong_keys")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert doors.api.get(LIST, headers=doors.keys["read"]).status_code == 200
        assert doors.api.get("/livez", headers=wrong).status_code == 200


@given(st.lists(st.floats(0, 90), min_size=1, max_size=60), st.integers(1, 20))
def test_a_bucket_gives_no_more_than_it_holds_and_what_is_refilled(pauses: list[float], rate: int):
    """Over any stretch: one bucketful, and the rate times the time; and waiting is enough."""
    clock = HandClock()
    buckets = TokenBuckets(clock)
    given_out, elapsed = 0, 0.0
    for pause in pauses:
        clock.advance(pause)
        elapsed += pause
        wait = buckets.take("a", rate)
        given_out += wait == 0
        assert given_out <= rate + elapsed * rate / 60 + 1e-3
        if wait:
            clock.advance(wait + 1e-3)
            elapsed += wait + 1e-3
            assert buckets.take("a", rate) == 0
            given_out += 1


def test_strangers_cannot_fill_the_memory():
    """Only so many names are kept, those seen last; who leaves a turnstile is forgotten."""
    buckets, turnstile = TokenBuckets(HandClock(), names_kept=100), ConcurrencyLimit()
    for number in range(1000):
        buckets.take(str(number), 1)
    assert len(buckets._levels) == 100
    assert turnstile.enter("a", 1)
    assert not turnstile.enter("a", 1)
    assert turnstile.enter("b", 1)
    turnstile.leave("a")
    assert turnstile.enter("a", 1)
    turnstile.leave("a")
    turnstile.leave("b")
    assert not turnstile._inside


def test_a_session_shows_media_by_get_and_does_nothing_else(tmp_path: Path, clock: HandClock):
    """<img> and <video> send no key: the cookie does for them, until twelve hours are over."""
    with open_doors(tmp_path, clock=clock) as doors:
        begun = doors.api.post("/v1/session", headers=doors.keys["admin"])
        assert begun.status_code == 204
        cookie = begun.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/v1/collections", f"Max-Age={LIFE_S}"):
            assert part in cookie
        assert doors.keys["admin"]["authorization"].split("_")[-1] not in cookie
        value = {"cookie": cookie.partition(";")[0]}
        doors.api.cookies.clear()
        assert_problem(doors.api.get(CONTENT, headers=value), 404, "video_not_found")
        assert doors.api.head(CONTENT, headers=value).status_code == 404
        for method, path in (("GET", LIST), ("DELETE", LIST + "/default"), ("POST", "/v1/session")):
            assert_problem(doors.api.request(method, path, headers=value), 401, "key_missing")
        assert_problem(doors.api.post(CONTENT, headers=value), 401, "key_missing")
        clock.advance(LIFE_S)
        assert_problem(doors.api.get(CONTENT, headers=value), 401, "key_missing")


def test_a_session_ends_with_its_key(tmp_path: Path, clock: HandClock):
    """What is revoked shows nothing more."""
    with open_doors(tmp_path, clock=clock) as doors:
        doors.api.post("/v1/session", headers=doors.keys["read"])
        value = {"cookie": f"{COOKIE}={doors.api.cookies[COOKIE]}"}
        assert doors.api.get(CONTENT, headers=value).status_code == 404
        ids = {key.scope: key.id for key in doors.catalog.keys_in_force()}
        doors.catalog.revoke_key(ids["read"])
        clock.advance(1.1)
        assert doors.api.get(CONTENT, headers=value).status_code == 401
        ended = doors.api.delete("/v1/session", headers=doors.keys["admin"])
        assert "Max-Age=0" in ended.headers["set-cookie"]


def test_a_cookie_of_ones_own_making_stands_for_nobody(catalog: Catalog, clock: HandClock):
    """Another end, another key, another secret, and no cookie at all."""
    key, _ = create_key(catalog, "a", "admin")
    sessions = Sessions(b"secret", clock)
    value = sessions.cookie(key.id)
    key_id, end, signature = value.split(".")
    keys = {key.id: key}
    assert sessions.owner_of(f"other=1; {COOKIE}={value}", keys) == key
    for wrong in (
        f"{key_id}.{int(end) + 1}.{signature}",
        f"key_other.{end}.{signature}",
        Sessions(b"other", clock).cookie(key.id),
        signature,
        "",
        "..",
    ):
        assert sessions.owner_of(f"{COOKIE}={wrong}", keys) is None
    assert sessions.owner_of("\x00=;;;", keys) is None


def test_the_scopes_nest():
    """Whoever may write may read, and who may all may write."""
    table = [[covers(held, needed) for needed in SCOPES] for held in SCOPES]
    assert table == [[True, False, False], [True, True, False], [True, True, True]]
