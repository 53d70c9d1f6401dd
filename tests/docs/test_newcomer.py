"""docs/newcomer.md and ARCHITECTURE.md: a newcomer is sent to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
_TASK = re.compile(r"^\| .+ \| .+ \| `([^`]+)` \|$", re.MULTILINE)
_PATH = re.compile(r"`((?:app|xclip|xclip_search|index|tests|docs|benchmarks)/[\w./-]*)`")


def test_each_task_leads_to_a_file_of_a_described_package() -> None:
    """The file is there, and ARCHITECTURE.md names it or the package that holds it."""
    page = (ROOT / "docs" / "newcomer.md").read_text()
    files = _TASK.findall(page)
    assert len(files) >= 19
    assert len(files) == len(re.findall(r"^\| [A-Z]", page, re.MULTILINE))
    for file in files:
        assert (ROOT / file).is_file(), file
        package = "/".join(Path(file).parts[:2])
        top = Path(file).parts[0]
        assert any(f"`{name}" in ARCHITECTURE for name in (file, f"{package}/", f"{top}/`")), file


def test_paths_of_the_root_pages_exist() -> None:
    """Every path that ARCHITECTURE.md and CONTRIBUTING.md name in code is in the tree."""
    named = set(_PATH.findall(ARCHITECTURE + (ROOT / "CONTRIBUTING.md").read_text()))
    named -= {"app/x/y.py", "tests/app/x/test_y.py"}
    assert len(named) > 40
    assert {path for path in named if not (ROOT / path).exists()} == set()
