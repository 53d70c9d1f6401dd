"""How commands end when they cannot do their work: one line, a status, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import typer
from typer.testing import Result

from app.cli.connection import default_url
from app.cli.errors import reported
from app.settings import SettingsError
from tests.http_stand_in import serving
from xclip_search import ApiError

ROOT = Path(__file__).parents[3]
NOWHERE = "http://127.0.0.1:1"
RunCommand = Callable[..., Result]

# Every command that is a client of the service, with what it needs.
CLIENTS = [
    "collections",
    "collections create films",
    "collections describe films {}",
    "collections delete films --yes",
    "videos",
    "videos show vid_1",
    "videos show vid_1 --text dog",
    "videos describe vid_1 {}",
    "videos delete vid_1 vid_2",
    "label-sets",
    "label-sets show set",
    "label-sets put set a b",
    "label-sets delete set",
    "jobs",
    "jobs --watch",
    "jobs cancel job_1",
    "jobs retry job_1",
    "search dog",
    "search dog --then cat",
    "search --like seg_1",
    "search --clip FILE",
    "classify a b --video vid_1",
    "classify a b --file FILE",
    "classify a b --filter {}",
    "export OUT.jsonl",
    "export OUT.npz --video vid_1",
]


def argv(line: str, tmp_path: Path) -> list[str]:
    """The words of a command line, its files in a folder of the test's."""
    (tmp_path / "file").write_bytes(b"bytes")
    names = {"FILE": str(tmp_path / "file"), "OUT": str(tmp_path / "out")}
    words = line.split(" ")
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
    return words


def error_line(result: Result) -> str:
    """The one line of standard error."""
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = result.stderr.splitlines()
    return line


def refuse(handler: BaseHTTPRequestHandler) -> None:
    """Answer that the key's scope is not enough."""
    problem = {"type": "", "title": "", "status": 403, "detail": "The key does not allow this."}
    content = json.dumps({**problem, "code": "scope_missing", "request_id": "req_1"}).encode()
    handler.rfile.read(int(handler.headers.get("content-length", 0)))
    handler.send_response(403)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def test_a_refusal_is_one_line_of_every_client(command: RunCommand, tmp_path: Path) -> None:
    """The service's own sentence with its code, status 1, and nothing on standard output."""
    with serving(refuse) as url:
        for line in CLIENTS:
            result = command(*argv(line, tmp_path), "--url", url)
            assert (result.exit_code, result.stdout.strip()) == (1, ""), line
            assert error_line(result) == "error: The key does not allow this. (scope_missing)", line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("line", ["videos", "search dog", "export OUT.jsonl", "ingest FILE"])
