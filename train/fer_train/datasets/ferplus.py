"""FER+: ten people's votes for each FER2013 picture.

Barsoum, Zhang, Canton Ferrer and Zhang, "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution", 2016, arXiv:1608.01041; the rules are those of the authors' code. The
votes belong to the rows of `fer2013.csv` by their number: the picture names in the file drift.
"""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets.reading import FERPLUS, FERPLUS_SOFT, Reading, blend_weight
from fer_train.datasets.records import SPLITS, Dataset, Split, one_hot

FERPLUS_LABELS = (*FER2013_LABELS, "contempt")
"""FER2013's order, so that a class has the same number in both."""

VOTES_FILE = "fer2013new.csv"
COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "nf")
"""The votes' columns in the order of `FERPLUS_LABELS`; the last two are no expression."""

NOBODY = -1
_CLASSES, _NO_FACE = len(FERPLUS_LABELS), COLUMNS.index("nf")
_VOTERS = 10
_LEADERS, _LEADERS_SHARE = 3, 0.75


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes of all rows.

    Attributes:
        usages: the split that each row belongs to.
        counts: uint8, (n, 10), in the order of `COLUMNS`; a row without a picture name is "no face".
        source: the file.
    """

    usages: tuple[str, ...]
    counts: NDArray[np.uint8]
    source: str

    def of(self, split: Split, name: str) -> NDArray[np.uint8]:
        """Votes (uint8, (n, 10)) of the pictures of the FER2013 split called `name`.

        Raises:
            DataError: the pictures are no rows of `fer2013.csv`, or of another one.
        """
        try:
            rows = [int(picture.rpartition("#")[2]) for picture in split.names]
        except ValueError as error:
            raise DataError(
                f"FER+ votes belong to rows of fer2013.csv, and {split.names[0]} is none; give --data fer2013.csv"
            ) from error
        for row in rows:
            found = self.usages[row] if row < len(self.usages) else "missing"
            if found != name:
                raise DataError(
                    f"{self.source}: data row {row} is {found} where the pictures' row is {name}; "
                    "give the votes that belong to this fer2013.csv"
                )
        return self.counts[rows]


def read_votes(path: Path) -> Votes:
    """Read `fer2013new.csv`.

    Raises:
        DataError: it is missing, lacks a column, or has a row without ten votes at most. The message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.reader(stream)
            header = [name.strip().lower() for name in next(table, [])]
            missing = [name for name in ("usage", "image name", *COLUMNS) if name not in header]
            if missing:
                raise DataError(f"{path} has no column {' or '.join(missing)}; give FER+'s {VOTES_FILE}")
            usage, picture, *columns = (header.index(name) for name in ("usage", "image name", *COLUMNS))
            usages, counts = [], []
            for cells in table:
                where = f"{path}, line {table.line_num}"
                if len(cells) != len(header):
                    raise DataError(f"{where}: {len(cells)} columns where the header has {len(header)}")
                usages.append(cells[usage].strip())
                votes = [_vote(cells[column], where) for column in columns]
                counts.append(votes if cells[picture].strip() else [0] * _NO_FACE + [_VOTERS])
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist; FER+ labels need FER+'s {VOTES_FILE} (github.com/microsoft/FERPlus) beside the "
            "data, or named with --votes"
        ) from error
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read to its end ({error}); fetch the file again") from error
    return Votes(tuple(usages), np.array(counts, np.uint8).reshape(-1, len(COLUMNS)), str(path))


def _vote(text: str, where: str) -> int:
    if not text.strip().isdecimal() or int(text) > _VOTERS:
        raise DataError(f"{where}: {text!r:.20} is not a number of votes from 0 to {_VOTERS}")
    return int(text)


def majority(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The class that more than half of the voters named, single votes left out of count.

    Args:
        counts: votes, (n, 10), in the order of `COLUMNS`.

    Returns:
        Index into `FERPLUS_LABELS`, int64, (n,), or `NOBODY` where there is no majority, or one for
        "unknown" or "no face".
    """
    kept = np.where(counts > 1, counts, 0).astype(np.int64)
    first = kept.argmax(axis=1)
    clear = (2 * kept.max(axis=1) > kept.sum(axis=1)) & (first < _CLASSES)
    return np.where(clear, first, NOBODY)


def distribution(counts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shares of the votes for at most three leading classes, single votes left out of count.

    The leaders are taken until they hold three quarters of the votes; those with equal votes together.

    Args:
        counts: votes, (n, 10), in the order of `COLUMNS`.

    Returns:
        float32, (n, 8), rows sum to 1; all zeros where the leaders hold at most half of the votes, are
        more than three, or are "unknown" or "no face".
    """
    different, which = np.unique(counts, axis=0, return_inverse=True)
    shares = np.array([_leaders(row) for row in different], np.float32).reshape(-1, _CLASSES)
    found: NDArray[np.float32] = shares[which.reshape(-1)]
    return found


def _leaders(counts: NDArray[np.uint8]) -> NDArray[np.float64]:
    left = np.where(counts > 1, counts, 0).astype(np.float64)
    total, taken = left.sum(), np.zeros(len(left))
    number = 0
    while taken.sum() < _LEADERS_SHARE * total and number < _LEADERS:
        leading = np.flatnonzero(left == left.max())
        expressions = leading[leading < _CLASSES]
        taken[expressions] = left[expressions]
        number += len(expressions)
        if len(expressions) < len(leading):
            # "Unknown" or "no face" is level with them: it ends the list, and is on it only where it leads alone.
            if not taken.any():
                taken[leading] = left[leading]
            break
        left[leading] = 0.0
    if taken.sum() <= 0.5 * total or number > _LEADERS or taken[_CLASSES:].any():
        return np.zeros(_CLASSES)
    shares: NDArray[np.float64] = taken[:_CLASSES] / taken.sum()
    return shares


def no_face(counts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether at least half of the voters saw no face, bool, (n,)."""
    return 2 * counts[:, _NO_FACE].astype(int) >= np.maximum(counts.sum(axis=1, dtype=int), 1)


def relabelled(data: Dataset, votes: Votes, reading: Reading) -> Dataset:
    """FER2013 as `reading.labels` wants it; only the Training split gets soft targets.

    With FER+ labels the pictures that have none are left out of every split; in the others than Training
    the majority is the label, whatever the targets are, so that their figures compare.

    Raises:
        DataError: the votes are not those of the data.
    """
    splits = {}
    for name, split in data.splits.items():
        counts = votes.of(split, name)
        soft = name == SPLITS[0] and reading.labels != FERPLUS
        weight = blend_weight(reading.labels)
        if weight:
            splits[name] = _blended(split, counts, weight) if soft else split
            continue
        targets = distribution(counts)
        labels = targets.argmax(axis=1) if soft else majority(counts)
        known = targets.any(axis=1) if soft else labels != NOBODY
        rows = np.flatnonzero(known)
        splits[name] = dataclasses.replace(
            split.take(rows), labels=labels[rows], targets=targets[rows] if soft else None
        )
    labels_of = FERPLUS_LABELS if reading.labels in (FERPLUS, FERPLUS_SOFT) else data.labels
    return dataclasses.replace(data, labels=labels_of, splits=splits)


def _blended(split: Split, counts: NDArray[np.uint8], weight: float) -> Split:
    classes = len(FER2013_LABELS)
    shares = distribution(counts)[:, :classes]
    given = one_hot(split.labels, classes)
    total = shares.sum(axis=1, keepdims=True)
    voted = np.where(total > 0, shares / np.where(total > 0, total, 1), given)
    return dataclasses.replace(split, targets=((1 - weight) * given + weight * voted).astype(np.float32))
