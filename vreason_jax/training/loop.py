"""A training run in its folder: starts, or continues from the newest snapshot."""

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.families.registry import read_model_config
from vreason_jax.json_files import read_json
from vreason_jax.output.files import make_folder
from vreason_jax.runtime.checkpoint import build_model
from vreason_jax.runtime.names import join_all
from vreason_jax.training import snapshots
from vreason_jax.training.batches import batches_ahead
from vreason_jax.training.config import TrainConfig, differences
from vreason_jax.training.folder import export, write_small_files
from vreason_jax.training.optimizer import initial_parameters, make_optimizer
from vreason_jax.training.step import data_mesh, make_step, place_batch, replicate
from vreason_jax.training.validation import Validation

CONFIG = "train_config.json"
CURVE = "curve.jsonl"
CHECKPOINT = "checkpoint"  # in HF layout
SMALL_FILES = "small_files"  # the same without weights
SNAPSHOTS = "snapshots"


def open_folder(folder: Path, config: TrainConfig) -> None:
    """Makes the training folder, or checks that it is one of `config`.

    Raises UserError for a folder that cannot be written, and for one of another config, naming the
    differences.
    """
    make_folder(folder, "--out")
    stated, now = folder / CONFIG, config.to_dict()
    if stated.exists():
        found = differences(read_json(stated), now)
        if found:
            raise UserError(
                f"{folder}: expected a training folder of this config; it was made with "
                f"{'; '.join(found)}; choose another folder"
            )
        return
    if any(folder.iterdir()):
        raise UserError(f"{folder}: expected a training folder or an empty one, got other files")
    write_small_files(folder / SMALL_FILES, config.model, config.run)
    stated.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def train(folder: Path, config: TrainConfig, progress: TextIO = sys.stderr) -> Path:
    """Trains to the end, from the newest snapshot if any, and returns the checkpoint folder."""
    open_folder(folder, config)
    run = Run(folder, config, progress)
    with batches_ahead(config, folder / SMALL_FILES, run.step) as batches:
        while run.step < config.run.steps:
            run.advance(next(batches))
    return folder / CHECKPOINT


class Run:
    """Parameters, optimizer state and step; writes snapshots and validations when they are due."""

    def __init__(self, folder: Path, config: TrainConfig, progress: TextIO):
        """Starts from the newest snapshot in the folder, or from the beginning."""
        self._folder, self._config = folder, config
        self._model_config = read_model_config(folder / SMALL_FILES)
        self._mesh = data_mesh(config.data.batch)
        optimizer = make_optimizer(config)
        self._step_function = make_step(self._model_config, optimizer, self._mesh)
        parameters = initial_parameters(self._model_config, config.run.seed)
        tree = {"parameters": parameters, "state": optimizer.init(parameters)}
        self.step = snapshots.latest(folder / SNAPSHOTS) or 0
        if self.step:
            tree = snapshots.restore(folder / SNAPSHOTS, self.step, tree)
        self._tree = replicate(tree, self._mesh)
        self._validation: Validation | None = None
        self._losses: list[jax.Array] = []
        self._progress = _Progress(progress, config, self.step)
        _cut_curve(folder / CURVE, self.step)

    def advance(self, arrays) -> None:
        """Takes one step, then writes the snapshot or validation that is due."""
        batch = place_batch(arrays, self._mesh)
        parameters, state, loss = self._step_function(
            self._tree["parameters"], self._tree["state"], batch
        )
        self._tree = {"parameters": parameters, "state": state}
        self.step += 1
        self._progress.show(self.step, float(loss))
        self._losses.append(loss)
        options, last = self._config.run, self.step == self._config.run.steps
        if last or self.step % options.validate_every == 0:
            self._validate()
        if last:
            self._export()
        if last or self.step % options.save_every == 0:
            snapshots.save(self._folder / SNAPSHOTS, self.step, self._tree)

    def _validate(self) -> None:
        losses, self._losses = np.array(self._losses, np.float32), []
        record: dict[str, Any] = {"step": self.step, "loss": round(float(losses.mean()), 5)}
        record["seconds"] = round(self._progress.seconds, 1)
        if self._config.run.validate_questions:
            if self._validation is None:
                self._validation = Validation(self._config, self._folder / SMALL_FILES)
            joined = join_all(self._model_config, self._tree["parameters"])
            model = build_model(self._model_config, joined)
            record |= self._validation.scores(model, self._mesh)
        with (self._folder / CURVE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._progress.note(json.dumps(record))
        self._export()

    def _export(self) -> None:
        parameters = {path: np.asarray(array) for path, array in self._tree["parameters"].items()}
        export(
            self._folder / CHECKPOINT,
            self._folder / SMALL_FILES,
            self._model_config,
            parameters,
            self._config.run.dtype,
        )


class _Progress:
    """A line with step, loss, rate and remaining time; notes get lines of their own."""

    def __init__(self, stream: TextIO, config: TrainConfig, first: int):
        self._stream, self._steps, self._batch = stream, config.run.steps, config.data.batch
        self._first, self._begin, self._shown, self._loss = first, time.monotonic(), 0.0, 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begin

    def show(self, step: int, loss: float) -> None:
        self._loss = loss if not self._loss else 0.95 * self._loss + 0.05 * loss
        every = 0.5 if self._stream.isatty() else 30.0
        if self.seconds - self._shown < every and step < self._steps:
            return
        self._shown = self.seconds
        done = step - self._first
        left = self.seconds / done * (self._steps - step) / 60
        filled = 24 * step // self._steps
        bar = "#" * filled + "." * (24 - filled)
        rate = done * self._batch / self.seconds
        line = (
            f"[{bar}] {step}/{self._steps}  loss {self._loss:.4f}  {rate:.1f} samples/s  "
            f"{left:.0f} min left"
        )
        end = "" if self._stream.isatty() else "\n"
        print(
            f"\r{line}" if self._stream.isatty() else line, end=end, file=self._stream, flush=True
        )

    def note(self, line: str) -> None:
        print(f"\n{line}" if self._stream.isatty() else line, file=self._stream, flush=True)


def _cut_curve(path: Path, step: int) -> None:
    """Drops the points that a killed run wrote after the snapshot from which this run continues."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    path.write_text("".join(kept), encoding="utf-8")
