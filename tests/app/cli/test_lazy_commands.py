"""Start-up of the command line: what is imported for help and completion, and what it costs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import typer.main

from app.cli.main import Commands, build_cli

ROOT = Path(__file__).parents[3]
HEAVY = (
    "alembic", "av", "faiss", "fastapi", "httpx", "numpy", "PIL", "safetensors", "sqlalchemy",
    "tokenizers", "torch", "transformers", "uvicorn", "xclip_search.schemas",
)  # fmt: skip
LOADS = """
import sys
from app.cli.main import Commands, build_cli
cli = build_cli()
for words in [[], ["--version"], *([name] for name in Commands.entries)]:
    cli([*words, "--help"], standalone_mode=False)
print(*sys.modules, file=sys.stderr)
"""
COMPLETES = {
    "_XCLIP_SEARCH_COMPLETE": "complete_bash",
    "COMP_WORDS": "xclip-search search --pic",
    "COMP_CWORD": "2",
}


def processor_s(*arguments: str, **environ: str) -> float:
    """The processor time of a Python process, the better of two."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | environ,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once(), once())


def test_no_help_loads_a_model_a_database_or_a_client() -> None:
    """The version and the help of every command need the terminal's libraries only."""
    done = subprocess.run(
        [sys.executable, "-c", LOADS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert loaded & set(HEAVY) == set()
    assert "Find moments by text or by example" in done.stdout


def test_help_and_completion_cost_what_their_libraries_cost() -> None:
    """At most three times the processor time of importing the terminal's libraries alone."""
    base = processor_s("-c", "import typer, httpx, rich")
    command = ("-m", "app.cli.main", "search", "--help")
    assert processor_s(*command) < 3 * base
    program = "from app.cli.main import build_cli; build_cli()(prog_name='xclip-search')"
    assert processor_s("-c", program, **COMPLETES) < 3 * base


def test_the_list_of_commands_says_what_each_help_says() -> None:
    """So that neither is forgotten when the other changes; every command can be loaded."""
    group = typer.main.get_command(build_cli())
    assert isinstance(group, Commands)
    for name, entry in Commands.entries.items():
        assert group.load(name).help.split("\n\n")[0].replace("\n", " ") == entry.about, name


def test_words_too_many_are_told_about_quotes(command) -> None:
    """The usual reason is a text or a name of several words."""
    result = command("videos", "show", "vid_1", "--text", "a", "dog")
    assert result.exit_code == 2
    assert "in quotes" in " ".join(result.stderr.replace("│", " ").split())
