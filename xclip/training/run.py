"""Training run: from a configuration to a checkpoint, resuming where an earlier one stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xclip.labels import told_alike
from xclip.preprocess import normalise
from xclip.processor import XCLIPProcessor
from xclip.text_bank import BANK_FILE
from xclip.training.augment import mix
from xclip.training.config import TrainingConfig
from xclip.training.distributed import average_gradients, barrier, process_group, rank, world_size
from xclip.training.ema import AveragedWeights
from xclip.training.errors import TrainingError
from xclip.training.gradient_cache import backward_in_parts
from xclip.training.initialisation import bank_of, first_model
from xclip.training.loader import BrokenFile, Drawn, Loader, Plan
from xclip.training.log import StepLog, read_unused, write_unused
from xclip.training.loop import BETAS, Loop, Taken
from xclip.training.network import Batch, TrainingNetwork
from xclip.training.parameter_groups import POSITIONS, parameter_groups
from xclip.training.progress import progress
from xclip.training.readers.rows import LeftOut
from xclip.training.samples import Samples, collect
from xclip.training.schedule import Rates
from xclip.training.validation import Validation, ValidationFigure

STATE_FILE, CHECKPOINT, STEPS_FILE, UNUSED_FILE = "state.pt", "checkpoint", "steps.csv", "unused"
_MIXING, _LAYERS = 1, 2  # what a step's generators are for


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended; what could not be used is also listed in the output folder.

    broken : files that could not be decoded, those of earlier parts of a resumed run included
    left_out : rows of the annotations that no sample was made of
    measured : on the validation clips, in the order of the steps; best : the highest of it
    """

    steps: int
    loss: float | None
    missing: tuple[Path, ...]
    broken: tuple[BrokenFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    measured: tuple[ValidationFigure, ...] = ()
    best: ValidationFigure | None = None


def train(
    config: TrainingConfig, watch: Callable[[int, Taken], None] = lambda step, taken: None
) -> Finished:
    """Train to the last step; `watch` is called after every step, counted from 1.

    Writes into `config.run.output`: the state, a checkpoint folder as transformers reads it, a line
    for each step, and the list of files that could not be used. Under torchrun all processes call
    it and the first one writes.

    Raises TrainingError, and what loading the first weights raises.
    """
    with process_group(config.run.device) as device:
        run = _Run(config, device)
        return run.train(watch)


class _Run:
    """The parts of one process's run."""

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.samples: Samples = collect(config.data, config.run.seed)
        model, self.processor = first_model(config.model, config.run.seed)
        bank = bank_of(config.model)
        # read now: the folder of the first weights may be gone when the last step is done
        self.bank = None if bank is None else bank.read_bytes()
        if config.run.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        model = model.to(device).train()
        self.network = TrainingNetwork(model, config.objective, config.run.precision)
        self.loop = _make_loop(config, self.network)
        self.validation: Validation | None = None
        if config.validation is not None and rank() == 0:
            self.validation = Validation(config, config.validation, self.samples, str(device))
        self.loader = _make_loader(config, self.samples, self.processor, self.network)
        self.label_tokens = self.processor.tokenizer(list(self.samples.labels)).to(device)
        if config.objective.kind == "labels":
            _require_distinct(self.samples.labels, self.label_tokens.input_ids)

    def train(self, watch: Callable[[int, Taken], None]) -> Finished:
        run = self.config.run
        run.output.mkdir(parents=True, exist_ok=True)
        state = run.output / STATE_FILE
        try:
            done = self.loop.load(state, self.config.to_json())
        except ValueError as error:
            raise TrainingError(str(error)) from error
        barrier()
        if self.validation is not None:
            self.validation.resume(done)
        parallel = self._parallel()
        taken: Taken | None = None
        with self._log(done) as write, progress(done, run.steps) as advance:
            for step, drawn in enumerate(self.loader.batches(done, run.steps), done):
                began = time.monotonic()
                taken = self._step(parallel, step, drawn)
                write(step + 1, taken, time.monotonic() - began)
                advance(taken)
                watch(step + 1, taken)
                self._validate(step + 1)
                if (step + 1) % run.save_every == 0 or step + 1 == run.steps:
                    self._save(state, step + 1)
        loss = None if taken is None else taken.loss
        samples = self.samples
        return Finished(
            run.steps,
            loss,
            samples.missing,
            self._broken(),
            samples.left_out,
            () if self.validation is None else tuple(self.validation.measured),
            None if self.validation is None else self.validation.best,
        )

    def _parallel(self) -> nn.Module:
        """Averages gradients while they are computed, where one backward pass computes them."""
        if world_size() == 1 or self.config.run.micro_batch:
            return self.network
        return DistributedDataParallel(self.network)

    def _step(self, parallel: nn.Module, step: int, drawn: Drawn) -> Taken:
        config = self.config
        batch = self._batch(step, drawn)
        # drop path draws from the step alone, and differently in each process
        seed = int(self._generator(step, _LAYERS).integers(2**31))

        def backward() -> Tensor:
            if config.run.micro_batch:
                scale = self.loop.scaler.scale
                part = config.run.micro_batch
                loss = backward_in_parts(self.network, batch, part, seed, scale)
                average_gradients(self.network.parameters())
                return loss
            torch.manual_seed(seed)
            loss = cast(Tensor, parallel(batch))
            torch.autograd.backward(self.loop.scaler.scale(loss))
            return loss

        return self.loop.step(step, backward)

    def _batch(self, step: int, drawn: Drawn) -> Batch:
        """Normalise and mix the videos, and encode what they are compared with."""
        augmenting = self.config.augment
        preprocessing = self.processor.image_processor.preprocessing
        pixels = normalise(drawn.frames.to(self.device), preprocessing)
        if self.config.objective.kind == "captions":
            tokens = self.processor.tokenizer(list(drawn.texts)).to(self.device)
            return Batch(pixels, tokens.input_ids, tokens.attention_mask)
        labels = self.samples.labels
        targets = torch.tensor([labels.index(text) for text in drawn.texts], device=self.device)
        if augmenting.mixup or augmenting.cutmix:
            generator = self._generator(step, _MIXING)
            pixels, targets = mix(pixels, targets, len(labels), augmenting, generator)
        tokens = self.label_tokens
        return Batch(pixels, tokens.input_ids, tokens.attention_mask, targets)

    def _generator(self, step: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.config.run.seed, step, rank(), purpose])

    @contextlib.contextmanager
    def _log(self, done: int) -> Iterator[Callable[[int, Taken, float], None]]:
        """A line per step from the first process; from each the list of what it could not use."""
        output = self.config.run.output
        log = StepLog(output / STEPS_FILE, done) if rank() == 0 else None
        try:
            yield log.add if log is not None else lambda step, taken, seconds: None
        finally:
            if log is not None:
                log.close()
            samples, annotations = self.samples, self.config.data.annotations.name
            write_unused(
                self._unused_file,
                [
                    *((f"{row.where} of {annotations}", row.reason) for row in samples.left_out),
                    *((str(path), "missing") for path in samples.missing),
                    *((str(item.path), item.reason) for item in self._broken()),
                ],
            )

    @property
    def _unused_file(self) -> Path:
        which = f"-{rank()}" if world_size() > 1 else ""
        return self.config.run.output / f"{UNUSED_FILE}{which}.csv"

    def _broken(self) -> tuple[BrokenFile, ...]:
        """What this part of the run could not decode, after what earlier parts could not."""
        files = {str(sample.path) for sample in self.samples.drawn}
        earlier = read_unused(self._unused_file)
        found = {path: reason for path, reason in earlier.items() if path in files}
        found |= {str(item.path): item.reason for item in self.loader.broken}
        return tuple(BrokenFile(Path(path), reason) for path, reason in found.items())

    def _validate(self, done: int) -> None:
        """Measure the weights if they are due; the other processes wait for the first."""
        due = self.config.validation
        if due is None:
            return
        if self.validation is not None and self.validation.is_due(done):
            self.validation.measure(done, self._save_checkpoint)
        if done % due.every == 0:
            barrier()

    def _save_checkpoint(self, folder: Path) -> None:
        """Write the weights, averaged ones where they are, with all that goes with them."""
        averaged = self.loop.averaged
        with contextlib.nullcontext() if averaged is None else averaged.in_place():
            self.network.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        if self.bank is not None:
            (folder / BANK_FILE).write_bytes(self.bank)

    def _save(self, state: Path, done: int) -> None:
        """The checkpoint first: where there is a state, there is a checkpoint of it."""
        if rank() == 0:
            self._save_checkpoint(state.parent / CHECKPOINT)
            self.loop.save(state, self.config.to_json(), done)
        barrier()


