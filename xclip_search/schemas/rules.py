"""JSON Schema of rules between fields, which the models check and cannot derive.

A field that is null counts as one that is not given, as it does for the models.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pydantic import ConfigDict

Rule = dict[str, Any]


def given(field: str) -> Rule:
    """The field is there and not null."""
    return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}


def says(field: str, value: object) -> Rule:
    """The field is there and has this value."""
    return {"required": [field], "properties": {field: {"const": value}}}


def one_of(*fields: str) -> Rule:
    """Exactly one of the fields is given."""
    return {"oneOf": [given(field) for field in fields]}


def at_most_one_of(*fields: str) -> Rule:
    """No two of the fields are given."""
    return {"not": {"anyOf": [_both(given(a), given(b)) for a, b in combinations(fields, 2)]}}


def needs(field: str, other: str) -> Rule:
    """Who gives the field gives the other one too."""
    return {"anyOf": [{"not": given(field)}, given(other)]}


def never_both(one: Rule, other: Rule) -> Rule:
    """The two do not go together."""
    return {"not": _both(one, other)}


def documented(*rules: Rule) -> ConfigDict:
    """The configuration of a model with these rules."""
    return ConfigDict(json_schema_extra={"allOf": list(rules)})


def _both(one: Rule, other: Rule) -> Rule:
    return {"allOf": [one, other]}
