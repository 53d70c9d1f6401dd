"""Route dependencies: each alias hands a route the service that it is annotated with."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi.routing import iter_route_contexts
from starlette.requests import Request

from app.composition import Services
from app.main import create_app
from app.routes import dependencies
from app.settings import Settings
from tests.app.stack import Stack

ALIASES = {
    name: get_args(alias)
    for name, alias in vars(dependencies).items()
    if name.endswith("Dep") and get_origin(alias) is Annotated
}


def provided(alias: str, stack: Stack) -> Any:
    """What a request to the running service gets for an alias."""
    _, depends = ALIASES[alias]
    request = Request({"type": "http", "state": stack.api.app_state})
    return asyncio.run(depends.dependency(request))


def test_each_service_has_one_alias(stack: Stack):
    """The aliases together hand out every service, each of them once."""
    handed_out = [id(provided(alias, stack)) for alias in ALIASES]
    services = stack.api.app_state["services"]
    held = [id(getattr(services, field.name)) for field in fields(Services)]
    assert sorted(handed_out) == sorted(held)


def test_an_alias_hands_out_what_it_is_annotated_with(stack: Stack):
    """The class in the annotation is the class of the service's field."""
    classes = get_type_hints(Services)
    services = stack.api.app_state["services"]
    for alias, (annotated, _) in ALIASES.items():
        held = [
            kind
            for name, kind in classes.items()
            if provided(alias, stack) is getattr(services, name)
        ]
        assert held == [annotated], alias


def test_routes_name_single_services():
    """No parameter of a route, nor of what it depends on, is the dataclass that holds them all."""
    contexts = list(iter_route_contexts(create_app(Settings()).routes))
    todo = [dependant for each in contexts if (dependant := getattr(each, "dependant", None))]
    assert len(todo) > 30
    while todo:
        dependant = todo.pop()
        assert Services not in get_type_hints(dependant.call).values()
        todo += dependant.dependencies
