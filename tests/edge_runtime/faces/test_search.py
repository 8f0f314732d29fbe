"""When a window's answer counts, and what a scan beside the loop brings."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fer_edge.faces.search import SIZE_TIME_S, FaceSearch, Scan
from fer_edge.faces.tracking import overlap
from fer_edge.records import Box, Detection, Frame, Framing

FACE: Box = (100.0, 100.0, 80.0, 100.0)
GUEST: Box = (400.0, 200.0, 60.0, 80.0)
PERIOD_S = 1 / 30


class Finder:
    """Sees in windows what is in them, and in scans what there was when they were prepared."""

    name, framing = "fake", Framing(scale=1.0, rise=0.0)

    def __init__(self, *faces: Box) -> None:
        self.faces: list[Box] = list(faces)
        self.scans = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None
        self.mirrored: list[bool] = []

    def prepare_scan(self, frame: Frame, *, mirrored: bool) -> Scan:
        self.scans += 1
        self.mirrored.append(mirrored)
        faces = list(self.faces)

        def scan() -> Sequence[Detection]:
            assert self.go_on.wait(10)
            if self.error:
                raise self.error
            return [Detection(face, 0.9) for face in faces]

        return scan

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        return [Detection(face, 0.9) for face in self.faces if overlap(face, box) > 0]


def frame(number: int, *, live: bool = False) -> Frame:
    picture = np.zeros((480, 640), np.uint8)
    return Frame(image=picture, time=0.0, captured=number * PERIOD_S, source="test", name=None if live else "test")


def detect(search: FaceSearch, frame: Frame, expected: Sequence[Box] = ()) -> Sequence[Detection]:
    return search.detect(frame, [Detection(box, 0.9, predicted=True) for box in expected])


def boxes(found: Sequence[Detection]) -> list[Box]:
    return [face.box for face in found]


def watch(search: FaceSearch, numbers: range, *, live: bool = False) -> list[Box]:
    """The faces of the last of some frames, each of which expects those of the frame before."""
    seen: list[Box] = []
    for number in numbers:
        seen = boxes(detect(search, frame(number, live=live), seen))
    return seen


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
    finder = Finder(FACE)
    search = FaceSearch(finder)
    detect(search, frame(0))
    finder.faces = [seen]
    # At the same moment, so that a window's size is believed as it is.
    (found,) = boxes(detect(search, frame(0), [FACE]))
    assert found == pytest.approx(seen)
    assert finder.scans == scans


def test_a_live_loop_does_not_wait_for_a_scan_while_it_knows_a_face() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    watch(search, range(1), live=True)
    finder.go_on.clear()
    finder.faces.append(GUEST)
    seen = [FACE]
    for number in range(1, 90):
        seen = boxes(detect(search, frame(number, live=True), seen))
        assert seen == [FACE]
    assert finder.scans == 2
    finder.go_on.set()
    for number in range(90, 90 + 500):
        seen = boxes(detect(search, frame(number, live=True), seen))
        if GUEST in seen:
            return
        threading.Event().wait(0.01)
    pytest.fail("the scan was never asked for its faces")


def test_a_new_face_is_reported_where_it_is_by_now() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    watch(search, range(2), live=True)
    x, y, width, height = GUEST
    finder.faces.append(GUEST)
    seen = [FACE]
    for number in range(2, 600):
        seen = boxes(detect(search, frame(number, live=True), seen))
        if len(seen) == 2:
            assert [seen[0], pytest.approx(seen[1])] == finder.faces
            return
        # Walks on, slowly enough for the window around where the scan saw it.
        finder.faces[1] = (x + number % 5, y, width, height)
        threading.Event().wait(0.001)
    pytest.fail("the new face was never seen")


def test_a_new_face_that_has_moved_on_is_looked_for_everywhere() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, scan_interval_s=0.5)
    watch(search, range(1), live=True)
    finder.faces.append(GUEST)
    finder.go_on.clear()
    detect(search, frame(15, live=True), [FACE])
    begun = finder.scans
    moved = (GUEST[0], 20.0, *GUEST[2:])
    finder.faces[1] = moved
    finder.go_on.set()
    seen = [FACE]
    for number in range(16, 600):
        seen = boxes(detect(search, frame(number, live=True), seen))
        if len(seen) == 2:
            break
        threading.Event().wait(0.001)
    assert seen == [FACE, moved]
    assert finder.scans == begun + 1


def test_the_scan_of_a_file_is_waited_for() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, scan_interval_s=0.5, first_interval=1.0)
    watch(search, range(2))
    finder.faces.append(GUEST)
    finder.go_on.clear()
    threading.Timer(0.05, finder.go_on.set).start()
    first = next(number for number in range(2, 60) if len(detect(search, frame(number), [FACE])) == 2)
    assert first == 15


def test_scans_that_find_nobody_new_come_less_and_less_often() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, scan_interval_s=0.5)
    seen = watch(search, range(31))
    busy = finder.scans
    for number in range(31, 31 + 10 * 30):
        seen = boxes(detect(search, frame(number), seen))
    assert busy > 1 / 0.5
    assert finder.scans - busy <= 10 / 0.5


def test_a_scan_that_fails_beside_the_loop_is_told_once_and_tried_again() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    watch(search, range(1))
    finder.error = RuntimeError("out of memory")
    failures = 0
    for number in range(1, 30):
        try:
            detect(search, frame(number), [FACE])
        except RuntimeError:
            failures += 1
            finder.error = None
    assert failures == 1
    finder.faces.append(GUEST)
    assert watch(search, range(30, 60)) == [FACE, GUEST]


def test_a_known_face_is_looked_for_ten_times_a_second_while_nobody_comes_or_goes() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, look_interval_s=0.07, scan_interval_s=0.5)
    seen: Sequence[Detection] = ()

    def follow(number: int) -> Sequence[Detection]:
        nonlocal seen
        seen = search.detect(frame(number), [replace(face, predicted=True) for face in seen])
        return seen

    looked = [not follow(number)[0].predicted for number in range(60)]
    calm = looked.index(False)
    # The first scan after the one that found the face comes after a fifth of the interval, and finds nobody new.
    assert calm == 1 + round(0.1 / PERIOD_S)
    assert looked[calm:] == [(number + 1) % 3 == 0 for number in range(60 - calm)]
    finder.faces.append(GUEST)
    met = next(number for number in range(60, 90) if len(follow(number)) == 2)
    assert not any(face.predicted for number in range(met + 1, met + 4) for face in follow(number))


def test_where_two_faces_became_one_a_scan_looks_for_the_other() -> None:
    finder = Finder(FACE, GUEST)
    search = FaceSearch(finder, look_interval_s=0.07)
    watch(search, range(30))
    moved = (GUEST[0] + 90, *GUEST[1:])
    finder.faces = [FACE, moved]
    beside = (FACE[0] + 10, *FACE[1:])
    begun = finder.scans
    for number in range(30, 33):
        found = detect(search, frame(number), [FACE, beside])
        if finder.scans > begun:
            break
    assert boxes(found) == [FACE, moved]


def test_stills_are_each_scanned_as_they_are() -> None:
    finder = Finder()
    search = FaceSearch(finder)
    for number in range(4):
        search.detect(replace(frame(number), independent=True))
    assert finder.mirrored == [False] * 4


def test_a_known_face_that_left_is_missed_by_the_next_look() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, look_interval_s=0.07)
    watch(search, range(30))
    finder.faces = []
    left = next(number for number in range(30, 40) if not detect(search, frame(number), [FACE]))
    assert left <= 32


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_while_the_clock_does_not_go_on_every_frame_is_looked_at(seconds: float) -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, look_interval_s=0.07)
    watch(search, range(30))
    stands = replace(frame(29), captured=29 * PERIOD_S + seconds)
    for _ in range(3):
        (seen,) = search.detect(stands, [Detection(FACE, predicted=True)])
        assert not seen.predicted


def test_in_a_crowd_one_scan_takes_the_place_of_many_windows() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder, max_windows=16)
    watch(search, range(1))
    finder.faces = [FACE, *((50.0 * (n % 12), 220.0 + 50 * (n // 12), 30.0, 40.0) for n in range(60))]
    assert len(watch(search, range(1, 30))) == 61


def test_a_clock_that_goes_back_does_not_end_the_scans() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    watch(search, range(10_000, 10_030))
    finder.faces.append(GUEST)
    assert watch(search, range(30)) == [FACE, GUEST]


def test_while_nobody_is_there_every_other_scan_is_of_the_mirror_image() -> None:
    finder = Finder()
    search = FaceSearch(finder)
    watch(search, range(3))
    assert finder.mirrored == [False, True, False]
    finder.faces = [FACE]
    assert boxes(detect(search, frame(3))) == [FACE]
    # A face that was lost is looked for as it was.
    finder.faces = []
    detect(search, frame(4), [FACE])
    detect(search, frame(5))
    assert finder.mirrored[3:] == [True, False, True]


def test_a_windows_box_moves_the_face_at_once_and_its_size_by_a_share() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    detect(search, frame(0))
    share = 1 - np.exp(-PERIOD_S / SIZE_TIME_S)
    finder.faces = [(104.0, 95.0, 96.0, 110.0)]
    ((x, y, width, height),) = boxes(detect(search, frame(1), [FACE]))
    assert (x + width / 2, y + height / 2) == pytest.approx((152.0, 150.0))
    assert (width, height) == pytest.approx((80 * (96 / 80) ** share, 100 * (110 / 100) ** share))


def test_without_time_between_frames_a_window_is_believed() -> None:
    finder = Finder(FACE)
    search = FaceSearch(finder)
    detect(search, frame(0))
    finder.faces = [(104.0, 95.0, 96.0, 110.0)]
    (seen,) = boxes(detect(search, frame(0), [FACE]))
    assert seen == pytest.approx(finder.faces[0])


def test_a_window_that_always_shows_a_larger_face_does_not_run_away() -> None:
    """As a face that reaches beyond the picture does: each look says 15 % more than it was asked about."""
    finder = Finder(FACE)
    search = FaceSearch(finder)
    seen = boxes(detect(search, frame(0)))
    for number in range(1, 4):
        x, y, width, height = seen[0]
        finder.faces = [(x - 0.075 * width, y - 0.075 * height, 1.15 * width, 1.15 * height)]
        seen = boxes(detect(search, frame(number), seen))
    assert seen[0][2] < 1.1 * FACE[2]
