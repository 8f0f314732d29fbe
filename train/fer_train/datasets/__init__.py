"""Data sets in the forms people have them, read into one record."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.labels import FER2013_LABELS, checked_labels
from fer_train.datasets import ferplus
from fer_train.datasets.fer2013_csv import read_fer2013_csv
from fer_train.datasets.image_folder import read_image_folder, read_image_zip
from fer_train.datasets.labelling import in_labels, merged, renamed
from fer_train.datasets.reading import FER2013, FERPLUS, FERPLUS_SOFT, NO_FACE, SIDE, Reading
from fer_train.datasets.records import SPLITS, Dataset, Split
from fer_train.datasets.splits import copies, divide

__all__ = [
    "SIDE",
    "SPLITS",
    "Dataset",
    "Reading",
    "Split",
    "check_label_map",
    "copies",
    "divide",
    "in_labels",
    "is_table",
    "load",
]


def load(*paths: Path, reading: Reading | None = None) -> Dataset:
    """Read data sets, several as one: FER2013 as a CSV table (plain or .gz), folders of class folders, or their zip.

    A file's content decides what it is, not its name. FER+ labels go with tables only; folders beside
    them keep the labels of their folders. `copies` and `leaks` are cleaned by `divide`.

    Args:
        paths: one or more.
        reading: how; None takes every picture as it is, at a side of 48.

    Raises:
        DataError: a path is missing, of no known form, or its content or that of the votes is malformed.
        UsageError: the label map leaves fewer than two labels, or names one that cannot be used.
    """
    reading = reading or Reading()
    readers = [_reader(path) for path in paths]
    if _needs_votes(reading) and _read_table not in readers:
        raise DataError(f"FER+ votes belong to rows of fer2013.csv, and {paths[0]} is none; give --data fer2013.csv")
    parts = [read(path, reading) for read, path in zip(readers, paths, strict=True)]
    data = parts[0] if len(parts) == 1 else merged(parts)
    if reading.label_map:
        try:
            checked_labels(data.labels)
        except ValueError as error:
            raise UsageError(f"the label map cannot be used for {data.source} ({error})") from error
    return dataclasses.replace(data, paths=tuple(map(str, paths)), reading=reading)


def check_label_map(reading: Reading, *paths: Path) -> None:
    """Refuse a label map, given for these data sets, that names a class which no table has; folders have any.

    Raises:
        DataError: a path is missing or cannot be read.
        UsageError: it names such a class.
    """
    if not all(is_table(path) for path in paths):
        return
    known = ferplus.FERPLUS_LABELS if reading.labels in (FERPLUS, FERPLUS_SOFT) else FER2013_LABELS
    for name in reading.label_map:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise UsageError(f"the label map names {name!r}, which is no class of {paths[0]}; {hint}")


def is_table(path: Path) -> bool:
    """Whether `load` takes it for FER2013 as a table.

    Raises:
        DataError: it is missing or cannot be read.
    """
    return _reader(path) is _read_table


def _reader(path: Path) -> Callable[[Path, Reading], Dataset]:
    if path.is_dir():
        return read_image_folder
    if not path.exists():
        raise DataError(f"{path} does not exist; give --data the file or folder that holds the pictures")
    if not path.is_file() or not os.access(path, os.R_OK):
        raise DataError(f"{path} cannot be read; give --data the file or folder that holds the pictures")
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    return read_image_zip if zipped or path.suffix.lower() == ".zip" else _read_table


def _needs_votes(reading: Reading) -> bool:
    return reading.labels != FER2013 or NO_FACE in reading.clean


def _read_table(path: Path, reading: Reading) -> Dataset:
    data = read_fer2013_csv(path)
    if _needs_votes(reading):
        votes = ferplus.read_votes(Path(reading.votes) if reading.votes else path.with_name(ferplus.VOTES_FILE))
        if NO_FACE in reading.clean and SPLITS[0] in data.splits:
            training = data.splits[SPLITS[0]]
            faces = training.take(np.flatnonzero(~ferplus.no_face(votes.of(training, SPLITS[0]))))
            data = dataclasses.replace(data, splits={**data.splits, SPLITS[0]: faces})
        if reading.labels != FER2013:
            data = ferplus.relabelled(data, votes, reading)
    return _resized(renamed(data, reading.label_map) if reading.label_map else data, reading.side)


def _resized(data: Dataset, side: int) -> Dataset:
    if side == SIDE:
        return data
    shape = cv2.INTER_AREA if side < SIDE else cv2.INTER_LINEAR
    splits = {}
    for name, split in data.splits.items():
        images = np.empty((len(split), side, side), np.uint8)
        for image, resized in zip(split.images, images, strict=True):
            cv2.resize(image, (side, side), dst=resized, interpolation=shape)
        splits[name] = dataclasses.replace(split, images=images)
    return dataclasses.replace(data, splits=splits)
