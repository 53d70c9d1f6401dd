"""The page's files fit together and name nobody else; what they do is shown in `tests/web`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from app.routes.page import WEB_FOLDER

PAGE = (WEB_FOLDER / "index.html").read_text("utf-8")
VENDOR = WEB_FOLDER / "vendor"
OWN = [
    path
    for path in sorted(WEB_FOLDER.rglob("*"))
    if path.suffix in (".js", ".css", ".html") and path.parent != VENDOR
]
MODULES = [path for path in sorted(WEB_FOLDER.rglob("*.js")) if path.name != "docs.js"]
IMPORT = re.compile(r'(?:import|export)\s+(?:\{[^}]*\}|\w+)\s+from\s+"(\.[^"]+)"')


def imports(module: Path) -> list[Path]:
    """The files that a module imports from."""
    return [module.parent / path for path in IMPORT.findall(module.read_text("utf-8"))]


def test_the_page_asks_for_all_modules_at_once():
    """Each module that is reached is preloaded: none waits for the one that names it."""
    reached, todo = set(), [WEB_FOLDER / "app.js"]
    while todo:
        module = todo.pop().resolve()
        if module not in reached:
            reached.add(module)
            todo += imports(module)
    preloaded = {WEB_FOLDER / name for name in re.findall(r'"/static/([^"]+\.js)"', PAGE)}
    assert {path.resolve() for path in preloaded} == reached == {path.resolve() for path in MODULES}


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path):
    """No file names an address outside the service, runs inline, or makes markup of text."""
    text = path.read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "innerHTML" not in text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=\"|<style|\sstyle=\"", text)


def test_what_is_by_others_is_what_they_published():
    """The list beside it says which version; a byte that differs is no version at all."""
    listed = dict(re.findall(r"\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|", _vendor_readme()))
    assert set(listed) == {path.name for path in VENDOR.glob("*.js")}
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_their_licences_lie_beside_them():
    """As both licences ask."""
    assert "Permission is hereby granted" in (VENDOR / "LICENSE-preact").read_text("utf-8")
    assert "Apache License" in (VENDOR / "LICENSE-htm").read_text("utf-8")


def _vendor_readme() -> str:
    return (VENDOR / "README.md").read_text("utf-8")
