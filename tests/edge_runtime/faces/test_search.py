"""When a window's answer counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fer_edge.faces.search import FaceSearch
from fer_edge.records import Box, Detection, Frame, Framing

FACE: Box = (100.0, 100.0, 80.0, 100.0)


class Finder:
    name, framing = "fake", Framing(scale=1.0, rise=0.0)

    def __init__(self, seen: Box) -> None:
        self.seen, self.scans = seen, 0

    def scan(self, frame: Frame) -> Sequence[Detection]:
        self.scans += 1
        return [Detection(FACE, 0.9)]

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        return [Detection(self.seen, 0.9)]


def frame(captured: float) -> Frame:
    return Frame(image=np.zeros((480, 640), np.uint8), time=0.0, captured=captured, source="test")


@pytest.mark.parametrize(
    ("seen", "scans"),
    [
        ((110.0, 105.0, 84.0, 104.0), 1),
        # Something of a third of the face's size in its window, and a neighbour that fills half of it.
        ((110.0, 110.0, 30.0, 30.0), 2),
        ((150.0, 100.0, 80.0, 100.0), 2),
    ],
)
def test_what_is_elsewhere_or_of_another_size_is_not_the_face(seen: Box, scans: int) -> None:
    finder = Finder(seen)
    search = FaceSearch(finder)
    search.detect(frame(0.0))
    (found,) = search.detect(frame(0.03), [FACE])
    assert finder.scans == scans
    assert found.box == (seen if scans == 1 else FACE)
