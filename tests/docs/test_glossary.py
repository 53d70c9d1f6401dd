"""The glossary: each standard term leads to its file, and retired words stay away."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text("utf-8")
_ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \| \[`([^`]+)`\]\(\.\./([^)]+)\) \|$", re.MULTILINE)
ROWS = [(term, file) for term, _, file, _ in _ROW.findall(PAGE)]
ROOTS = ("app", "xclip", "index", "xclip_search")
PACKAGES = sorted(
    str(path.relative_to(ROOT))
    for root in ROOTS
    for path in (ROOT / root).rglob("__init__.py")
    if "migrations" not in path.parts
)

# What a stranger looks for by the name of a file, and the file that it has to be found in.
LOOKED_FOR = {
    "authentication": "app/security/authentication.py",
    "middleware": "app/security/middleware.py",
    "csrf": "app/security/csrf.py",
    "rate_limits": "app/security/rate_limits.py",
    "principal": "app/security/principal.py",
    "api_keys": "app/security/api_keys.py",
    "session": "app/security/session.py",
    "concurrency": "app/server/concurrency.py",
    "queue_limit": "app/server/queue_limit.py",
    "connections": "app/server/connections.py",
    "admission": "app/server/admission.py",
    "body_limit": "app/server/body_limit.py",
    "http_protocol": "app/server/http_protocol.py",
    "model_scheduler": "app/worker/model_scheduler.py",
    "job_runner": "app/worker/job_runner.py",
    "lease": "app/worker/lease.py",
    "batcher": "app/worker/batcher.py",
    "confidence": "app/worker/confidence.py",
    "prefetch": "app/worker/prefetch.py",
    "startup_server": "app/worker/startup_server.py",
    "job_telemetry": "app/worker/job_telemetry.py",
    "text_cache": "app/worker/text_cache.py",
    "quantise": "index/quantise.py",
    "replica": "app/services/vectors/replica.py",
    "rerank": "app/services/search/rerank.py",
    "query": "app/services/search/query.py",
    "chunk": "app/services/ingest/chunk.py",
    "job_watcher": "app/services/ingest/job_watcher.py",
    "url_fetch": "app/services/ingest/url_fetch.py",
    "periodic_tasks": "app/services/operations/periodic_tasks.py",
    "readiness": "app/services/operations/readiness.py",
    "clip_export": "app/services/library/clip_export.py",
    "responses": "app/routes/responses.py",
    "tus": "app/routes/tus.py",
    "orphans": "app/maintenance/orphans.py",
    "backup": "app/maintenance/backup.py",
    "restore": "app/maintenance/restore.py",
    "verify": "app/maintenance/verify.py",
    "gc": "app/maintenance/gc.py",
    "doctor": "app/maintenance/doctor.py",
    "data_folder": "app/maintenance/data_folder.py",
    "backup_lock": "app/storage/backup_lock.py",
    "deletion": "app/storage/deletion.py",
    "partial_uploads": "app/storage/partial_uploads.py",
    "filenames": "app/storage/filenames.py",
    "logs": "app/telemetry/logs.py",
    "tracing": "app/telemetry/tracing.py",
    "seccomp": "xclip/video/sandbox/seccomp.py",
    "wire": "xclip/video/sandbox/wire.py",
}


def first_line(file: str) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse((ROOT / file).read_text("utf-8"))) or "").split("\n")[0]


def test_the_glossary_is_read():
    """The pattern of a row finds every row of the page's tables."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len([line for line in lines if not line.startswith("| term ")])


@pytest.mark.parametrize(("term", "file"), ROWS)
def test_a_term_leads_to_its_file(term: str, file: str):
    """The file exists and its first line holds the term, so that a search for it ends there."""
    assert term.lower() in first_line(file).lower()


def test_every_package_has_a_row():
    """A package that no term leads to could not be found."""
    assert set(PACKAGES) - {file for _, file in ROWS} == set()


@pytest.mark.parametrize(("name", "file"), LOOKED_FOR.items())
def test_a_stranger_finds_the_file_by_its_name(name: str, file: str):
    """The file that does it is called by the term that one looks for, and has text."""
    assert Path(file).stem == name
    assert first_line(file)


def test_no_module_shadows_the_standard_library():
    """`import logging` and the like mean the standard library's, wherever they stand."""
    import sys

    tops = {path.stem for path in (ROOT / "app").glob("*.py")}
    assert tops & sys.stdlib_module_names == set()


def test_no_two_classes_of_one_name():
    """One name, one thing, in all packages together; private classes aside."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for root in ROOTS for path in (ROOT / root).rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
