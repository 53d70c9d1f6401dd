"""Label sets in SQL, against a dictionary."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete
from sqlalchemy.exc import IntegrityError

from app.catalog.errors import LabelSetNotFound
from app.catalog.records import LabelSet
from app.catalog.sql import label_sets, tables
from tests.app.catalog.sql.rows import NOW, at

names = st.sampled_from(["a", "b", "c", "d-1", "d_1"])
labels = st.lists(st.text(max_size=4), max_size=4).map(tuple)
steps = st.lists(st.tuples(st.sampled_from(["put", "remove"]), names, labels), max_size=12)


def label_set(name: str, some: tuple[str, ...] = (), seconds: float = 0) -> LabelSet:
    return LabelSet(name, some, ("a video of {}",), NOW, at(seconds))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps)
def test_any_history_leaves_what_a_dictionary_holds(
    connection: Connection, history: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    """Put, replaced and removed in any order; read one by one and as a list."""
    connection.execute(delete(tables.label_sets))
    model: dict[str, LabelSet] = {}
    for seconds, (step, name, some) in enumerate(history):
        new = label_set(name, some, seconds)
        if step == "put" and name in model:
            label_sets.replace(connection, new)
            model[name] = replace(new, created_at=model[name].created_at)
        elif step == "put":
            label_sets.put(connection, new)
            model[name] = new
        elif name in model:
            label_sets.remove(connection, name)
            del model[name]
        else:
            with pytest.raises(LabelSetNotFound):
                label_sets.remove(connection, name)
    assert all(label_sets.get(connection, name) == kept for name, kept in model.items())
    listed = label_sets.page(connection, None, 10).items
    assert [(one.name, one.size) for one in listed] == [
        (name, len(model[name].labels)) for name in sorted(model)
    ]


def test_a_name_is_taken_once(connection: Connection) -> None:
    """The database itself refuses the second, whoever wrote the first."""
    label_sets.put(connection, label_set("a"))
    with pytest.raises(IntegrityError):
        label_sets.put(connection, label_set("a", ("x",)))


def test_what_is_not_there_is_none_or_an_error(connection: Connection) -> None:
    """`find` answers None, so that a writer can decide; `get` says which name is missing."""
    assert label_sets.find(connection, "a") is None
    with pytest.raises(LabelSetNotFound, match="'a'"):
        label_sets.get(connection, "a")
    label_sets.put(connection, label_set("a", ("x",)))
    assert label_sets.find(connection, "a") == label_sets.get(connection, "a")
