"""Train a network: one run folder, a checkpoint every epoch, resumable to the same history.

A run folder gains `history.csv` (a row an epoch), `last.keras` (weights and optimizer after the newest
complete epoch) and `best.keras` (the weights with the highest validation accuracy; in the end, where
the recipe asks for it, their mean with those that the run began with). The epoch reached is the
optimizer's own step count, so there is no second place for it to disagree with.
"""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge.contract.files import replacing, write_text
from fer_train import models
from fer_train.batches import TrainingBatches, to_input
from fer_train.datasets import Dataset
from fer_train.datasets.records import one_hot
from fer_train.datasets.splits import hold_out
from fer_train.distillation import load_teacher
from fer_train.models.centering import MeanSubtraction
from fer_train.recipe import Training
from fer_train.runs import HISTORY, LAST, START, WEIGHTS, Run


def fit(
    run: Run,
    data: Dataset,
    *,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    progress_bar: bool = False,
    interrupted: threading.Event | None = None,
) -> keras.Model:
    """Train until the recipe's last epoch, continuing where the folder stands; return the network it ends with.

    On KeyboardInterrupt, and once `interrupted` is set, the epochs that were complete are in the folder.

    Args:
        run: an open run folder.
        data: divided as the run wants it (`Run.divided`).
        on_epoch: called with each new row of the history.
        progress_bar: draw Keras' bar of each epoch on stdout.
        interrupted: looked at before each step and at the end.

    Raises:
        KeyboardInterrupt: `interrupted` was set.
        DataError: `last.keras` is damaged.
    """
    recipe, training = run.recipe, run.recipe.training
    train, _ = hold_out(data.split(run.training_split), training.hold_out)
    valid = data.split(run.validation_split)
    keras.utils.set_random_seed(run.seed)
    batches = TrainingBatches(
        train, classes=len(data.labels), batch_size=training.batch_size,
        augmentation=recipe.augmentation, seed=run.seed, mixup=training.mixup,
        teacher=load_teacher(run, classes=len(data.labels), side=train.images.shape[1]),
        teacher_share=training.teacher_share, teacher_views=training.teacher_views,
    )  # fmt: skip
    checkpoint = run.folder / LAST
    options = dict(recipe.model)
    if checkpoint.exists():
        # The network comes from the run: the file that it once began with may have gone.
        options.pop("weights", None)
    keras.config.set_dtype_policy(training.precision)
    try:
        model = models.build(**options, classes=len(data.labels), side=train.images.shape[1])
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(
        optimizer=_optimizer(training, len(batches)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        metrics=["accuracy"],
    )
    for layer in model.layers:
        if isinstance(layer, MeanSubtraction):
            layer.adapt(to_input(train.images))
    if checkpoint.exists():
        # Only the state is taken from the file: Keras does not save what AdamW leaves undecayed.
        model.optimizer.build(model.trainable_variables)
        models.restore(model, checkpoint)
    elif training.start:
        known = run.start_labels()
        columns = [known.index(label) if label in known else None for label in data.labels]
        models.start(model, run.folder / START, columns if known != data.labels else None)
    done = int(model.optimizer.iterations) // len(batches)
    if done < training.epochs:
        model.fit(
            batches,
            validation_data=(to_input(valid.images), one_hot(valid.labels, len(data.labels))),
            validation_batch_size=128,
            initial_epoch=done,
            epochs=training.epochs,
            shuffle=False,
            verbose=1 if progress_bar else 0,
            callbacks=[
                _Checkpoint(run, batches, run.history()[:done], on_epoch),
                *([_Interruption(interrupted)] if interrupted else []),
            ],
        )
    if interrupted and interrupted.is_set():
        raise KeyboardInterrupt
    if training.start_share:
        last = model.get_weights()
        models.start(model, run.folder / START)
        share = training.start_share
        model.set_weights([share * a + (1 - share) * b for a, b in zip(model.get_weights(), last, strict=True)])
        _save(model, run.folder / WEIGHTS)
    return model


def _save(model: keras.Model, path: Path) -> None:
    with replacing(path, suffix=".keras") as temporary:
        model.save(temporary)


class _Interruption(keras.callbacks.Callback):
    def __init__(self, interrupted: threading.Event) -> None:
        super().__init__()
        self._interrupted = interrupted

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_begin(batch)


class _Checkpoint(keras.callbacks.Callback):
    """Writes best, history and last, in this order: what a kill between them leaves is trained again."""

    def __init__(
        self,
        run: Run,
        batches: TrainingBatches,
        rows: list[dict[str, float]],
        on_epoch: Callable[[dict[str, float]], None] | None,
    ) -> None:
        super().__init__()
        self._run, self._batches, self._rows, self._on_epoch = run, batches, rows, on_epoch
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.begin_epoch(epoch + 1)
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
            _save(self.model, self._run.folder / WEIGHTS)
        table = io.StringIO()
        writer = csv.DictWriter(table, HISTORY, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._run.folder / "history.csv", table.getvalue())
        _save(self.model, self._run.folder / LAST)
        if self._on_epoch:
            self._on_epoch(row)


def _optimizer(training: Training, steps: int) -> keras.optimizers.Optimizer:
    schedules = keras.optimizers.schedules
    rate: keras.optimizers.schedules.LearningRateSchedule
    if training.schedule == "exponential":
        rate = schedules.ExponentialDecay(training.learning_rate, steps, training.decay, staircase=True)
    elif training.schedule == "inverse_time":
        rate = schedules.InverseTimeDecay(training.learning_rate, 1, training.decay)
    else:
        warmup = round(training.warmup_epochs * steps)
        rate = schedules.CosineDecay(
            0.0 if warmup else training.learning_rate,
            max(1, training.epochs * steps - warmup),
            warmup_target=training.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    clip = training.gradient_clip or None
    if training.optimizer == "adam":
        return keras.optimizers.Adam(rate, global_clipnorm=clip)
    decayed = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, global_clipnorm=clip)
    # Scales and offsets of a normalization have no direction to shrink towards zero.
    decayed.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return decayed
