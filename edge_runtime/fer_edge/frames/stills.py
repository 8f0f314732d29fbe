"""Still pictures: one file, or a folder of them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fer_edge.contract.errors import SourceError
from fer_edge.frames.opencv import as_frame_image
from fer_edge.records import Frame

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"))
"""File names, in lower case, that count as pictures."""

_log = logging.getLogger(__name__)


class Stills:
    """Pictures that have nothing to do with each other, one frame each, named by their file names.

    Attributes:
        name: the file or folder as it was given.
        skipped: pictures of the folder that could not be read; each was logged.
    """

    dropped = 0

    def __init__(self, path: Path) -> None:
        """Take the picture `path`, or those directly in the folder `path`, sorted as people count.

        Raises:
            SourceError: the folder cannot be read or holds no picture.
        """
        self.name = str(path)
        self.skipped = 0
        self._folder = path.is_dir()
        try:
            paths = pictures_in(path) if self._folder else [path]
        except OSError as error:
            raise SourceError(f"folder {path} cannot be read ({error.strerror}); check its rights") from error
        if not paths:
            raise SourceError(
                f"folder {path} holds no pictures ({', '.join(sorted(SUFFIXES))}); give the folder that holds them"
            )
        self._total = len(paths)
        self._paths: Iterator[Path] = iter(paths)

    def read(self) -> Frame | None:
        """The next picture, or None after the last.

        Raises:
            SourceError: a single picture cannot be read, or none of a whole folder.
        """
        for path in self._paths:
            began = time.perf_counter()
            try:
                frame = self._load(path, began)
            except SourceError as error:
                if not self._folder:
                    raise
                self.skipped += 1
                _log.warning("skipped: %s", error)
                continue
            return frame
        if self.skipped == self._total:
            raise SourceError(f"none of the {self._total} pictures in {self.name} can be read; the log names each")
        return None

    def close(self) -> None:
        """Stop; may be called twice."""
        self._paths = iter(())

    def _load(self, path: Path, began: float) -> Frame:
        try:
            data = np.fromfile(path, np.uint8)
        except OSError as error:
            raise SourceError(f"{path} cannot be read ({error.strerror}); check the file and its rights") from error
        try:
            # Grey stays grey, 16 bits become 8, alpha goes, and the camera's EXIF orientation is applied.
            picture = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
        except cv2.error:
            picture = None
        if picture is None:
            raise SourceError(f"{path} is not a picture that can be decoded; open it in a viewer, or copy it again")
        return Frame(
            image=as_frame_image(picture),
            time=time.time(),
            captured=time.monotonic(),
            source=self.name,
            name=path.name,
            independent=True,
            capture_ms=1e3 * (time.perf_counter() - began),
        )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in `folder`, `2.jpg` before `10.jpg`; hidden files are left out."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"(\d+)", path.name.casefold())
    # The name itself decides between 1.jpg and 01.jpg.
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