def test_no_service_is_one_line(command: RunCommand, tmp_path: Path, line: str) -> None:
    """It says where it looked and how to start one."""
    result = command(*argv(line, tmp_path), "--url", NOWHERE)
    assert result.exit_code == 1
    assert f"Nothing answers at {NOWHERE}" in error_line(result)
    assert "xclip-search serve" in error_line(result)


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_no_error_repeats_a_password_of_the_url(
    command: RunCommand, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stands in the option or in the variable, which the help shows too."""
    url = f"{scheme}://user:secret@127.0.0.1:1"
    monkeypatch.setenv("XCLIP_URL", url)
    for arguments in (["videos", "--url", url], ["videos"]):
        result = command(*arguments)
        assert result.exit_code != 0
        assert "secret" not in result.output
        assert "***@127" in result.output or "at http://127.0.0.1:1" in result.output
    assert "secret" not in default_url(os.environ)


@pytest.mark.parametrize(
    "line", ["videos", "keys list", "verify", "gc", "backup OUT", "doctor", "serve"]
)
def test_wrong_settings_have_a_status_of_their_own(
    command: RunCommand, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a supervisor does not start again what cannot start; the variable is named."""
    monkeypatch.setenv("XCLIP_PORT", "70000")
    result = command(*argv(line, tmp_path))
    assert result.exit_code == os.EX_CONFIG
    assert "XCLIP_PORT" in error_line(result)


@pytest.mark.parametrize("line", ["keys list", "verify", "gc", "backup OUT", "adopt --yes"])
def test_the_url_of_another_database_is_a_wrong_setting(
    command: RunCommand, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no folder is made for it."""
    monkeypatch.setenv("XCLIP_DATABASE_URL", "mysql://u:secret@h/x")
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "data"))
    result = command(*argv(line, tmp_path))
    assert result.exit_code == os.EX_CONFIG
    assert "XCLIP_DATABASE_URL is refused: mysql is not supported" in error_line(result)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("search", "say what to find"),
        ("search dog --like seg_1", "say what to find"),
        ("search --like seg_1 --not cat", "go with TEXT"),
        ("search --like seg_1 --within 3", "go with TEXT"),
        ("search dog --then cat --not cow", "--not goes with a single TEXT"),
        ("search dog --filter [1]", "is not a JSON object"),
        ("search dog --filter {", "is not a JSON object"),
        ("search dog --top 0", "greater than or equal to 1"),
        ("search dog --top 1001", "less than or equal to 1000"),
        ("search dog --min-confidence 1.01", "less than or equal to 1"),
        ("search dog --pictures svg", "'svg' is not one of"),
        ("search --clip missing.mp4", "does not exist"),
        ("classify a b", "name a stored video"),
        ("classify a b --video vid_1 --filter {}", "name a stored video"),
        ("classify --video vid_1", "give two labels or more"),
        ("classify a b --video vid_1 --label-set set", "give two labels or more"),
        ("collections create films --window 0.09", "greater than or equal to 0.1"),
        ("collections describe films null", "is not a JSON object"),
        ("videos --status done", "'done' is not one of"),
        ("label-sets put set", "give two labels or more"),
        ("label-sets put set a --file FILE", "give two labels or more"),
        ("jobs --top 201", "less than or equal to 200"),
        ("export OUT.csv", "must end in one of"),
        ("export OUT", "must end in one of"),
        ("keys create me --scope all", "'all' is not one of"),
        ("keys create me --scope read --expires-days -1", "greater than or equal to 0"),
        ("search a dog --then a cat", "put each text in quotes"),
        ("search a dog --not a cat", "put each text in quotes"),
        ("videos --url ftp://host", "must begin with http:// or https://"),
        ("videos --url http://host:99999", "has no valid host and port"),
        ("videos --url=", "--url is empty"),
        ("ingest", "Missing argument"),
        ("nothing-like-it", "No such command"),
    ],
)
def test_wrong_options_are_a_wrong_usage(
    command: RunCommand, tmp_path: Path, line: str, why: str
) -> None:
    """Status 2 and what is wrong, before any service is asked."""
    result = command(*argv(line, tmp_path))
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())


def test_words_and_addresses_are_taken_as_they_are_typed(command: RunCommand) -> None:
    """Words without quotes are one text, and HOST:PORT is a URL."""
    bodies = []

    def keep(handler: BaseHTTPRequestHandler) -> None:
        bodies.append(json.loads(handler.rfile.read(int(handler.headers["content-length"]))))
        handler.send_response(403)
        handler.send_header("content-length", "0")
        handler.end_headers()

    with serving(keep) as url:
        command("search", "a", "red", "dog", "--url", url.removeprefix("http://"))
    assert [body["text"] for body in bodies] == ["a red dog"]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"XCLIP_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"XCLIP_HOST": "0.0.0.0", "XCLIP_PORT": ""}, "http://127.0.0.1:8000"),
        ({"XCLIP_HOST": "::1"}, "http://[::1]:8000"),
    ],
)
def test_the_help_shows_where_the_service_is(environ: dict[str, str], url: str) -> None:
    """By the environment, as commands find it."""
    assert default_url(environ) == url


class Refused(Exception):
    """An error that commands report."""

    code = "refused"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Refused("It is not there."), 1, "error: It is not there. (refused)"),
        (ApiError("busy", "Later."), 1, "error: Later. (busy)"),
        (ZeroDivisionError("a bug?"), 1, "error: a bug? (ZeroDivisionError)"),
        (SettingsError("XCLIP_PORT is none"), 78, "error: XCLIP_PORT is none"),
        (KeyError("table\nat once"), 1, "error: the catalog cannot be read: 'table\\nat once'"),
        (FileNotFoundError(2, "No such file", "a.mp4"), 1, "error: a.mp4: No such file"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device"),
        (OSError("truncated"), 1, "error: truncated"),
        (Refused("\x1b[31m[bold]red"), 1, "error: �[31m[bold]red (refused)"),
    ],
)
def test_an_error_is_a_line_and_a_status(
    error: Exception, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its code, and nothing in it that would steer the terminal."""
    kinds = (Refused, ApiError, ZeroDivisionError)
    with pytest.raises(typer.Exit) as ended, reported(*kinds, database=(KeyError,)):
        raise error
    assert ended.value.exit_code == status
    assert capsys.readouterr().err.splitlines() == [line]


@pytest.mark.parametrize("error", [ValueError("a bug"), BrokenPipeError(32, "Broken pipe")])
def test_what_the_operator_cannot_mend_passes_through(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug keeps its traceback, and a pipe that was closed is no error to speak of."""
    with pytest.raises(type(error)), reported(Refused):
        raise error
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_had_enough_is_told_nothing() -> None:
    """`xclip-search label-sets show set | head -1` prints the line, and no error after it."""

    def labels(handler: BaseHTTPRequestHandler) -> None:
        now = "2026-01-01T00:00:00Z"
        many = [f"{number} {'x' * 200}" for number in range(2000)]
        fields = {"name": "set", "templates": [], "created_at": now, "updated_at": now}
        content = json.dumps({**fields, "labels": many}).encode()
        handler.send_response(200)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    with serving(labels) as url:
        program = [sys.executable, "-m", "app.cli.main", "label-sets", "show", "set", "--url", url]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(program, cwd=ROOT, **pipes) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith(b"0 xxx")
            process.stdout.close()
            assert process.stderr.read() == b""
