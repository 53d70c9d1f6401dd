"""Validation messages: what a value must be, in words of our own instead of the validator's.

Who sends a value does not know the library that refuses it, and its texts change with its versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

_OWN: Final = "Value error, "  # what pydantic puts before the messages of our own checks
_OTHERWISE: Final = "is not valid"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_TRUTH = "must be true or false"
_OBJECT = "must be an object"
_TIME = "must be a time such as 2026-01-31T12:00:00Z"
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "is missing",
        "extra_forbidden": "is not known here",
        "json_invalid": "must be JSON. {error}.",
        "json_type": "is not valid JSON",
        "string_type": "must be text",
        "string_sub_type": "must be text",
        "string_unicode": "must be text in UTF-8",
        "string_too_short": "must have {min_length} characters or more",
        "string_too_long": "must have {max_length} characters or fewer",
        "string_pattern_mismatch": "must match the pattern {pattern}",
        "bytes_type": "must be text",
        "int_type": _WHOLE,
        "int_parsing": _WHOLE,
        "int_from_float": _WHOLE,
        "int_parsing_size": "must be a smaller whole number",
        "float_type": _NUMBER,
        "float_parsing": _NUMBER,
        "finite_number": "must be a finite number",
        "bool_type": _TRUTH,
        "bool_parsing": _TRUTH,
        "greater_than": "must be greater than {gt}",
        "greater_than_equal": "must be {ge} or more",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be {le} or less",
        "too_short": "must have {min_length} items or more",
        "too_long": "must have {max_length} items or fewer",
        "literal_error": "must be {expected}",
        "enum": "must be {expected}",
        "list_type": "must be a list",
        "tuple_type": "must be a list",
        "set_type": "must be a list",
        "dict_type": _OBJECT,
        "mapping_type": _OBJECT,
        "model_type": _OBJECT,
        "model_attributes_type": _OBJECT,
        "dataclass_type": _OBJECT,
        "none_required": "must be null",
        "path_type": "must be a path",
        "datetime_type": _TIME,
        "datetime_parsing": _TIME,
        "datetime_from_date_parsing": _TIME,
        "timezone_aware": "must be a time with its zone, such as 2026-01-31T12:00:00Z",
        "recursion_loop": "is nested too deep",
    }
)
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]*")
_TYPES: Final = frozenset({"str", "int", "float", "bool", "bytes", "none", "dict", "list"})


def reason(problem: Mapping[str, Any]) -> str:
    """What is wrong with the value of one of pydantic's errors: "must be a whole number"."""
    message = str(problem["msg"])
    if message.startswith(_OWN):
        return message.removeprefix(_OWN)
    words = _WORDS.get(problem["type"])
    if words is None:
        return message if message.startswith("must ") else _OTHERWISE
    try:
        return words.format_map(problem.get("ctx") or {})
    except KeyError:
        return _OTHERWISE


def place(loc: Sequence[str | int], kind: str) -> tuple[str | int, ...]:
    """Where the value is, without the names of types that pydantic puts into a union's path.

    kind : the error's; the last step of some is a name that the caller made up
    """
    if not loc or loc[0] != "body":
        return tuple(loc)
    last = len(loc) - 1
    return tuple(
        step
        for number, step in enumerate(loc)
        if number == 0
        or isinstance(step, int)
        or (number == last and kind == "extra_forbidden")
        or (_FIELD.fullmatch(step) is not None and step not in _TYPES)
    )


def explained(
    problems: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each place with its reasons: those of a union's members at one place are joined by "or"."""
    found: dict[tuple[str | int, ...], list[str]] = {}
    for problem in problems:
        where = place(problem["loc"], problem["type"])
        reasons = found.setdefault(where, [])
        if (why := reason(problem)) not in reasons:
            reasons.append(why)
    for where, (first, *others) in found.items():
        yield where, " or ".join([first, *(each.removeprefix("must be ") for each in others)])
