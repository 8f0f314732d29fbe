"""Pictures in class folders, in a folder or in a zip that is read in place.

FER2013 as most people download it today: `train/happy/Training_1.jpg`, `test/sad/PublicTest_2.jpg`. CK+48:
`anger/S010_004_00000017.png`. FERG-DB: `aia/aia_anger/aia_anger_1.png`. And any other of this kind.
"""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.grey import BT601, grey
from fer_train.datasets.ferplus import FERPLUS_LABELS
from fer_train.datasets.labelling import ordered
from fer_train.datasets.reading import Reading
from fer_train.datasets.records import SPLITS, Dataset, Split

MAX_PICTURE_BYTES = 8 * 1024 * 1024
"""A 48x48 JPEG has 2 kB; what is larger than this is no picture of a face, or a zip bomb."""

CLASS_FOLDERS: dict[str, str] = {
    **{label: label for label in FERPLUS_LABELS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "joy": "happy",
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


def read_image_folder(folder: Path, reading: Reading) -> Dataset:
    """Read a folder of class folders; the labels are those of the folders that hold pictures.

    A picture's split is the prefix of its file name (`Training_`, `PublicTest_`, `PrivateTest_`), else
    the folder above its class folder: `train` is Training, `validation` PublicTest, and `test`
    PublicTest too, or PrivateTest where there is a `validation`; without such a folder it is Training.
    Class folders may have any case, common other names (`CLASS_FOLDERS`), those that the label map gives,
    and who it is in front (`aia_anger`). Pictures of any size are read as grey and resized to
    `reading.side` by area, which squeezes those that are not square.

    Args:
        folder: with class folders at any depth.
        reading: label map, grey and side are heeded.

    Raises:
        DataError: there is no picture, or one is outside a class folder, of an unknown class, damaged,
            or over 8 MiB. The message names the picture.
    """
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}

    def read(name: str) -> bytes:
        with files[name].open("rb") as stream:
            return stream.read(MAX_PICTURE_BYTES + 1)

    return _read(folder, files, read, reading)


def read_image_zip(path: Path, reading: Reading) -> Dataset:
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

            return _read(path, members, read, reading)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is not a zip or is cut off ({error}); fetch the file again") from error


def _read(source: Path, names: Iterable[str], read: Callable[[str], bytes], reading: Reading) -> Dataset:
    pictures = _placed(source, _classified(source, names, reading.label_map))
    labels = ordered(label for _, label, _ in pictures)
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
        images[split].append(_decode(data, where, reading))
    splits = {
        wanted: Split(
            np.stack(images[wanted]),
            np.array([labels.index(label) for _, label, split in pictures if split == wanted], np.int64),
            tuple(name for name, _, split in pictures if split == wanted),
        )
        for wanted in SPLITS
        if images[wanted]
    }
    return Dataset(labels, splits, str(source))


def _classified(source: Path, names: Iterable[str], label_map: Mapping[str, str]) -> list[tuple[PurePosixPath, str]]:
    """Name and label of every picture that has a label, in the order of their names."""
    found: list[tuple[PurePosixPath, str]] = []
    left_out = 0
    for path in sorted(map(PurePosixPath, names)):
        if any(part.startswith((".", "__MACOSX")) for part in path.parts) or path.name.lower() == "thumbs.db":
            continue
        folder = path.parent.name
        label = _class_of(folder.lower(), label_map)
        if path.suffix.lower() not in _PICTURES:
            if label is not None:
                raise DataError(f"{source}: {path} stands in a class folder and is no picture; remove it")
            continue
        if label is None:
            raise DataError(
                f"{source}: {path} is not in a class folder{_nearest(folder)}; "
                f"the classes are {', '.join(FERPLUS_LABELS)}, and those that --label-map names"
            )
        if label:
            found.append((path, label))
        else:
            left_out += 1
    if not found and left_out:
        raise DataError(f"{source}: the label map leaves out every class that has pictures; keep at least two")
    if not found:
        raise DataError(f"{source} holds no pictures; train/<class>/*.jpg and test/<class>/*.jpg are needed")
    return found


def _placed(source: Path, found: list[tuple[PurePosixPath, str]]) -> list[tuple[str, str, str]]:
    """Name, label and split of every picture."""
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


def _class_of(folder: str, label_map: Mapping[str, str]) -> str | None:
    """Label of a folder, empty where the map leaves it out, None where it is no class folder."""
    for name in (folder, folder.rpartition("_")[2]):
        known = CLASS_FOLDERS.get(name)
        if name in label_map:
            return label_map[name]
        if known is not None:
            return label_map.get(known, known)
    return None


def _split_folder(path: PurePosixPath) -> str:
    return path.parent.parent.name.lower()


def _nearest(folder: str) -> str:
    close = difflib.get_close_matches(folder.lower(), CLASS_FOLDERS, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _decode(data: bytes, where: str, reading: Reading) -> NDArray[np.uint8]:
    # OpenCV fills what a truncated JPEG lacks with grey and returns it as if whole: after the last scan
    # begins (FF DA) its end marker (FF D9) must follow.
    whole = not data.startswith(b"\xff\xd8") or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    how = cv2.IMREAD_GRAYSCALE if reading.grey == BT601 else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), how) if whole else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{where} is damaged or no picture; fetch the data again or remove it")
    levels = grey(image.astype(np.uint8, copy=False), reading.grey)
    if levels.shape == (reading.side, reading.side):
        return levels
    return cv2.resize(levels, (reading.side, reading.side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
