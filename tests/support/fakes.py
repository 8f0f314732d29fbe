"""Fakes behind the seams, by name; the library itself never uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.records import Detection, Frame, Framing


class ListSource:
    """Delivers given frames; an exception in the list is raised where it stands."""

    dropped = 0

    def __init__(self, items: Iterable[Frame | Exception]) -> None:
        self.items = list(items)
        self.closed = 0

    def read(self) -> Frame | None:
        if not self.items:
            return None
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


class BrightnessDetector:
    """Sees one face wherever there is a bright rectangle."""

    name = "brightness"
    framing = Framing(scale=1.0, rise=0.0)

    def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
        bright = frame.image if frame.image.ndim == 2 else frame.image.max(axis=2)
        rows, columns = np.nonzero(bright > 100)
        if not len(rows):
            return []
        x, y = int(columns.min()), int(rows.min())
        return [Detection((x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1), 0.9)]


class LevelClassifier:
    """Says which of seven grey levels (110, 130, … 230) a crop has."""

    labels = FER2013_LABELS
    side = 48

    def __init__(self, seen: Callable[[np.ndarray], None] = lambda crop: None) -> None:
        self.seen = seen

    def classify(self, face: np.ndarray) -> np.ndarray:
        self.seen(face)
        p = np.full(7, 0.02, np.float32)
        p[int(np.clip((float(face.mean()) - 100) // 20, 0, 6))] = 0.88
        return p


def scene(x: int = 40, y: int = 30, *, level: int = 170, at: float = 0.0, size: int = 20, **facts: object) -> Frame:
    """A dark 160x120 frame with one bright square face; level 170 is `happy`."""
    image = np.zeros((120, 160), np.uint8)
    image[y : y + size, x : x + size] = level
    return Frame(image=image, time=1_000.0 + at, captured=at, source="list", **facts)  # type: ignore[arg-type]
