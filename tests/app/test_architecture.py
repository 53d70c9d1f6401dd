"""Who may import whom, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports(path: Path) -> Iterator[str]:
    """Every module named in an import anywhere in the file, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: -node.level]) + "." if node.level else ""
            yield from (f"{above}{node.module or ''}.{alias.name}" for alias in node.names)


# Arithmetic on what the worker has answered; no model, no PyTorch.
PURE = ("xclip.confidence.calibration",)


def offenders(folder: str, *banned: str, except_for: tuple[str, ...] = ()) -> list[str]:
    """`file imports module` for each file under `folder` that imports something banned."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder} has no source"
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports(path)
        if _within(module, banned) and not _within(module, except_for)
    ]


def _within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("xclip", ("app", "index", "fastapi", "starlette", "sqlalchemy", "transformers")),
        ("index", ("app", "xclip", "fastapi", "starlette", "sqlalchemy", "torch", "av")),
        ("xclip_search", ("app", "xclip", "index", "fastapi", "starlette", "sqlalchemy", "torch")),
        ("app", ("transformers", "av")),
        ("app/routes", ("sqlalchemy", "app.catalog.sql.tables", "torch", "faiss", "xclip")),
        ("app/services", ("sqlalchemy", "fastapi", "starlette", "app.routes", "torch", "xclip")),
        ("app/catalog", ("fastapi", "starlette", "app.routes", "app.services", "app.worker")),
        ("app/worker", ("fastapi", "app.routes", "app.services", "sqlalchemy")),
        ("app/security", ("app.routes", "app.services", "app.cli", "app.worker", "sqlalchemy")),
        ("app/calibration", ("fastapi", "starlette", "app.routes", "app.cli", "sqlalchemy")),
    ],
)
def test_packages_import_downwards_only(folder: str, banned: tuple[str, ...]):
    """No file of the folder imports what lies above it or beside it."""
    assert offenders(folder, *banned, except_for=PURE) == []


def test_only_the_catalog_speaks_sql():
    """SQLAlchemy appears in the catalog and nowhere else."""
    found = {line.split(" ")[0] for line in offenders("app", "sqlalchemy")}
    assert {path for path in found if not path.startswith("app/catalog/")} == set()


def test_problem_details_know_no_package():
    """What writes problems imports the root of the errors, and no package that defines some."""
    own = {name for name in imports(ROOT / "app/problems.py") if _within(name, ("app",))}
    assert all(_within(name, ("app.errors",)) for name in own)


def test_the_api_never_loads_the_model():
    """What the API process imports does not bring PyTorch or libav in."""

    script = "import sys, app.main; print({'torch', 'av', 'transformers'} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
    assert found.stdout.decode().strip() == "set()"
