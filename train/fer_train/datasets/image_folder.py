"""FER2013 as pictures: `<split>/<class>/<picture>` in a folder, or in a zip that is read in place.

This is the form most people download today: `train/happy/Training_1.jpg`, `test/sad/PublicTest_2.jpg`.
"""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets.records import SIDE, SPLITS, Dataset, Split

MAX_PICTURE_BYTES = 8 * 1024 * 1024
"""A 48x48 JPEG has 2 kB; what is larger than this is no picture of a face, or a zip bomb."""

CLASS_FOLDERS: dict[str, str] = {
    **{label: label for label in FER2013_LABELS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
"""Class of a folder, by its name in lower case."""

_TRAINING, _PUBLIC, _PRIVATE = SPLITS
_PREFIXES = {split.lower(): split for split in SPLITS}
_SPLIT_FOLDERS = {
    "train": _TRAINING,
    "training": _TRAINING,
    "val": _PUBLIC,
    "valid": _PUBLIC,
    "validation": _PUBLIC,
    "publictest": _PUBLIC,
    "test": _PUBLIC,
    "privatetest": _PRIVATE,
}
_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".tif", ".tiff", ".webp"))


def read_image_folder(folder: Path) -> Dataset:
    """Read a folder of class folders; pictures become 48x48 grey levels.

    A picture's split is the prefix of its file name (`Training_`, `PublicTest_`, `PrivateTest_`), else
    the folder above its class folder: `train` is Training, `validation` PublicTest, and `test`
    PublicTest too, or PrivateTest where there is a `validation`; without such a folder it is Training.
    Class folders may have any case and common other names (`CLASS_FOLDERS`). Pictures of any size are
    read as grey and resized to 48x48 by area, which squeezes those that are not square.

    Raises:
        DataError: there is no picture, or one is outside a class folder, of an unknown class, damaged,
            or over 8 MiB. The message names the picture.
    """
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}

    def read(name: str) -> bytes:
        with files[name].open("rb") as stream:
            return stream.read(MAX_PICTURE_BYTES + 1)

    return _read(folder, files, read)


def read_image_zip(path: Path) -> Dataset:
    """Read a zip of class folders in place; the same rules as `read_image_folder`.

    Raises:
        DataError: the file is not a zip, is cut off, or has a member that `read_image_folder` would refuse.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}

            def read(name: str) -> bytes:
                with archive.open(members[name]) as stream:
                    return stream.read(MAX_PICTURE_BYTES + 1)

            return _read(path, members, read)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is not a zip or is cut off ({error}); fetch the file again") from error


def _read(source: Path, names: Iterable[str], read: Callable[[str], bytes]) -> Dataset:
    pictures = _classified(source, names)
    images: dict[str, list[NDArray[np.uint8]]] = {split: [] for split in SPLITS}
    for name, _, split in pictures:
        where = f"{source}: {name}"
        try:
            data = read(name)
        # An encrypted member is a RuntimeError, an unknown compression a NotImplementedError.
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise DataError(f"{where} cannot be read ({error}); fetch the data again") from error
        if len(data) > MAX_PICTURE_BYTES:
            raise DataError(f"{where} has more than {MAX_PICTURE_BYTES} bytes; remove it")
        images[split].append(_decode(data, where))
    splits = {
        wanted: Split(
            np.stack(images[wanted]),
            np.array([label for _, label, split in pictures if split == wanted], np.int64),
            tuple(name for name, _, split in pictures if split == wanted),
        )
        for wanted in SPLITS
        if images[wanted]
    }
    return Dataset(FER2013_LABELS, splits, str(source))


def _classified(source: Path, names: Iterable[str]) -> list[tuple[str, int, str]]:
    """Name, label and split of every picture, in the order of their names."""
    found: list[tuple[PurePosixPath, int]] = []
    for path in sorted(map(PurePosixPath, names)):
        if any(part.startswith((".", "__MACOSX")) for part in path.parts) or path.name.lower() == "thumbs.db":
            continue
        folder = path.parent.name
        label = CLASS_FOLDERS.get(folder.lower())
        if path.suffix.lower() not in _PICTURES:
            if label is not None:
                raise DataError(f"{source}: {path} stands in a class folder and is no picture; remove it")
            continue
        if label is None:
            raise DataError(
                f"{source}: {path} is not in a class folder{_nearest(folder)}; "
                f"the classes are {', '.join(FER2013_LABELS)}"
            )
        found.append((path, FER2013_LABELS.index(label)))
    if not found:
        raise DataError(f"{source} holds no pictures; train/<class>/*.jpg and test/<class>/*.jpg are needed")
    folders = {_split_folder(path) for path, _ in found}
    held_out = any(_SPLIT_FOLDERS.get(folder) == _PUBLIC and folder != "test" for folder in folders)
    placed = []
    for path, label in found:
        prefix, folder = path.name.partition("_")[0].lower(), _split_folder(path)
        if prefix in _PREFIXES:
            split = _PREFIXES[prefix]
        elif folder == "test" and held_out:
            split = _PRIVATE
        elif folder in _SPLIT_FOLDERS:
            split = _SPLIT_FOLDERS[folder]
        elif folders.isdisjoint(_SPLIT_FOLDERS):
            split = _TRAINING
        else:
            raise DataError(f"{source}: {path} stands in none of the split folders, which others do; move it")
        placed.append((str(path), label, split))
    return placed


def _split_folder(path: PurePosixPath) -> str:
    return path.parent.parent.name.lower()


def _nearest(folder: str) -> str:
    close = difflib.get_close_matches(folder.lower(), CLASS_FOLDERS, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _decode(data: bytes, where: str) -> NDArray[np.uint8]:
    # OpenCV fills what a truncated JPEG lacks with grey and returns it as if whole: after the last scan
    # begins (FF DA) its end marker (FF D9) must follow.
    whole = not data.startswith(b"\xff\xd8") or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if whole else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{where} is damaged or no picture; fetch the data again or remove it")
    if image.shape != (SIDE, SIDE):
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return image.astype(np.uint8, copy=False)
