"""Data sets in the forms people have them, read into one record."""

from __future__ import annotations

import os
from pathlib import Path

from fer_edge.contract.errors import DataError
from fer_train.datasets.fer2013_csv import read_fer2013_csv
from fer_train.datasets.image_folder import read_image_folder, read_image_zip
from fer_train.datasets.records import SIDE, SPLITS, Dataset, Split
from fer_train.datasets.splits import copies, divide

__all__ = ["SIDE", "SPLITS", "Dataset", "Split", "copies", "divide", "load"]


def load(path: Path) -> Dataset:
    """Read FER2013 from any of its forms: a CSV table (plain or .gz), an image folder, or its zip.

    A file's content decides, not its name.

    Raises:
        DataError: the path is missing, of no known form, or its content is malformed.
    """
    if path.is_dir():
        return read_image_folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; give --data the file or folder that holds FER2013")
    if not path.is_file() or not os.access(path, os.R_OK):
        raise DataError(f"{path} cannot be read; give --data the file or folder that holds FER2013")
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    return read_image_zip(path) if zipped or path.suffix.lower() == ".zip" else read_fer2013_csv(path)
