"""Whole runs over real files: they learn, they resume bit for bit, they leave a checkpoint."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xclip.encoders import load_encoder
from xclip.training.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimiserConfig,
    RunConfig,
    TrainingConfig,
    ValidationConfig,
)
from xclip.training.errors import TrainingError
from xclip.training.loop import Taken
from xclip.training.run import train
from xclip.weights import load_model


@pytest.fixture
def config(library: Path, checkpoint: Path, tmp_path: Path) -> TrainingConfig:
    """Everything that draws at random or keeps a state of its own is on."""
    return TrainingConfig(
        ModelConfig(str(checkpoint), text="trained", drop_path=0.2),
        DataConfig("table", library / "table.csv", library),
        ObjectiveConfig("captions", label_smoothing=0.1),
        RunConfig(tmp_path / "whole", steps=6, batch_size=3, save_every=2, seed=4, device="cpu"),
        AugmentConfig(smallest_crop=0.5, colour=0.5, flip=0.5),
        OptimiserConfig(rate=1e-3, new_parts=2.0, warm_up=2, clip_norm=1.0, ema=0.5),
    )


class Stopped(Exception):
    """What ends a run in the middle."""


def stop_after(last: int):
    def watch(step: int, taken: Taken) -> None:
        if step == last:
            raise Stopped

    return watch


def rows(output: Path) -> list[list[str]]:
    """What `steps.csv` says of each step, but the seconds."""
    with (output / "steps.csv").open(newline="") as lines:
        return [row[:4] for row in csv.reader(lines)]


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    config: TrainingConfig, micro_batch: int, tmp_path: Path
) -> None:
    """Stopped after step 5, resumed from step 4: same losses, same weights, same average."""
    config = replace(config, run=replace(config.run, micro_batch=micro_batch))
    finished = train(config)
    parts = replace(config, run=replace(config.run, output=tmp_path / "parts"))
    with pytest.raises(Stopped):
        train(parts, stop_after(5))
    seen: list[int] = []
    again = train(parts, lambda step, taken: seen.append(step))
    assert seen == [5, 6]
    assert again.loss == finished.loss
    assert rows(parts.run.output) == rows(config.run.output)
    whole, resumed = (
        torch.load(run.output / "state.pt", weights_only=True) for run in (config.run, parts.run)
    )
    for part in ("model", "average"):
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), name


def test_what_a_run_leaves(config: TrainingConfig, library: Path) -> None:
    """A checkpoint of the averaged weights that the service loads, and what it could not use."""
    finished = train(config)
    assert finished.missing == (library / "gone.mp4",)
    assert [item.path.name for item in finished.broken] == ["noise.mp4"]
    unused = (config.run.output / "unused.csv").read_text()
    assert "gone.mp4,missing" in unused
    assert "noise.mp4," in unused
    folder = config.run.output / "checkpoint"
    assert load_encoder(str(folder), device="cpu").encode_text(["a red circle"]).shape == (1, 12)
    state = torch.load(config.run.output / "state.pt", weights_only=True)
    saved = load_model(folder).state_dict()
    name = "visual_projection.weight"
    assert torch.equal(saved[name], state["average"][name])
    assert not torch.equal(saved[name], state["model"][name])


def test_a_finished_run_that_is_repeated_keeps_what_it_could_not_use(
    config: TrainingConfig,
) -> None:
    """It decodes nothing again, and neither forgets the broken files nor lists one twice."""
    first = train(config)
    listed = (config.run.output / "unused.csv").read_text()
    again = train(config)
    assert again.broken == first.broken
    assert (config.run.output / "unused.csv").read_text() == listed


def test_labels_of_the_same_tokens_are_refused(config: TrainingConfig, tmp_path: Path) -> None:
    """They differ in case alone: each would be the other's wrong answer."""
    clips = sorted(path.name for path in config.data.videos.glob("*.mp4"))
    rows = [f"{name},{label}" for name, label in zip(clips, ["Red", "red", "blue"], strict=False)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    data = replace(config.data, annotations=tmp_path / "t.csv")
    with pytest.raises(TrainingError, match="'Red' and 'red' are the same to the model"):
        train(replace(config, data=data, objective=ObjectiveConfig("labels")))


@pytest.mark.parametrize("kind", ["labels", "captions"])
def test_the_best_weights_on_the_validation_clips_are_kept(
    config: TrainingConfig, tmp_path: Path, kind: str
) -> None:
    """With the curve; a run that was stopped goes on with what it had measured."""
    clips = sorted(path.name for path in config.data.videos.glob("*.mp4") if path.stem != "noise")
    rows = [f"{name},{['red', 'blue'][n % 2]},train" for n, name in enumerate(clips[:4])]
    rows += [f"{name},{['red', 'blue'][n % 2]},val" for n, name in enumerate(clips[4:])]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split", *rows]))
    config = replace(
        config,
        data=replace(config.data, annotations=tmp_path / "t.csv"),
        objective=ObjectiveConfig(kind),
        run=replace(config.run, save_every=2),
        validation=ValidationConfig(every=2),
    )
    finished = train(config)
    assert [one.step for one in finished.measured] == [2, 4, 6]
    assert finished.best == max(finished.measured, key=lambda one: one.figure)
    best = load_model(config.run.output / "best").state_dict()
    last = load_model(config.run.output / "checkpoint").state_dict()
    same = all(torch.equal(value, last[name]) for name, value in best.items())
    assert same == (finished.best.step == 6)
    parts = replace(config, run=replace(config.run, output=tmp_path / "parts"))
    with pytest.raises(Stopped):
        train(parts, stop_after(3))
    assert train(parts).measured == finished.measured
    assert not (parts.run.output / ".candidate").exists()


def test_validation_on_what_is_trained_is_refused(config: TrainingConfig) -> None:
    """A table without splits would give every clip to both."""
    with pytest.raises(TrainingError, match=r"7 clips of the validation split 'val' .* trained on"):
        train(replace(config, validation=ValidationConfig()))


def test_the_cache_of_frames_changes_no_loss(config: TrainingConfig) -> None:
    """Over several epochs; and a run may go on with another bound."""
    train(config)
    uncached = replace(config.run, output=config.run.output.with_name("uncached"), cache_mib=0)
    train(replace(config, run=uncached))
    assert rows(uncached.output) == rows(config.run.output)
    train(replace(config, run=replace(uncached, cache_mib=1)))


def test_another_run_in_the_same_folder_is_refused(config: TrainingConfig) -> None:
    """Going on under other settings would be neither run."""
    train(replace(config, run=replace(config.run, steps=3)))
    with pytest.raises(TrainingError, match="belongs to another run"):
        train(config)


def test_labels_are_learned(config: TrainingConfig) -> None:
    """Cross-entropy over all captions as labels falls; the frozen text tower stays as it was."""
    config = replace(
        config,
        model=replace(config.model, text="frozen", drop_path=0.0),
        objective=ObjectiveConfig("labels"),
        augment=AugmentConfig(),
        optimiser=OptimiserConfig(rate=1e-2, new_parts=1.0),
        run=replace(config.run, steps=12, save_every=12, gradient_checkpointing=True),
    )
    losses: list[float] = []
    train(config, lambda step, taken: losses.append(taken.loss))
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    before = load_model(config.model.source).state_dict()
    after = load_model(config.run.output / "checkpoint").state_dict()
    for name, value in before.items():
        frozen = name.startswith(("text_", "logit_scale"))
        if frozen:
            assert torch.equal(after[name], value), name
    assert not torch.equal(before["visual_projection.weight"], after["visual_projection.weight"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_labels_in_lower_precision(config: TrainingConfig, precision: str) -> None:
    """Mix-up and cut-mix, few shots, a scaler where needed: finite, and weights stay float32."""
    config = replace(
        config,
        data=replace(config.data, shots=1),
        objective=ObjectiveConfig("labels", 0.1),
        augment=AugmentConfig(mixup=0.8, cutmix=1.0),
        run=replace(config.run, precision=precision, steps=3),
    )
    losses: list[float] = []
    train(config, lambda step, taken: losses.append(taken.loss))
    assert all(0 < loss < 100 for loss in losses)
    weights = load_model(config.run.output / "checkpoint").state_dict().values()
    assert all(torch.isfinite(value).all() for value in weights)
