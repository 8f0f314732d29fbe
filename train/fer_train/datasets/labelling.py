"""Classes renamed, left out, put in another order, and several data sets made one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_edge.contract.errors import DataError
from fer_train.datasets.ferplus import FERPLUS_LABELS
from fer_train.datasets.records import SPLITS, Dataset, Split, joined


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels without repetition: those of FER2013 and FER+ in their order, then the others by name."""
    return tuple(sorted(set(labels), key=lambda name: (_rank(name), name)))


def _rank(label: str) -> int:
    return FERPLUS_LABELS.index(label) if label in FERPLUS_LABELS else len(FERPLUS_LABELS)


def renamed(data: Dataset, names: Mapping[str, str]) -> Dataset:
    """`data` with the new names of its classes; equal ones become one class, empty ones leave theirs out."""
    new = [names.get(label, label) for label in data.labels]
    labels = ordered(name for name in new if name)
    columns = [labels.index(name) if name else -1 for name in new]
    return _moved(data, columns, labels)


def in_labels(data: Dataset, labels: Sequence[str]) -> tuple[Dataset, int]:
    """`data` with exactly these labels in this order, and how many of its pictures have none of them.

    These pictures are left out; a label that `data` does not have has no pictures.
    """
    wanted = tuple(labels)
    if data.labels == wanted:
        return data, 0
    found = _moved(data, [wanted.index(label) if label in wanted else -1 for label in data.labels], wanted)
    return found, sum(map(len, data.splits.values())) - sum(map(len, found.splits.values()))


def _moved(data: Dataset, columns: Sequence[int], labels: tuple[str, ...]) -> Dataset:
    """Class i becomes class `columns[i]` of `labels`; -1 leaves its pictures out."""
    table = np.array(columns, np.int64)
    splits = {}
    for name, split in data.splits.items():
        numbers, targets = table[split.labels], split.targets
        known = numbers >= 0
        if targets is not None:
            moved = np.zeros((len(split), len(labels)), np.float32)
            for column, number in enumerate(table):
                if number >= 0:
                    moved[:, number] += targets[:, column]
            total = moved.sum(axis=1, keepdims=True)
            known &= total[:, 0] > 0
            targets = moved / np.where(total > 0, total, 1)
        rows = np.flatnonzero(known)
        if len(rows):
            kept = split.take(rows)
            splits[name] = Split(kept.images, numbers[rows], kept.names, None if targets is None else targets[rows])
    return dataclasses.replace(data, labels=labels, splits=splits)


def merged(parts: Sequence[Dataset]) -> Dataset:
    """One data set of several, with the labels of all; pictures are named by their data set, too.

    Raises:
        DataError: two of them cannot be told apart by their names.
    """
    places = [Path(part.source).name for part in parts]
    if len(set(places)) != len(places):
        raise DataError(f"{' and '.join(part.source for part in parts)} have the same name; rename one of them")
    labels = ordered(label for part in parts for label in part.labels)
    splits: dict[str, list[Split]] = {name: [] for name in SPLITS}
    for part, place in zip(parts, places, strict=True):
        for name, split in in_labels(part, labels)[0].splits.items():
            names = tuple(f"{place}/{picture}" for picture in split.names)
            splits[name].append(dataclasses.replace(split, names=names))
    return Dataset(
        labels,
        {name: joined(found, len(labels)) for name, found in splits.items() if found},
        " + ".join(part.source for part in parts),
    )