def _require_distinct(labels: Sequence[str], ids: Tensor) -> None:
    """Raise TrainingError for two labels of the same tokens: one cannot be learned beside it."""
    first: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(ids.tolist()):
        if (other := first.setdefault(tuple(row), number)) != number:
            raise TrainingError(told_alike(labels, (other, number)))


def _make_loop(config: TrainingConfig, network: TrainingNetwork) -> Loop:
    model, chosen = network.model, config.optimiser
    device = model.logit_scale.device.type
    groups = parameter_groups(model, chosen.weight_decay, chosen.new_parts, POSITIONS)
    return Loop(
        model,
        torch.optim.AdamW(groups, lr=chosen.rate, betas=BETAS),
        Rates(config.run.steps, chosen.warm_up, chosen.rate, chosen.final),
        chosen.clip_norm,
        AveragedWeights(model, chosen.ema) if chosen.ema else None,
        torch.amp.GradScaler(device, enabled=config.run.precision == "fp16"),
    )


def _make_loader(
    config: TrainingConfig, samples: Samples, processor: XCLIPProcessor, network: TrainingNetwork
) -> Loader:
    run = config.run
    plan = Plan(
        num_frames=network.model.config.vision_config.num_frames,
        edge=processor.image_processor.preprocessing.geometry.crop,
        batch_size=run.batch_size,
        seed=run.seed,
        workers=run.workers,
        decode_s=run.decode_s,
        cache_bytes=run.cache_mib << 20,
        rank=rank(),
        world=world_size(),
    )
    return Loader(samples.drawn, config.augment, plan)
