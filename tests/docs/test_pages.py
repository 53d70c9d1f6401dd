"""Every page: its links lead somewhere, its commands and variables exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup as Group

from app.cli.lazy_commands import LazyGroup
from app.cli.main import build_cli
from app.service_urls import KEY_VARIABLE, URL_VARIABLE
from app.settings import Settings, variable

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README = ROOT / "README.md"
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

_CODE = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"test_\w+\.py")
_PATH = re.compile(r"(app|xclip|xclip_search|index|tests|docs|deploy|benchmarks)/[\w./-]+")
PLACEHOLDERS = {"app/x/y.py", "tests/app/x/test_y.py"}  # of the rule that tests mirror the tree

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """How headings are linked to: lower case, without punctuation, spaces as hyphens."""
    text = _FENCED.sub("", page.read_text())
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in plain}


@each_page
def test_links_lead_to_what_is_there(page: Path) -> None:
    """A file of this repository, and a heading in it; addresses elsewhere are https."""
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        if "://" in link:
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert ROOT in [target, *target.parents], link
        if anchor:
            assert anchor in anchors(target), link


def test_the_index_reaches_every_page() -> None:
    """docs/README.md links each page and each decision, and itself is linked from the README."""
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text())}
    assert set((ROOT / "docs").rglob("*.md")) - linked - {index} == set()
    assert "docs/README.md" in _LINK.findall(README.read_text())


@each_page
def test_files_that_are_named_are_there(page: Path) -> None:
    """By path, and tests by their name alone; decisions and changes tell of former ones, too."""
    if page.parent.name == "decisions" or page.name == "CHANGELOG.md":
        return
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for named in _CODE.findall(page.read_text()):
        if _PATH.fullmatch(named) and named not in PLACEHOLDERS:
            assert (ROOT / named).exists(), named
        if _TEST.fullmatch(named):
            assert named in tests, named


@each_page
def test_variables_are_settings(page: Path) -> None:
    """What a page tells to set can be set."""
    if page.parent.name == "decisions":
        return  # which also name what was decided against
    known = {variable(name) for name in Settings.model_fields} | {KEY_VARIABLE, URL_VARIABLE}
    named = set(re.findall(r"\bXCLIP_[A-Z_]*[A-Z]\b", page.read_text()))
    only_compose = {"XCLIP_MEMORY"}
    tests_own = {name for name in named if name.startswith("XCLIP_TEST")}
    assert named - known - only_compose - tests_own == set()


@each_page
def test_commands_are_commands(page: Path) -> None:
    """What a page has the reader type can be typed."""
    root = typer.main.get_command(build_cli())
    assert isinstance(root, Group)
    named = set(re.findall(r"\bxclip-search ([a-z]+)\b", page.read_text()))
    assert named <= set(root.commands)


def test_the_commands_that_print_json_are_named() -> None:
    """docs/cli.md lists the clients of the service that take `--json`, and no other."""
    root = typer.main.get_command(build_cli())
    assert isinstance(root, LazyGroup)
    options = {
        name: {option for parameter in root.load(name).params for option in parameter.opts}
        for name in root.commands
    }
    page = (ROOT / "docs" / "cli.md").read_text()
    sentence = re.search(r"((?:`[a-z-]+`[,\s]*(?:and )?)+)take `--json`", page)
    assert sentence
    named = set(re.findall(r"`([a-z-]+)`", sentence[1]))
    assert named == {name for name, known in options.items() if {"--json", "--url"} <= known}


def test_make_targets_of_the_readme_exist() -> None:
    """The two commands, and the others."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)\b", README.read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_the_library_example_of_the_readme_runs(tmp_path: Path) -> None:
    """With the packaged checkpoint in place of one from the hub."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    program = "import numpy as np\nframes = np.zeros((8, 32, 32, 3), np.uint8)\n" + block.replace(
        "microsoft/xclip-base-patch32", "motion-tiny"
    )
    script = tmp_path / "example.py"
    script.write_text(program)
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
