"""The loop: one result a frame, in the full frame's pixels, whatever the source does."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from fakes import BrightnessDetector, LevelClassifier, ListSource, scene

from fer_edge.contract.errors import ConfigError, SourceError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces.tracking import Tracker
from fer_edge.loop import MAX_FAILURES_IN_A_ROW, Loop
from fer_edge.records import Detection, Frame


def loop(items: list[Frame | Exception], classifier: LevelClassifier | None = None, sightings: int = 1) -> Loop:
    return Loop(
        ListSource(items), BrightnessDetector(), classifier or LevelClassifier(),
        tracker=Tracker(sightings=sightings), smoother=Smoother(FER2013_LABELS, dwell_s=0.1),
    )  # fmt: skip


def test_one_result_a_frame_in_order() -> None:
    results = list(loop([scene(at=n / 30) for n in range(10)]).results())
    assert [result.seq for result in results] == list(range(10))
    assert {face.id for result in results for face in result.faces} == {1}
    assert [result.faces[0].stable for result in results][-1] == "happy"
    assert results[0].faces[0].stable == "uncertain", "one frame is not enough"
    assert results[0].faces[0].expression == "happy"
    assert results[0].faces[0].confidence == pytest.approx(0.88)
    assert results[0].faces[0].box == (40, 30, 20, 20)
    assert (results[0].width, results[0].height) == (160, 120)
    assert set(results[0].stages_ms) == {"capture", "detect", "classify", "other"}


def test_the_crop_is_the_face() -> None:
    crops: list[np.ndarray] = []
    list(loop([scene(level=200)], LevelClassifier(lambda crop: crops.append(crop.copy()))).results())
    assert crops[0].shape == (48, 48)
    assert (crops[0] == 200).all()


def test_boxes_are_in_the_full_frame_where_only_a_region_is_looked_at() -> None:
    (result,) = loop([scene(40, 30, offset=(100, 50), full_size=(640, 480))]).results()
    assert result.faces[0].box == (140, 80, 20, 20)
    assert (result.width, result.height) == (640, 480)


def test_stills_are_independent_pictures() -> None:
    stills = [scene(level=170, independent=True, name="a.jpg"), scene(level=190, independent=True, name="b.jpg")]
    first, second = loop(stills, sightings=3).results()
    assert first.faces[0].stable == first.faces[0].expression == "happy"
    assert second.faces[0].stable == second.faces[0].expression == "sad"
    assert first.faces[0].id != second.faces[0].id


def test_a_live_source_with_nothing_new_is_asked_again() -> None:
    assert len(list(loop([TimeoutError(), scene(), TimeoutError(), scene(at=1)]).results())) == 2


def test_a_stop_is_noticed_while_nothing_comes() -> None:
    stop = threading.Event()

    class Silent(ListSource):
        def read(self) -> Frame | None:
            if len(self.items) == 7:
                stop.set()
            return super().read()

    source = Silent([TimeoutError()] * 10)
    quiet = Loop(source, BrightnessDetector(), LevelClassifier(), tracker=Tracker(), smoother=Smoother(FER2013_LABELS))
    assert list(quiet.results(stop)) == []
    assert len(source.items) == 6


def test_a_detector_that_fails_once_costs_one_frame_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    class Moody(BrightnessDetector):
        calls = 0

        def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
            self.calls += 1
            if self.calls in (3, 4):
                raise RuntimeError("a bad day")
            return super().detect(frame, expected)

    moody = Loop(
        ListSource([scene(at=n / 30) for n in range(8)]), Moody(), LevelClassifier(),
        tracker=Tracker(sightings=1), smoother=Smoother(FER2013_LABELS),
    )  # fmt: skip
    assert [len(result.faces) for result in moody.results()] == [1, 1, 0, 0, 1, 1, 1, 1]
    assert moody.failures == 2
    assert [record.getMessage() for record in caplog.records] == [
        "detector brightness failed (a bad day); going on with the next frame"
    ]


def test_a_detector_that_always_fails_ends_the_run() -> None:
    class Broken(BrightnessDetector):
        def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
            raise RuntimeError("gone for good")

    broken = Loop(
        ListSource([scene(at=n / 30) for n in range(1000)]), Broken(), LevelClassifier(),
        tracker=Tracker(), smoother=Smoother(FER2013_LABELS),
    )  # fmt: skip
    seen = []
    with pytest.raises(RuntimeError, match="gone for good"):
        seen.extend(broken.results())
    assert broken.failures == MAX_FAILURES_IN_A_ROW


def test_a_frame_that_is_no_picture_is_passed_over() -> None:
    faulty = loop([scene(), ValueError("a frame is uint8 …"), scene(at=1)])
    assert len(list(faulty.results())) == 2
    assert faulty.failures == 1


def test_a_setting_that_does_not_fit_the_frames_ends_the_run() -> None:
    with pytest.raises(ConfigError, match="leaves the frame"):
        list(loop([ConfigError("roi 0,0,9999,10 leaves the frame")]).results())


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 500), (480, 640, 3)])
def test_frames_of_changing_size_and_kind_go_through(shape: tuple[int, ...]) -> None:
    odd = Frame(image=np.full(shape, 180, np.uint8), time=0.0, captured=0.5, source="list")
    sizes = [(result.width, result.height) for result in loop([scene(), odd, scene(at=1)]).results()]
    assert sizes == [(160, 120), (shape[1], shape[0]), (160, 120)]


def test_two_hundred_faces() -> None:
    class Crowd(BrightnessDetector):
        def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
            return [Detection((10 * (n % 16), 10 * (n // 16), 9, 9), 0.9) for n in range(200)]

    crowd = Loop(
        ListSource([scene(at=n / 30) for n in range(3)]), Crowd(), LevelClassifier(),
        tracker=Tracker(sightings=1), smoother=Smoother(FER2013_LABELS),
    )  # fmt: skip
    results = list(crowd.results())
    assert [len(result.faces) for result in results] == [200] * 3
    assert len({face.id for result in results for face in result.faces}) == 200


def test_what_came_before_a_failure_is_yielded() -> None:
    seen = []
    with pytest.raises(SourceError, match="unplugged"):
        for result in loop([scene(), scene(at=1), SourceError("camera 0 was unplugged")]).results():
            seen.append(result)
    assert len(seen) == 2


def test_a_face_that_left_is_forgotten_and_comes_back_uncertain() -> None:
    empty = Frame(image=np.zeros((120, 160), np.uint8), time=0, captured=0, source="list")
    frames = [scene(at=n / 30) for n in range(20)] + [empty] * 20 + [scene(at=2.0)]
    results = list(loop(frames).results())
    assert results[19].faces[0].stable == "happy"
    assert results[-1].faces[0].id == 2
    assert results[-1].faces[0].stable == "uncertain"
    assert all(result.faces == () for result in results[20:40])


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_a_frame_of_another_form_is_refused_where_it_is_made(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Frame(image=image, time=0, captured=0, source="test")


def test_a_classifier_can_be_replaced_between_two_frames() -> None:
    class Other(LevelClassifier):
        side = 24

    crops: list[np.ndarray] = []
    swapped = loop([scene(at=n / 30) for n in range(2)])
    results = swapped.results()
    assert next(results).faces[0].confidence == pytest.approx(0.88)
    swapped.classifier = Other(lambda crop: crops.append(crop.copy()))
    assert next(results).faces[0].expression == "happy"
    assert [crop.shape for crop in crops] == [(24, 24)]


def test_drops_of_the_source_are_in_every_result() -> None:
    source = ListSource([scene(at=0), scene(at=1)])
    counted = Loop(
        source, BrightnessDetector(), LevelClassifier(), tracker=Tracker(), smoother=Smoother(FER2013_LABELS)
    )
    results = counted.results()
    assert next(results).dropped == 0
    source.dropped = 7
    assert next(results).dropped == counted.dropped == 7


def test_what_happened_before_the_clock_was_set_is_told_by_the_new_clock(caplog: pytest.LogCaptureFixture) -> None:
    def live(at: float, clock: float) -> Frame:
        return Frame(image=scene(at=at).image, time=clock + at, captured=at, source="camera")

    # An hour back and ten years ahead; NTP's slewing, of a few milliseconds, is no jump.
    frames = [live(n / 10, 1e9) for n in range(10)]
    frames += [live(n / 10, 1e9 + (n % 2) * 0.004 - 3600) for n in range(10, 20)]
    frames += [live(n / 10, 1.3e9) for n in range(20, 30)]
    results = list(loop(list(frames)).results())
    since = [result.faces[0].stable_since for result in results]
    assert {result.faces[0].stable for result in results[5:]} == {"happy"}, "the jump changes no label"
    began = since[5] - 1e9
    assert since[19] == pytest.approx(1e9 - 3600 + began, abs=0.01)
    assert since[29] == pytest.approx(1.3e9 + began, abs=0.01)
    assert len(set(since[12:20])) == 1, "it moves only when the clock jumps"
    assert len([record for record in caplog.records if "clock was set" in record.getMessage()]) <= 2
