"""Retired words: names and phrases that were replaced occur nowhere in code, pages or docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("app", "xclip", "index", "xclip_search", "docs")
KINDS = {".py", ".js", ".css", ".html", ".md"}
# History may name what was: decisions, the changelog, migrations. `vendor` holds others' files.
LEFT_OUT = {"decisions", "migrations", "vendor"}
# Names on the wire stay as they are, so that no client or dashboard breaks.
WIRE_NAMES = ("xclip_lane_requests", 'body["waste"]')

# In any spelling, as whole words.
WORDS = (
    "certainty", "surest", "dawdle", "dawdles", "dealt with", "is what is waited for",
    "asks for patience", "whoever", "looks after", "stretch", "stretches", "nobody", "anybody",
    "stranger", "strangers", "the cage",
)  # fmt: skip
# Also inside identifiers, in the packages that know nothing of the service.
PARTS = ("stretch", "nobody")
ENGINE = ("xclip/", "index/")
# As code spells them.
NAMES = (
    "Turnstile", "QueueRoom", "Crowd", "Puller", "FollowedVectors", "Certainty", "Chore", "Waste",
    "Doors", "Buckets", "Starting", "Remover", "Coder", "Lane", "ANYBODY",
    "app.care", "app.edge", "app.tuning", "app/care", "app/edge", "app/tuning", "app.listen",
    "security/doors", "security/gate", "security/rates", "security/callers", "security/refusals",
    "worker/puller", "worker/certainty", "worker/ahead", "worker/starting", "worker/gate",
    "services/pieces", "services/questions", "services/coding", "services/figures",
    "puller", "chore", "chores", "waste", "LabelsRoute", "housekeeping", "_lanes",
)  # fmt: skip


def texts() -> dict[str, str]:
    """Every scanned file's text by its path, without the names on the wire."""
    files = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    for tree in TREES:
        files += [path for path in (ROOT / tree).rglob("*") if path.suffix in KINDS]
    found = {}
    for path in files:
        inside = path.relative_to(ROOT)
        if not LEFT_OUT & set(inside.parts):
            text = path.read_text("utf-8")
            for name in WIRE_NAMES:
                text = text.replace(name, "")
            found[str(inside)] = text
    return found


TEXTS = texts()


def holders(word: str, flags: int = 0) -> list[str]:
    """The files that hold `word` as a whole word."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", flags)
    return [f"{file}: {word}" for file, text in TEXTS.items() if pattern.search(text)]


@pytest.mark.parametrize("word", WORDS)
def test_a_retired_word_is_gone(word: str) -> None:
    """No file holds the word or phrase, in upper or lower case."""
    assert holders(word, re.IGNORECASE) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_retired_part_of_names_is_gone_from_the_engine(part: str) -> None:
    """No file of the model's and the index's packages holds it, not even inside an identifier."""
    files = [file for file in TEXTS if file.startswith(ENGINE)]
    assert [file for file in files if part in TEXTS[file].lower()] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_retired_name_is_gone(name: str) -> None:
    """No file holds the former name of a class, module or package."""
    assert holders(name) == []


def test_files_are_scanned() -> None:
    """Every tree contributes files, so an empty scan cannot pass."""
    assert {file.split("/")[0] for file in TEXTS} >= set(TREES)
