"""Train a network: one run folder, a checkpoint every epoch, resumable to the same history.

A run folder holds `run.json` (recipe, seed, data, versions), `history.csv` (a row an epoch),
`last.keras` (weights and optimizer after the newest complete epoch) and `best.keras` (the weights
with the highest validation accuracy). The epoch reached is the optimizer's own step count, so there
is no second place for it to disagree with.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import replacing, write_text
from fer_train import models
from fer_train.batches import TrainingBatches, one_hot, to_input
from fer_train.datasets import Dataset
from fer_train.recipe import Recipe, Training, from_dict

HISTORY = ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder and what it was asked for."""

    folder: Path
    recipe: Recipe
    seed: int
    training_split: str
    validation_split: str

    def history(self) -> list[dict[str, float]]:
        """The rows of `history.csv` so far."""
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        with path.open(newline="") as stream:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def create_run(
    folder: Path, recipe: Recipe, data: Dataset, *, seed: int,
    training_split: str = "Training", validation_split: str = "PublicTest",
) -> Run:  # fmt: skip
    """Make a new run folder.

    Raises:
        UsageError: the folder already holds a run.
    """
    if (folder / "run.json").exists():
        raise UsageError(f"{folder} already holds a run; continue it with --resume {folder}, or name another")
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "recipe": recipe.to_dict(),
        "recipe_sha256": recipe.sha256(),
        "seed": seed,
        "labels": list(data.labels),
        "data": data.source,
        "splits": {"training": training_split, "validation": validation_split},
        "counts": data.counts(),
        "data_sha256": {name: split.sha256() for name, split in data.splits.items()},
        "versions": versions(),
    }
    write_text(folder / "run.json", json.dumps(facts, indent=2) + "\n")
    return Run(folder, recipe, seed, training_split, validation_split)


def open_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UsageError: it is no run folder.
    """
    try:
        facts = json.loads((folder / "run.json").read_text())
        splits = facts["splits"]
        return Run(folder, from_dict(facts["recipe"]), facts["seed"], splits["training"], splits["validation"])
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"{folder} is not a run folder of fer-train ({error})") from error


def check_data(run: Run, data: Dataset) -> None:
    """Refuse to continue a run on other data than it began with.

    Raises:
        DataError: a split's pictures or labels differ.
    """
    wanted = json.loads((run.folder / "run.json").read_text())["data_sha256"]
    for name in (run.training_split, run.validation_split):
        if data.split(name).sha256() != wanted.get(name):
            raise DataError(f"{data.source}: split {name} is not the data that {run.folder} was begun with")


def fit(run: Run, data: Dataset, *, on_epoch: Callable[[dict[str, float]], None] | None = None) -> keras.Model:
    """Train until the recipe's last epoch, continuing where the folder stands; return the last model.

    On KeyboardInterrupt the epochs that were complete are in the folder.
    """
    recipe, training = run.recipe, run.recipe.training
    train, valid = data.split(run.training_split), data.split(run.validation_split)
    keras.utils.set_random_seed(run.seed)
    steps = len(train) // min(training.batch_size, len(train))
    checkpoint = run.folder / "last.keras"
    if checkpoint.exists():
        model = keras.saving.load_model(checkpoint)
    else:
        side = train.images.shape[1]
        model = models.build(**recipe.model, classes=len(data.labels), side=side)
        model.compile(
            optimizer=_optimizer(training, steps),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
            metrics=["accuracy"],
        )
    done = int(model.optimizer.iterations) // steps
    rows = run.history()[:done]
    batches = TrainingBatches(
        train, classes=len(data.labels), batch_size=training.batch_size,
        augmentation=recipe.augmentation, seed=run.seed, epoch=done,
    )  # fmt: skip
    if done < training.epochs:
        model.fit(
            batches,
            validation_data=(to_input(valid.images), one_hot(valid.labels, len(data.labels))),
            validation_batch_size=128,
            initial_epoch=done,
            epochs=training.epochs,
            shuffle=False,
            verbose="auto",
            callbacks=[_Checkpoint(run, rows, on_epoch)],
        )
    return model


class _Checkpoint(keras.callbacks.Callback):
    """Writes best, history and last, in this order: what a kill between them leaves is trained again."""

    def __init__(self, run: Run, rows: list[dict[str, float]], on_epoch: Callable[..., None] | None) -> None:
        super().__init__()
        self._run, self._rows, self._on_epoch = run, rows, on_epoch
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        best = max((row["val_accuracy"] for row in self._rows), default=-1.0)
        row = {
            "epoch": epoch + 1,
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            **{key: float((logs or {})[key]) for key in HISTORY[2:6]},
            "seconds": round(time.monotonic() - self._began, 1),
        }
        self._rows.append(row)
        if row["val_accuracy"] > best:
            self._save("best.keras")
        table = io.StringIO()
        writer = csv.DictWriter(table, HISTORY, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._run.folder / "history.csv", table.getvalue())
        self._save("last.keras")
        if self._on_epoch:
            self._on_epoch(row)

    def _save(self, name: str) -> None:
        with replacing(self._run.folder / name, suffix=".keras") as temporary:
            self.model.save(temporary)


def _optimizer(training: Training, steps: int) -> keras.optimizers.Optimizer:
    schedules = keras.optimizers.schedules
    rate: keras.optimizers.schedules.LearningRateSchedule
    if training.schedule == "exponential":
        rate = schedules.ExponentialDecay(training.learning_rate, steps, training.decay, staircase=True)
    else:
        warmup = round(training.warmup_epochs * steps)
        rate = schedules.CosineDecay(
            0.0 if warmup else training.learning_rate,
            max(1, training.epochs * steps - warmup),
            warmup_target=training.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if training.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    decayed = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    # Scales and offsets of a normalization have no direction to shrink towards zero.
    decayed.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return decayed


def versions() -> dict[str, str]:
    """Versions of everything the numbers depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "backend": keras.backend.backend()}
    for package in ("fer-edge", "keras", "tensorflow", "tensorflow-cpu", "jax", "numpy", "opencv-python-headless"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
