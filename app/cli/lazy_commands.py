"""Lazy loading: a group of commands each of which is imported only when it is called.

Its own help and shell completion need no more than the names and what each command is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command: its module in `app.cli.commands`, whose `register` adds it, and its help.

    panel : the section of the help that lists it
    about : the first sentence of its own help
    """

    module: str
    panel: str
    about: str


class LazyGroup(TyperGroup):
    """A group that lists `entries` by name, and imports the module of the one that is called."""

    entries: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        stubs = {
            name: TyperCommand(
                name,
                help=entry.about,
                rich_help_panel=entry.panel,
                rich_markup_mode=attributes["rich_markup_mode"],
            )
            for name, entry in self.entries.items()
        }
        super().__init__(**{**attributes, "commands": stubs})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` begin with, now with its own options, and the rest of them."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, stub if name is None else self.load(name), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was called; words too many are usually a text without quotes."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            if error.message.startswith("Got unexpected extra argument"):
                error.message += ". A text of several words goes in quotes."
            raise

    def load(self, name: str) -> Any:
        """Import a command. Raises KeyError if there is none of this name."""
        module = import_module(f"app.cli.commands.{self.entries[name].module}")
        topic = typer.Typer(rich_markup_mode=self.rich_markup_mode)
        module.register(topic)
        return typer.main.get_group(topic).commands[name]
