"""Calibration commands: measure a collection on disk, with or without a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from app.cli.errors import reported
from app.cli.output import Cell, Listing, figure, output, plain

if TYPE_CHECKING:
    from app.calibration.confidence import HeldOut
    from app.calibration.recall import Measured
    from app.settings import Settings

Collection = Annotated[str, typer.Argument(help="The collection to measure.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random draws.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (calibrate, recall):
        cli.command()(command)


def calibrate(
    collection: Collection,
    pairs: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Texts and the moments that show them, as JSON lines: see docs/confidence.md.",
        ),
    ] = None,
    background: Annotated[
        int, typer.Option(min=20, max=10_000, help="How many segments to compare scores with.")
    ] = 256,
    seed: Seed = 0,
    remove: Annotated[
        bool, typer.Option("--remove", help="Return to the model's own calibration.")
    ] = False,
) -> None:
    """Calibrate confidence on a collection; a running service uses it at once."""
    if remove and pairs is not None:
        raise typer.BadParameter("--remove does not calibrate; leave out --pairs")
    console = output()
    with _reported() as settings:
        # imported late: clients of the service never need PyTorch
        from app.calibration import confidence
        from app.calibration.labelled_pairs import locate, read_pairs
        from app.calibration.stored_collection import open_catalog, open_footage

        folder = settings.layout.calibrations
        if remove:
            with open_catalog(settings) as catalog:
                removed = confidence.remove(catalog, collection, folder)
            console.print(
                "The collection uses its model's own calibration again, if the model has one."
                if removed
                else "The collection had no calibration of its own."
            )
            return
        numbered = None if pairs is None else read_pairs(pairs)
        with open_footage(settings, collection) as footage:
            shown = None if numbered is None else locate(footage.catalog, collection, numbered)
            fitted = confidence.calibrate(footage, folder, shown, background, seed)
    if fitted.held_out is None:
        console.print(
            f"Confidence is now estimated against {fitted.background} segments of the collection. "
            "Nothing was measured: how often it is right is not known. For a calibrated one, "
            "give --pairs with at least 20 texts, each with a segment or interval that shows it."
        )
        return
    console.print(_held_out_table(fitted.held_out))
    console.print(f"Confidence is now calibrated, with all texts ({fitted.name}).")


def recall(
    collection: Collection,
    queries: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Texts to search for, one per line; by default a sample of the model's bank.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Texts to draw from the bank.")] = 50,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many results to count.")] = 10,
    target: Annotated[
        float, typer.Option(min=0, max=1, help="The share of those results that must be found.")
    ] = 0.99,
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print; do not change the collection.")
    ] = False,
) -> None:
    """Measure how many candidates a search must score, and let the collection use that number."""
    console = output()
    with _reported() as settings:
        from app.calibration.recall import draw_queries, measure_recall, read_queries
        from app.calibration.stored_collection import open_footage  # late for the same reason

        given = None if queries is None else read_queries(queries)
        with open_footage(settings, collection) as footage:
            texts = given or draw_queries(footage.encoder.bank, count, seed)
            measured = measure_recall(footage, texts, top, settings.threads)
            console.print(_recall_table(measured))
            enough = measured.enough(target)
            if not dry_run:
                footage.catalog.set_recall_candidates(collection, enough)
    verdict = "are enough" if dry_run else "are enough and are recalled from now on"
    console.print(f"{enough} of {measured.segments} candidates {verdict}.")


def _held_out_table(held_out: HeldOut) -> Listing:
    table = Listing(f"on {held_out.texts} texts held out of the fit", "searches>", "value>")
    error = figure(held_out.error, ".3f")
    table.add_row("expected calibration error", str(held_out.searches), error)
    for name, part, whole in (
        ("nothing to find: abstains at 0.5", held_out.abstained, held_out.without_match),
        ("right first: kept at 0.5", held_out.kept, held_out.right),
    ):
        share = figure(part / whole, ".3f") if whole else Cell(plain("—"), "")
        table.add_row(name, str(whole), share)
    return table


def _recall_table(measured: Measured) -> Listing:
    heads = ["candidates>", "recall@1>"]
    if measured.top > 1:
        heads.append(f"recall@{measured.top}>")
    table = Listing(*heads)
    for line in measured.lines:
        name = "all" if line.candidates == measured.segments else str(line.candidates)
        values: list[RenderableType] = [
            plain(name),
            figure(line.of_best, ".3f"),
            figure(line.of_top, ".3f"),
        ]
        table.add_row(*values[: len(heads)])
    return table


@contextmanager
def _reported() -> Iterator[Settings]:
    """The settings; an error that the operator can fix ends with one line and a status."""
    from app.calibration.stored_collection import CalibrationError
    from app.catalog.errors import DATABASE_ERRORS, CatalogError  # late for the same reason
    from app.settings import load_settings
    from index.errors import VectorStoreError

    with reported(CalibrationError, CatalogError, VectorStoreError, database=DATABASE_ERRORS):
        yield load_settings(os.environ)
