"""FER2013 as a table: `fer2013.csv`, `fer2013.csv.gz` and Kaggle's `icml_face_data.csv`.

All hold the columns emotion, pixels and Usage (Kaggle's with spaces in the header and the last two
columns in another order): Goodfellow et al., "Challenges in Representation Learning", 2013. A table of one's own may
leave Usage out: all of it is Training then, to be divided.
"""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets.reading import SIDE
from fer_train.datasets.records import SPLITS, Dataset, Split

PIXELS = SIDE * SIDE
MAX_ROW_CHARS = 64 * 1024
"""A row of 2,304 levels has at most 9,216 characters; a longer field is not FER2013."""

_CLASSES = {str(label): label for label in range(len(FER2013_LABELS))}


def read_fer2013_csv(path: Path) -> Dataset:
    """Read FER2013 from a CSV file, compressed or not.

    Raises:
        DataError: a column is missing, or a row has the wrong number of pixels, a level over 255,
            an unknown class or an unknown Usage. The message names the file and the line.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {split: [] for split in SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in SPLITS}
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    try:
        for row, (line, emotion, pixels, usage) in enumerate(_rows(path)):
            where = f"{path}, line {line}"
            if usage not in images:
                raise DataError(f"{where}: Usage {usage!r:.40} is unknown; FER2013 has {', '.join(SPLITS)}")
            labels[usage].append(_label(emotion, where))
            images[usage].append(_picture(pixels, where))
            names[usage].append(f"{path.name}#{row}")
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read to its end ({error}); fetch the file again") from error
    splits = {
        name: Split(np.stack(images[name]), np.array(labels[name], np.int64), tuple(names[name]))
        for name in SPLITS
        if images[name]
    }
    if not splits:
        raise DataError(f"{path} has a header and no rows; fetch the file again")
    return Dataset(FER2013_LABELS, splits, str(path))


def _rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    with path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        binary = gzip.GzipFile(fileobj=raw) if gzipped else raw
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")  # type: ignore[type-var]
        csv.field_size_limit(MAX_ROW_CHARS)
        table = csv.reader(text)
        first = next((cells for cells in table if any(cells)), [])
        header = [name.strip().lower() for name in first]
        # With a column more, which may be Usage under another name, nobody can say that all of it is Training.
        needed = ("emotion", "pixels") if len(header) <= 2 else ("emotion", "pixels", "usage")
        missing = [name for name in needed if name not in header]
        if missing:
            raise DataError(f"{path} has no column {' or '.join(missing)}; its first row reads {','.join(first)!r:.80}")
        columns = [header.index(name) for name in ("emotion", "pixels", "usage") if name in header]
        for cells in table:
            if not any(cells):
                continue  # editors and spreadsheets leave empty lines
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {table.line_num}: {len(cells)} columns where the header has {len(header)}"
                )
            emotion, pixels, *usage = (cells[column] for column in columns)
            yield table.line_num, emotion.strip(), pixels, usage[0].strip() if usage else SPLITS[0]


def _label(text: str, where: str) -> int:
    label = _CLASSES.get(text)
    if label is None:
        raise DataError(f"{where}: class {text!r:.40} is unknown; FER2013 has 0 to {len(FER2013_LABELS) - 1}")
    return label


def _picture(pixels: str, where: str) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        # numpy only warns where the text stops being numbers.
        warnings.simplefilter("error")
        try:
            levels = np.fromstring(pixels, dtype=np.int64, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise DataError(f"{where}: the pixels are not whole numbers with single spaces") from error
    if levels.size != PIXELS:
        raise DataError(f"{where}: {levels.size} pixels where {SIDE}x{SIDE} needs {PIXELS}")
    if levels.min() < 0 or levels.max() > 255:
        bad = int(levels[(levels < 0) | (levels > 255)][0])
        raise DataError(f"{where}: grey level {bad} is outside 0..255")
    return levels.astype(np.uint8).reshape(SIDE, SIDE)
