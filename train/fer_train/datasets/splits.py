"""Which pictures train and which validate, and how far the two overlap."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError, UsageError
from fer_train.datasets.reading import COPIES, LEAKS
from fer_train.datasets.records import SPLITS, Dataset, Split, joined

USAGE, RANDOM, STRATIFIED, SUBJECT, FOLD = "usage", "random", "stratified", "subject", "fold"

_SUBJECTS = (
    re.compile(r"(S\d{3})_\d{3}_\d{8}"),  # CK+: subject, sequence, frame
    # FERG-DB: character, expression, number. Its six are named, for img_happy_001 is nobody's name.
    re.compile(r"(aia|bonnie|jules|malcolm|mery|ray)_[a-z]+_\d+", re.IGNORECASE),
)


def divide(data: Dataset, how: str, seed: int) -> tuple[Dataset, str, str]:
    """Divide a data set; return it with the names of its training and its validation split.

    The names of other divisions than `usage` say which, so that no report takes them for FER2013's own
    splits. `copies` and `leaks` are cleaned from the training split as `data.reading` asks.

    Args:
        data: as it was loaded.
        how: `usage` for FER2013's own Training and PublicTest; `random:F`, `stratified:F` or `subject:F` for a
            share F (0 < F < 1) of all pictures of all splits as validation, drawn picture by picture, or class by
            class with exact copies kept together, or by people so that nobody stands in both (CK+'s and FERG-DB's
            file names say who it is); `fold:I/K` for the Ith of K parts of the Training split as validation,
            class by class, with people or else exact copies kept together. FER2013 holds many copies of the
            same picture, so `random` validates on pictures it has trained on (`copies`).
        seed: of the division; the same seed always gives the same one.

    Raises:
        UsageError: `how` is none of these.
        DataError: a split would be empty, or the names do not say who it is.
    """
    kind, numbers = parse_division(how)
    if kind == USAGE:
        training, validation = SPLITS[:2]
        data.split(training)
        if not len(data.splits.get(validation, ())):
            raise DataError(f"{data.source} has no {validation} pictures; divide it with --split random:0.2")
        return _cleaned(data, training), training, validation
    if kind == FOLD:
        part, parts = int(numbers[0]), int(numbers[1])
        everything, name = data.split(SPLITS[0]), f"fold-{part}-of-{parts}"
    else:
        everything, name = joined(list(data.splits.values()), len(data.labels)), kind
    names = (f"{name}-train", f"{name}-validation")
    if kind == RANDOM:
        kept = len(everything) - round(len(everything) * numbers[0])
        order = np.random.default_rng(seed).permutation(len(everything))
        rows = (order[:kept], order[kept:])
    else:
        people = subjects(everything)
        if kind == SUBJECT and people is None:
            raise DataError(
                f"the file names of {data.source} do not say whose face it is, as those of CK+ and FERG-DB do; "
                "divide it with --split stratified:0.2"
            )
        groups = people if people is not None and kind != STRATIFIED else _same_pixels(everything.images)
        shares = [1.0 / parts] * parts if kind == FOLD else [1.0 - numbers[0], numbers[0]]
        assigned = _assigned(everything.labels, groups, shares, seed)
        held_out = assigned == (part - 1 if kind == FOLD else 1)
        rows = (np.flatnonzero(~held_out), np.flatnonzero(held_out))
    if not len(rows[0]) or not len(rows[1]):
        raise DataError(f"{data.source} has too few pictures ({len(everything)}) for --split {how}")
    divided = dataclasses.replace(data, splits={name: everything.take(r) for name, r in zip(names, rows, strict=True)})
    return _cleaned(divided, names[0]), *names


def hold_out(split: Split, share: float) -> tuple[Split, Split]:
    """Part of a split to train on, and a share of it that the training never sees.

    Class by class, with exact copies kept together; always the same pictures, whatever a run's seed, so that networks
    which build on one another can leave the same ones aside.

    Args:
        split: not empty.
        share: of its pictures, 0 <= share < 1.
    """
    if not share:
        return split, split.take(np.empty(0, np.int64))
    held = _assigned(split.labels, _same_pixels(split.images), [1.0 - share, share], seed=1) == 1
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))


def parse_division(how: str) -> tuple[str, tuple[float, ...]]:
    """Kind and numbers of a division as `divide` takes it.

    Raises:
        UsageError: there is no such kind, or a number is out of range.
    """
    kind, _, text = how.partition(":")
    try:
        numbers = tuple(float(number) for number in text.split("/")) if text else ()
    except ValueError:
        numbers = ()
    if kind in (RANDOM, STRATIFIED, SUBJECT) and len(numbers) == 1 and 0.0 < numbers[0] < 1.0:
        return kind, numbers
    if kind == FOLD and len(numbers) == 2 and numbers[0] in range(1, 1001) and numbers[1] in range(2, 1001):
        if numbers[0] <= numbers[1]:
            return kind, numbers
    elif how == USAGE:
        return kind, ()
    raise UsageError(
        f"split {how!r} is unknown; it can be {USAGE}, or {RANDOM}:0.2 for a fifth as validation, likewise "
        f"{STRATIFIED}:0.2 and {SUBJECT}:0.2, or {FOLD}:1/5 for the first of five parts of Training"
    )


def subjects(split: Split) -> NDArray[np.int64] | None:
    """Number of the person in each picture (int64, (n,)), or None where one of the file names does not say it."""
    people: dict[str, int] = {}
    found = np.empty(len(split), np.int64)
    for row, name in enumerate(split.names):
        stem = PurePosixPath(name).name
        match = next((hit for pattern in _SUBJECTS if (hit := pattern.match(stem))), None)
        if match is None:
            return None
        found[row] = people.setdefault(match[1].lower(), len(people))
    return found


def _same_pixels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(image.tobytes(), len(numbers)) for image in images], np.int64)


def _assigned(
    labels: NDArray[np.int64], groups: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Part of each picture (int64, (n,)): groups stay together, and every part gets its share of every class.

    Large groups come first, each where the classes that it holds are needed most.
    """
    counts = np.zeros((groups.max() + 1, labels.max() + 1))
    np.add.at(counts, (groups, labels), 1)
    wanted = np.array(shares)[:, None] * counts.sum(axis=0)
    # Without weights by class frequency a rare class would go where the frequent ones are needed.
    weights = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts.sum(axis=1)[order], kind="stable")]
    had = np.zeros_like(wanted)
    part_of = np.empty(len(counts), np.int64)
    scale = 1.0 / np.maximum(wanted, 1e-9)
    for group in order:
        part = int((((wanted - had) * scale) @ weights[group]).argmax())
        part_of[group] = part
        had[part] += counts[group]
    return part_of[groups]


def _cleaned(data: Dataset, training: str) -> Dataset:
    asked = data.reading.clean if data.reading else ()
    if COPIES not in asked and LEAKS not in asked:
        return data
    split = data.split(training)
    kept = np.ones(len(split), bool)
    if LEAKS in asked:
        known = {image.tobytes() for name, other in data.splits.items() if name != training for image in other.images}
        kept &= np.array([image.tobytes() not in known for image in split.images])
    if COPIES in asked:
        kept &= _one_of_each(split.labels, _same_pixels(split.images))
    return dataclasses.replace(data, splits={**data.splits, training: split.take(np.flatnonzero(kept))})


def _one_of_each(labels: NDArray[np.int64], same: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each group of copies the first that has the label which most of them have (bool, (n,))."""
    votes = np.zeros((same.max() + 1, labels.max() + 1), np.int64)
    np.add.at(votes, (same, labels), 1)
    agreeing = np.flatnonzero(labels == votes.argmax(axis=1)[same])
    kept = np.zeros(len(labels), bool)
    kept[agreeing[np.unique(same[agreeing], return_index=True)[1]]] = True
    return kept


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
