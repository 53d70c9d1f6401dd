"""Who may import whom: the arrows that ARCHITECTURE.md prints, read from the source itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("app", "xclip", "index", "xclip_search")
Arrows = Mapping[str, frozenset[str]]


def imports(path: Path) -> Iterator[str]:
    """Every module named in an import anywhere in the file, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: -node.level]) + "." if node.level else ""
            yield from (f"{above}{node.module or ''}.{alias.name}" for alias in node.names)


def sources() -> list[Path]:
    """Every Python file of the project's own packages, migrations aside."""
    files = [path for root in ROOTS for path in (ROOT / root).rglob("*.py")]
    return sorted(path for path in files if "versions" not in path.parts)


def part_of(module: str) -> str:
    """The part a module belongs to: a package or module right below `app`, or another root."""
    steps = module.split(".")
    return ".".join(steps[:2]) if steps[0] == "app" else steps[0]


@cache
def measured() -> Arrows:
    """Which part imports which, by the source."""
    found: dict[str, set[str]] = {}
    for path in sources():
        steps = path.relative_to(ROOT).with_suffix("").parts
        if steps == ("app", "__init__"):
            continue
        here = part_of(".".join(steps).removesuffix(".__init__"))
        there = {part_of(name) for name in imports(path) if name.split(".")[0] in ROOTS}
        found.setdefault(here, set()).update(there - {here, "app"})
    return {part: frozenset(below) for part, below in found.items()}


@cache
def printed() -> Arrows:
    """Which part may import which, by the block of arrows in ARCHITECTURE.md."""
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    block = re.search(r"^```arrows\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert block, "ARCHITECTURE.md prints no arrows"
    rows = (line.split("→") for line in block[1].splitlines() if line.strip())
    return {row[0].strip(): frozenset(row[1].replace(",", " ").split()) for row in rows}


def reach(part: str, arrows: Arrows) -> set[str]:
    """Everything that importing `part` may bring in, however many steps away."""
    found: set[str] = set()
    todo = [part]
    while todo:
        below = arrows.get(todo.pop(), frozenset()) - found
        found |= below
        todo += below
    return found


def test_the_printed_arrows_are_the_imports():
    """No import that the page does not show, no arrow that no import follows, no part left out."""
    assert measured() == printed()


def test_no_arrow_runs_back():
    """The parts have an order: nothing imports what imports it, directly or through others."""
    order = list(TopologicalSorter(measured()).static_order())
    assert order[-1] == "app.cli"


@pytest.mark.parametrize(
    ("part", "above"),
    [
        ("xclip", ("app", "index", "xclip_search")),
        ("index", ("app", "xclip", "xclip_search")),
        ("app.catalog", ("app.routes", "app.services", "app.worker", "app.storage", "xclip")),
        ("app.storage", ("app.routes", "app.services", "app.worker", "app.server")),
        ("app.security", ("app.routes", "app.services", "app.worker", "app.storage")),
        ("app.server", ("app.routes", "app.services", "app.worker", "app.storage")),
        ("app.model_api", ("app.routes", "app.services", "app.worker", "app.catalog")),
        ("app.services", ("app.routes", "app.worker", "app.server", "app.cli")),
        ("app.worker", ("app.routes", "app.services", "app.security", "app.cli")),
        ("app.routes", ("app.worker", "app.cli", "app.main")),
        ("app.calibration", ("app.routes", "app.server", "app.cli")),
    ],
)
def test_a_part_never_reaches_what_lies_above_it(part: str, above: tuple[str, ...]):
    """Neither by its own imports nor by those of anything it imports."""
    assert {name for name in reach(part, measured()) if _within(name, above)} == set()


# Arithmetic on what the worker has answered; no model, no PyTorch.
PURE = ("xclip.confidence",)


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
        ("xclip", ("fastapi", "starlette", "sqlalchemy", "transformers", "faiss")),
        ("index", ("fastapi", "starlette", "sqlalchemy", "torch", "av")),
        ("xclip_search", ("torch", "faiss", "fastapi", "starlette", "sqlalchemy", "av")),
        ("app", ("transformers", "av")),
        ("app/routes", ("sqlalchemy", "torch", "faiss", "xclip", "app.catalog.sql")),
        ("app/services", ("sqlalchemy", "fastapi", "starlette", "torch", "xclip", "faiss")),
        ("app/catalog", ("fastapi", "starlette", "torch", "faiss")),
        ("app/storage", ("fastapi", "starlette", "sqlalchemy", "torch", "faiss")),
        ("app/security", ("sqlalchemy", "torch", "faiss")),
        ("app/server", ("sqlalchemy", "torch", "faiss")),
        ("app/worker", ("fastapi", "sqlalchemy", "faiss")),
        ("app/model_api", ("fastapi", "sqlalchemy", "torch", "faiss")),
        ("app/maintenance", ("fastapi", "starlette", "faiss")),
        ("app/calibration", ("fastapi", "starlette", "sqlalchemy", "faiss")),
        ("app/telemetry", ("fastapi", "sqlalchemy", "torch", "faiss")),
        ("app/fetch", ("fastapi", "starlette", "sqlalchemy", "torch", "faiss")),
        ("app/cli", ("fastapi", "starlette", "sqlalchemy", "faiss")),
    ],
)
def test_each_package_keeps_off_libraries_of_others(folder: str, banned: tuple[str, ...]):
    """SQL, HTTP frameworks, PyTorch and FAISS each have their own packages."""
    assert offenders(folder, *banned, except_for=PURE) == []


def test_no_private_module_of_a_library_is_imported():
    """A new version of the library may rename or remove it without a word."""
    private = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in imports(path)
        if any(step.startswith("_") for step in name.split(".")[1:-1])
        if name.split(".")[0] not in ROOTS
    ]
    assert private == []


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


def test_routes_reach_neither_the_catalog_nor_the_worker():
    """They call services: a rule that a route applies by itself would hold for that route only."""
    clients = ("app.catalog.Catalog", "app.catalog.catalog", "app.model_api.client.WorkerClient")
    assert offenders("app/routes", *clients) == []


def test_one_module_opens_what_is_behind_the_storage_ports():
    """No other module of the service imports a store of the folder."""
    found = offenders(
        "app",
        "index.PackedTensorStore",
        "index.tensors",
        "app.storage.folder_store.FolderObjectStore",
        "app.storage.folder_partial_uploads",
    )
    assert {line.split(" ")[0] for line in found} == {"app/storage/composition.py"}


def test_no_route_and_no_service_takes_the_bag_of_services():
    """Each is handed the single services that it uses; only `dependencies.py` picks them."""
    bag = ("app.composition", "app.main")
    assert offenders("app/routes", *bag) + offenders("app/services", *bag) == []
    readers = {
        path.name
        for path in (ROOT / "app/routes").rglob("*.py")
        if re.search(r"\bstate\.(?:services|parts)\b|\bServices\b", path.read_text())
    }
    assert readers == {"dependencies.py"}
