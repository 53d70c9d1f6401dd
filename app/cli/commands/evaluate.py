"""Evaluation command: `evaluate` measures the model on annotated clips by the usual metrics."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.errors import reported
from app.cli.output import Listing, errors, output, plain
from xclip.text_file import read_lines
from xclip.training.readers import Kind as AnnotationKind

if TYPE_CHECKING:
    from app.settings import Settings
    from xclip.encoder import Encoder
    from xclip.evaluation.classification import Classification
    from xclip.evaluation.clip_loader import BrokenClip, Footage
    from xclip.evaluation.protocols import ViewProtocol
    from xclip.evaluation.retrieval import RetrievalLine
    from xclip.training.readers import Annotations
    from xclip.training.readers.clips import AnnotatedClip
    from xclip.training.readers.rows import LeftOut

AnnotationFile = Annotated[
    Path, typer.Argument(exists=True, help="The annotations: which clip shows what. See --kind.")
]
Videos = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="The folder of the files; else that of the annotations.",
    ),
]
Kind = Annotated[
    AnnotationKind,
    typer.Option(help="The format of the annotations: see docs/evaluation.md."),
]
Split = Annotated[str, typer.Option(help="The part of the annotations to read.")]
Style = Annotated[
    Literal["service", "original"],
    typer.Option(
        help="Frames as a search samples them, or as the published figures were measured."
    ),
]
Ties = Annotated[
    Literal["average", "optimistic", "repeat"],
    typer.Option(help="How to rank equal scores: see docs/evaluation.md."),
]
Report = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="Write all measurements to this file.")
]
Plots = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Draw into this folder; needs the extra `plots`."),
]

_SHOWN_BROKEN = 5


def register(cli: typer.Typer) -> None:
    """Add the command and what it can do."""
    evaluate = typer.Typer(help="Measure the model on annotated clips.", no_args_is_help=True)
    evaluate.command("retrieval")(retrieval)
    evaluate.command("classification")(classification)
    evaluate.command("split")(split)
    cli.add_typer(evaluate, name="evaluate")


def retrieval(
    annotations: AnnotationFile,
    videos: Videos = None,
    kind: Kind = "table",
    split: Split = "test",
    style: Style = "service",
    ties: Ties = "average",
    bank: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Texts for querybank normalisation, one per line; by default the model's bank.",
        ),
    ] = None,
    beta: Annotated[
        float, typer.Option(min=0.01, help="Inverse temperature of querybank normalisation.")
    ] = 20.0,
    report: Report = None,
    plots: Plots = None,
) -> None:
    """Text→video and video→text: R@1, R@5, R@10, median and mean rank, by three ways to score."""
    with _reported() as settings:
        # imported late: clients of the service never need PyTorch
        from xclip.evaluation.plots import plot_ranks, require_plots
        from xclip.evaluation.protocols import ViewProtocol
        from xclip.evaluation.retrieval import retrieval_lines, score_retrieval
        from xclip.evaluation.splits import digest

        if plots is not None:
            require_plots()
        found = _read(kind, annotations, videos, split)
        clips = found.clips
        encoder = _load(settings)
        others = encoder.bank if bank is None else _lines(bank)
        protocol = ViewProtocol(style)
        footage = _footage(settings, encoder, clips, protocol)
        with _progress(len(footage.clips)) as seen:
            scores = score_retrieval(encoder, footage, others, seen)
        lines = retrieval_lines(scores, ties, beta)
        output().print(_retrieval_table(lines))
        _tell_left_out(found.left_out)
        _tell_broken(footage.broken)
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            plot_ranks(plots / "ranks.svg", lines)
        if report is not None:
            content = _about(encoder, protocol, split, footage.broken, found.left_out)
            content |= {
                "list_sha256": digest(clips, videos or annotations.parent),
                "ties": ties,
                "beta": beta,
                "bank_texts": len(scores.bank),
                "figures": [
                    {"method": line.method, "direction": line.direction, **asdict(line.figures)}
                    for line in lines
                ],
            }
            _write(report, content)


def classification(
    annotations: AnnotationFile,
    videos: Videos = None,
    kind: Kind = "table",
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="The part of the annotations to read; several are measured one by one and "
            "averaged. Left out: test."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The labels to choose from, one per line; by default those of the clips.",
        ),
    ] = None,
    template: Annotated[
        str, typer.Option(help="The prompt template; {} stands for the label.")
    ] = "{}",
    style: Style = "service",
    views: Annotated[
        Literal["1x1", "1x3", "4x1", "4x3"],
        typer.Option(help="Clips in time by crops in space; published figures are 4x3."),
    ] = "1x1",
    report: Report = None,
    plots: Plots = None,
) -> None:
    """Top-1 and top-5, zero-shot or with a model trained on the labels."""
    with _reported() as settings:
        from xclip.evaluation.classification import classify_footage, labels_of
        from xclip.evaluation.plots import require_plots
        from xclip.evaluation.protocols import ViewProtocol
        from xclip.evaluation.splits import digest

        if plots is not None:
            require_plots()
        names = split or ["test"]
        parts = [_read(kind, annotations, videos, name) for name in names]
        encoder = _load(settings)
        protocol = ViewProtocol(style, int(views[0]), 3 if views[2] == "3" else 1)
        measured: list[tuple[str, Classification]] = []
        contents = []
        for name, found in zip(names, parts, strict=True):
            clips = found.clips
            known = labels_of(clips) if labels is None else _lines(labels)
            footage = _footage(settings, encoder, clips, protocol)
            with _progress(len(footage.clips)) as seen:
                classified = classify_footage(encoder, footage, known, template, seen)
            measured.append((name, classified))
            _tell_left_out(found.left_out)
            _tell_broken(footage.broken)
            contents.append(
                _about(encoder, protocol, name, footage.broken, found.left_out)
                | {"list_sha256": digest(clips, videos or annotations.parent)}
                | {"template": template, "labels": len(known), "clips": len(classified.truth)}
                | _accuracies(classified)
            )
        output().print(_classification_table(measured))
        if plots is not None:
            _plot_classified(plots, measured)
        if report is not None:
            _write(report, {"splits": contents})


def split(
    annotations: AnnotationFile,
    into: Annotated[Path, typer.Option(file_okay=False, help="The folder to write to.")],
    videos: Videos = None,
    kind: Kind = "table",
    part: Annotated[str, typer.Option(help="The part of the annotations to split.")] = "train",
    share: Annotated[
        float, typer.Option(min=0, max=1, help="The share of the files that is kept for tests.")
    ] = 0.2,
    by_label: Annotated[
        bool, typer.Option("--by-label", help="Keep that share of each label's files.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draws.")] = 0,
) -> None:
    """Split annotations into two tables, for training and for tests, and record how."""
    with _reported():
        from xclip.evaluation.splits import write_split

        found = _read(kind, annotations, videos, part)
        folder = videos or annotations.parent
        clips = found.clips
        record = write_split(annotations, folder, clips, into, share, seed, by_label=by_label)
        _tell_left_out(found.left_out)
    output().print(
        plain(f"{record.train_clips} clips to train with, {record.test_clips} to test, in {into}")
    )


def _read(kind: AnnotationKind, annotations: Path, videos: Path | None, split: str) -> Annotations:
    from xclip.training.readers import read_annotations

    return read_annotations(kind, annotations, videos or annotations.parent, split)


def _load(settings: Settings) -> Encoder:
    from xclip.encoders import load_encoder

    return load_encoder(
        settings.model,
        revision=settings.model_revision,
        device=settings.device,
        num_threads=settings.threads,
    )


def _footage(
    settings: Settings, encoder: Encoder, clips: Sequence[AnnotatedClip], protocol: ViewProtocol
) -> Footage:
    from xclip.evaluation.clip_loader import Footage
    from xclip.evaluation.views import Viewing
    from xclip.video.containers import Limits

    viewing = Viewing(
        encoder.num_frames,
        encoder.geometry,
        protocol,
        wall_clock_s=settings.decode_timeout_s,
        memory_bytes=settings.decode_memory_bytes,
        limits=Limits(max_pixels=settings.max_pixels),
    )
    return Footage(clips, viewing)


def _lines(path: Path) -> list[str]:
    """The lines of a file that hold something, each once."""
    return list(dict.fromkeys(line for _, line in read_lines(path)))


def _retrieval_table(lines: Sequence[RetrievalLine]) -> Listing:
    numbers = ("queries>", "R@1>", "R@5>", "R@10>", "median>", "mean rank>")
    table = Listing("score", "direction", *numbers)
    for line in lines:
        figures = line.figures
        shares = (f"{share:.3f}" for share in (figures.r1, figures.r5, figures.r10))
        rank = (f"{figures.median:g}", f"{figures.mean:.2f}")
        table.add_row(line.method, line.direction, str(figures.queries), *shares, *rank)
    return table


def _classification_table(measured: Sequence[tuple[str, Classification]]) -> Listing:
    figures = ("top-1>", "top-5>", "class mean>", "calibration error>")
    table = Listing("split", "clips>", "labels>", *figures)
    accuracies = [list(_accuracies(classified).values()) for _, classified in measured]
    for (name, classified), values in zip(measured, accuracies, strict=True):
        counts = str(len(classified.truth)), str(len(classified.labels))
        table.add_row(plain(name), *counts, *(f"{value:.3f}" for value in values))
    if len(measured) > 1:
        means = [sum(column) / len(column) for column in zip(*accuracies, strict=True)]
        table.add_row("mean", "", "", *(f"{mean:.3f}" for mean in means))
    return table


def _accuracies(classified: Classification) -> dict[str, float]:
    return {
        "top_1": classified.top(1),
        "top_5": classified.top(5),
        "class_mean": classified.class_mean,
        "calibration_error": classified.calibration_error,
    }


def _plot_classified(folder: Path, measured: Sequence[tuple[str, Classification]]) -> None:
    from xclip.evaluation.plots import plot_calibration, plot_confusion

    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, classified) in enumerate(measured, start=1):
        suffix = f"-{number}.svg" if len(measured) > 1 else ".svg"
        plot_confusion(folder / f"confusion{suffix}", classified)
        plot_calibration(folder / f"calibration{suffix}", classified)


def _about(
    encoder: Encoder,
    protocol: ViewProtocol,
    split: str,
    broken: Sequence[BrokenClip],
    left_out: Sequence[LeftOut],
) -> dict[str, Any]:
    """What a figure depends on, so that it can be reproduced."""
    return {
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "split": split,
        "protocol": asdict(protocol),
        "broken": [{"path": str(one.clip.path), "reason": one.reason} for one in broken],
        "left_out": [asdict(row) for row in left_out],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tell_left_out(rows: Sequence[LeftOut]) -> None:
    """List on stderr the rows of the annotations that no clip was made of."""
    _list_on_stderr(
        f"{len(rows)} rows of the annotations cannot be used and are left out:", map(str, rows)
    )


def _tell_broken(broken: Sequence[BrokenClip]) -> None:
    """List on stderr the clips that could not be decoded; the figures leave out their texts."""
    _list_on_stderr(
        f"{len(broken)} clips could not be decoded and are left out:",
        (f"{one.clip.path}: {one.reason}" for one in broken),
    )


def _list_on_stderr(heading: str, lines: Iterable[str]) -> None:
    """The first of the lines below their heading, and how many more there are; of none, nothing."""
    console, listed = errors(), list(lines)
    if listed:
        console.print(heading)
    for line in listed[:_SHOWN_BROKEN]:
        console.print(plain(f"  {line}"))
    if len(listed) > _SHOWN_BROKEN:
        console.print(f"  and {len(listed) - _SHOWN_BROKEN} more; --json lists them")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[AnnotatedClip], None]]:
    """A progress bar on stderr; the function it yields is called with each clip."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("clips"), TimeRemainingColumn())
    with Progress(*columns, console=errors(), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda clip: progress.advance(task)


@contextmanager
def _reported() -> Iterator[Settings]:
    """The settings; an error that the operator can fix ends with one line and a status."""
    from app.settings import load_settings  # late for the same reason
    from xclip.errors import XCLIPError

    with reported(XCLIPError):
        yield load_settings(os.environ)
