"""What a run folder shows of its best model: figures as JSON and text, and pictures of them."""

from __future__ import annotations

import json

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.files import sha256_of, write_text
from fer_train import models, plots
from fer_train.batches import to_input
from fer_train.datasets import Dataset, copies
from fer_train.evaluation import Evaluation, evaluate
from fer_train.runs import Run


def predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (float32, (n, classes)) of grey pictures (uint8, (n, height, width))."""
    found: NDArray[np.float32] = model.predict(to_input(images), batch_size=128, verbose=0)
    return found


def write_report(run: Run, data: Dataset) -> Evaluation:
    """Evaluate `best.keras` on the validation split and write what a run folder shows.

    Writes `evaluation.json`, `evaluation.txt`, `curves.png`, `class_distribution.png`,
    `confusion_matrix.png`, `augmentation.png` and `predictions.png`.

    Args:
        run: a run with at least one complete epoch.
        data: divided as the run wants it (`Run.divided`).

    Raises:
        DataError: the run has no complete epoch, or its weights are damaged.
    """
    if not (run.folder / "best.keras").exists():
        raise DataError(f"{run.folder} has no complete epoch yet; continue it with --resume {run.folder}")
    model = models.load(run.folder / "best.keras")
    training, validation = data.split(run.training_split), data.split(run.validation_split)
    probabilities = predict(model, validation.images)
    result = evaluate(probabilities, validation.labels, data.labels)
    history = run.history()
    best = max(history, key=lambda row: row["val_accuracy"])
    facts = {
        "model": "best.keras",
        "model_sha256": sha256_of(run.folder / "best.keras"),
        "parameters": model.count_params(),
        "epoch": best["epoch"],
        "epochs_trained": len(history),
        "epochs_wanted": run.recipe.training.epochs,
        "split": run.validation_split,
        "copies": copies(training, validation),
        **result.to_dict(),
    }
    write_text(run.folder / "evaluation.json", json.dumps(facts, indent=2) + "\n")
    write_text(run.folder / "evaluation.txt", result.table() + "\n")
    title = f"{run.recipe.name}, seed {run.seed}"
    on_split = f"{run.validation_split} ({len(validation):,} pictures, accuracy {100 * result.accuracy:.2f} %)"
    plots.curves(run.folder / "curves.png", history, f"{title}: {len(history)} of {run.recipe.training.epochs} epochs")
    plots.class_distribution(run.folder / "class_distribution.png", data)
    plots.confusion_matrix(run.folder / "confusion_matrix.png", result, f"{title}: best.keras on {on_split}")
    plots.augmentation_sheet(
        run.folder / "augmentation.png", training, data.labels,
        augmentation=run.recipe.augmentation, seed=run.seed,
    )  # fmt: skip
    plots.prediction_sheet(
        run.folder / "predictions.png", validation, data.labels, probabilities=probabilities,
        title=f"{title}: best.keras on {on_split}, drawn at random", seed=run.seed,
    )  # fmt: skip
    return result
