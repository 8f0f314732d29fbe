"""Which pictures train and which validate, and how far the two overlap."""

from __future__ import annotations

import dataclasses

import numpy as np

from fer_edge.contract.errors import DataError, UsageError
from fer_train.datasets.records import SPLITS, Dataset, Split

USAGE = "usage"
RANDOM_SPLITS = ("random-train", "random-validation")
"""Names of a random division, so that no report takes it for FER2013's own splits."""


def divide(data: Dataset, how: str, seed: int) -> tuple[Dataset, str, str]:
    """Divide a data set; return it with the names of its training and its validation split.

    Args:
        data: as it was loaded.
        how: `usage` for FER2013's own Training and PublicTest, or `random:F` for a random share F
            (0 < F < 1) of all pictures of all splits as validation. FER2013 holds many copies of the
            same picture, so a random division validates on pictures it has trained on (`copies`).
        seed: of the random division; the same seed always gives the same one.

    Raises:
        UsageError: `how` is neither.
        DataError: a split would be empty.
    """
    if how == USAGE:
        training, validation = SPLITS[:2]
        data.split(training)
        if not len(data.splits.get(validation, ())):
            raise DataError(f"{data.source} has no {validation} pictures; divide it with --split random:0.2")
        return data, training, validation
    share = share_of(how)
    parts = list(data.splits.values())
    everything = Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(name for part in parts for name in part.names),
    )
    kept = len(everything) - round(len(everything) * share)
    if not 0 < kept < len(everything):
        raise DataError(f"{data.source} has too few pictures ({len(everything)}) for --split {how}")
    order = np.random.default_rng(seed).permutation(len(everything))
    halves = (everything.take(order[:kept]), everything.take(order[kept:]))
    return dataclasses.replace(data, splits=dict(zip(RANDOM_SPLITS, halves, strict=True))), *RANDOM_SPLITS


def share_of(how: str) -> float:
    """The validation share of `random:F`.

    Raises:
        UsageError: it is not of that form, or F is not between 0 and 1.
    """
    kind, _, share = how.partition(":")
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if kind != "random" or not 0.0 < value < 1.0:
        raise UsageError(f"split {how!r} is unknown; it can be {USAGE}, or random:0.2 for a fifth as validation")
    return value


def copies(training: Split, validation: Split) -> dict[str, int]:
    """Count pictures that are exact copies, pixel by pixel, of a picture the network trains on.

    Returns:
        `validation_in_training`: validation pictures that also stand in the training split;
        `within_training`: training pictures that repeat an earlier one.
    """
    seen = {image.tobytes() for image in training.images}
    return {
        "validation_in_training": sum(image.tobytes() in seen for image in validation.images),
        "within_training": len(training) - len(seen),
    }
