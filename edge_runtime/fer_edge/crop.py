"""Pictures of people become pictures of faces, framed as the loop frames them: a data set to train on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError, SourceError, UsageError
from fer_edge.contract.files import write_bytes, write_text
from fer_edge.contract.grey import BT601, grey
from fer_edge.faces.framing import crop_gray
from fer_edge.frames.stills import SUFFIXES, Stills
from fer_edge.records import Frame
from fer_edge.seams import FaceDetector

FACTS = "crop.json"
"""What was asked and what was found, in the folder of the crops."""


@dataclass(frozen=True, slots=True)
class Cropping:
    """How faces are cut out.

    Attributes:
        detector: finds them; its framing says what belongs to a face.
        side: width and height of the crops, in pixels.
        kind: how colour becomes grey, one of `contract.grey.GREYS`.
    """

    detector: FaceDetector
    side: int
    kind: str = BT601

    def facts(self) -> dict[str, Any]:
        """What decides about every pixel of the crops."""
        framing = self.detector.framing
        return {
            "detector": self.detector.name,
            "framing": {"scale": framing.scale, "rise": framing.rise},
            "side": self.side,
            "grey": self.kind,
        }

    def face(self, frame: Frame) -> NDArray[np.uint8] | None:
        """The largest face (uint8, (side, side)) in a still, or None where there is none."""
        found = self.detector.detect(frame)
        if not found:
            return None
        largest = max(found, key=lambda detection: detection.box[2] * detection.box[3])
        return crop_gray(grey(frame.image, self.kind), self.detector.framing.square(largest.box), self.side)


@dataclass(slots=True)
class Outcome:
    """What became of the pictures of a folder; all are paths relative to it.

    Attributes:
        cropped: have a crop now.
        no_face: in which no face was found.
        unreadable: that cannot be decoded.
    """

    cropped: list[str] = field(default_factory=list)
    no_face: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def pictures_under(source: Path) -> list[Path]:
    """Pictures in `source` and the folders in it, relative to it, in the order of their names; no hidden ones.

    Raises:
        UsageError: it is no folder, holds none, or two pictures would become one crop.
    """
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder; give the one that holds the pictures")
    found = sorted(Path(folder, name).relative_to(source) for folder, name in _walk(source))
    if not found:
        raise UsageError(f"{source} holds no pictures ({', '.join(sorted(SUFFIXES))}); give the folder that does")
    named: dict[Path, Path] = {}
    for path in found:
        other = named.setdefault(path.with_suffix(".png"), path)
        if other != path:
            raise UsageError(f"{source}: {other} and {path} would both become {path.with_suffix('.png')}; rename one")
    return found


def _walk(source: Path) -> Iterator[tuple[str, str]]:
    for folder, inside, names in os.walk(source):
        inside[:] = [name for name in inside if not name.startswith(".")]
        yield from (
            (folder, name)
            for name in names
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith((".", "__MACOSX"))
        )


def crop_folder(
    source: Path, target: Path, cropping: Cropping, *, on_picture: Callable[[int], None] = lambda _: None
) -> Outcome:
    """Cut the largest face out of every picture under `source` into a PNG of the same path under `target`.

    Crops that are there already are kept, so that a second call goes on where the first was stopped.

    Args:
        source: a folder with folders of pictures, such as class folders.
        target: a folder that is not there yet, is empty, or holds crops made in the same way.
        cropping: how.
        on_picture: called with the number of pictures since the last call.

    Raises:
        UsageError: `source` holds no pictures, or `target` holds something else or lies in `source`.
        DataError: `target` takes no more, such as where the disk is full.
    """
    paths = pictures_under(source)
    _claim(source, target, cropping)
    outcome = Outcome()
    try:
        for path in paths:
            made = target / path.with_suffix(".png")
            if not made.exists():
                face = _face_in(source / path, cropping, outcome, str(path))
                if face is not None:
                    made.parent.mkdir(parents=True, exist_ok=True)
                    write_bytes(made, cv2.imencode(".png", face)[1].tobytes())
            if made.exists():
                outcome.cropped.append(str(path))
            on_picture(1)
        found = {"pictures": len(paths), "cropped": len(outcome.cropped)}
        _write(target, {**cropping.facts(), **found, "no_face": outcome.no_face, "unreadable": outcome.unreadable})
    except OSError as error:
        raise DataError(
            f"{target} takes no more crops ({error.strerror}); those that are there are kept: free some space and run "
            "it again"
        ) from error
    return outcome


def _face_in(path: Path, cropping: Cropping, outcome: Outcome, name: str) -> NDArray[np.uint8] | None:
    try:
        frame = Stills(path).read()
    except (SourceError, ValueError):
        frame = None
    if frame is None:
        outcome.unreadable.append(name)
        return None
    face = cropping.face(frame)
    if face is None:
        outcome.no_face.append(name)
    return face


def _claim(source: Path, target: Path, cropping: Cropping) -> None:
    if target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{target} lies in {source}, whose pictures are read; name a folder elsewhere")
    try:
        target.mkdir(parents=True, exist_ok=True)
        if not any(target.iterdir()):
            _write(target, cropping.facts())
            return
        known = json.loads((target / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{target} holds something else than crops (no {FACTS}); name an empty folder") from error
    except OSError as error:
        raise UsageError(f"{target} cannot take the crops ({error.strerror}); name an empty folder") from error
    except ValueError as error:
        raise UsageError(f"{target / FACTS} is damaged ({error}); name an empty folder") from error
    wanted = cropping.facts()
    if not isinstance(known, dict) or {key: known.get(key) for key in wanted} != wanted:
        raise UsageError(f"{target} holds crops that were made in another way ({FACTS} says how); name an empty folder")


def _write(target: Path, facts: dict[str, Any]) -> None:
    write_text(target / FACTS, json.dumps(facts, indent=2) + "\n")
