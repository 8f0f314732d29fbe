"""Data sets in the forms people have them, read into one record."""

from __future__ import annotations

from pathlib import Path

from fer_edge.contract.errors import DataError
from fer_train.datasets.fer2013_csv import read_fer2013_csv
from fer_train.datasets.records import SIDE, SPLITS, Dataset, Split

__all__ = ["SIDE", "SPLITS", "Dataset", "Split", "load"]


def load(path: Path) -> Dataset:
    """Read FER2013 from any of its forms: a CSV table (plain or .gz), an image folder, or its zip.

    Raises:
        DataError: the path is missing, of no known form, or its content is malformed.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give --data the file or folder that holds FER2013")
    return read_fer2013_csv(path)
