"""The page's files fit together; what they do in a browser is not run here."""

from __future__ import annotations

import re

import pytest

from app.routes.system import WEB_FOLDER

PAGE = (WEB_FOLDER / "index.html").read_text("utf-8")
SCRIPTS = {path.name: path.read_text("utf-8") for path in WEB_FOLDER.glob("*.js")}
IMPORT = re.compile(r'import \{ ([^}]+) \} from "\./([^"]+)"')


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_asks_for_elements_that_the_page_has(name: str) -> None:
    """Every `$("id")` is the id of one element."""
    ids = re.findall(r'\bid="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([^"]+)"\)', SCRIPTS[name])) <= set(ids)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_what_the_other_exports(name: str) -> None:
    """Each imported name is exported by the file it is taken from, and is used."""
    for names, other in IMPORT.findall(SCRIPTS[name]):
        exported = set(re.findall(r"export (?:async )?(?:function|const) (\$|\w+)", SCRIPTS[other]))
        imported = names.split(", ")
        assert set(imported) <= exported
        assert all(SCRIPTS[name].count(each) > 1 for each in imported)


def test_nothing_comes_from_elsewhere() -> None:
    """No file of the page names an address outside the service, nor makes markup of text."""
    for text in (PAGE, *SCRIPTS.values(), (WEB_FOLDER / "app.css").read_text("utf-8")):
        assert "//" not in re.sub(r"(^|\s)// ", "", text)
        assert "innerHTML" not in text


def test_every_field_has_a_label() -> None:
    """An input is inside a label, or one is for it."""
    without_labels = re.sub(
        r"<label(?: class=\"tick\"| id=\"drop\")?>.*?</label>", "", PAGE, flags=re.DOTALL
    )
    for field in re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', without_labels):
        assert f'for="{field}"' in PAGE
