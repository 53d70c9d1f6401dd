"""The data folder's layout: every path in one module."""

from __future__ import annotations

import ast
from pathlib import Path

from app.data_layout import DataLayout
from app.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {"catalog.sqlite", "thumbnails", "tensors", "calibrations", "backup.lock"}


def test_every_path_lies_below_the_folder_of_the_settings(tmp_path: Path):
    """Nothing is kept where a backup or a deletion of the folder would miss it."""
    layout = Settings(data_dir=tmp_path).layout
    paths = [getattr(layout, name) for name in dir(DataLayout) if name[0] != "_"]
    below = [path for path in paths if isinstance(path, Path) and path != tmp_path]
    assert len(below) == 11
    assert all(tmp_path in path.parents for path in below)
    assert len(set(below)) == len(below)


def test_asking_for_paths_makes_nothing(tmp_path: Path):
    """A misspelt folder does not come into being because somebody looked."""
    layout = DataLayout(tmp_path / "missing")
    assert layout.catalog.parent == layout.root
    assert not layout.root.exists()


def test_no_other_module_joins_paths_of_the_data_folder():
    """A folder that is renamed in the layout is renamed everywhere."""
    joined = [
        f"{path.relative_to(ROOT)}: {node.right.value}"
        for path in sorted((ROOT / "app").rglob("*.py"))
        if path.name != "data_layout.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and node.right.value in NAMES
    ]
    assert joined == []
