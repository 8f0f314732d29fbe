"""The capture thread, against scripted captures with the calls of cv2.VideoCapture."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import SourceError, SourceHungError
from fer_edge.frames import live
from fer_edge.frames.live import LiveCapture


class Scripted:
    """A capture that delivers the pictures put into its queue; None is a failed grab."""

    def __init__(self) -> None:
        self.pictures: Queue[Any] = Queue()
        self.grabs = 0
        self.released = threading.Event()
        self.buffers: set[int] = set()
        self.stamps: Iterator[float | None] = itertools.repeat(None)
        self._now: Any = None

    def grab(self) -> bool:
        self._now = self.pictures.get()
        self.grabs += 1
        if isinstance(self._now, Exception):
            raise self._now
        return self._now is not None

    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        if isinstance(self._now, str):
            raise cv2.error(self._now)
        if image is None or image.shape != self._now.shape or image.dtype != self._now.dtype:
            image = np.empty_like(self._now)
        image[...] = self._now
        self.buffers.add(image.ctypes.data)
        return True, image

    def release(self) -> None:
        self.released.set()


class Source(LiveCapture):
    def __init__(self, capture: Any, *, open_timeout_s: float = 2.0) -> None:
        self.capture = capture
        super().__init__("camera under test", open_timeout_s=open_timeout_s)

    def _open(self) -> Any:
        return self.capture() if callable(self.capture) else self.capture

    def _stamp(self, capture: Any) -> float | None:
        return next(capture.stamps)

    def _advice(self) -> str:
        return "look at its cable"


def level(value: int) -> Any:
    return np.full((4, 6, 3), value, np.uint8)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 3
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Source, Scripted]]:
    monkeypatch.setattr(live, "READ_TIMEOUT_S", 0.4)
    monkeypatch.setattr(live, "GRACE_S", 0.2)
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", 0.1)
    capture = Scripted()
    source = Source(capture)
    yield source, capture
    source.close()
    capture.pictures.put(None)
    assert capture.released.wait(2)  # by the thread itself, once it comes back


def test_the_newest_frame_wins_and_the_rest_is_counted(scripted: tuple[Source, Scripted]) -> None:
    source, capture = scripted
    for value in range(5):
        capture.pictures.put(level(value))
    wait_until(lambda: source.dropped == 4)
    before = time.monotonic()
    frame = source.read()
    assert frame is not None and (frame.image == 4).all() and frame.source == "camera under test"
    assert before - 1 < frame.captured <= before and abs(frame.time - time.time()) < 1


def test_a_frame_stays_as_it_is_until_the_next_read_and_three_buffers_serve(
    scripted: tuple[Source, Scripted],
) -> None:
    source, capture = scripted
    capture.pictures.put(level(0))
    for value in range(1, 30):
        frame = source.read()
        assert frame is not None
        held = frame.image[0, 0, 0]
        for _ in range(3):
            capture.pictures.put(level(value))
        wait_until(lambda value=value: capture.grabs == 1 + 3 * value and source._fresh is not None)
        assert (frame.image == held).all()
    assert len(capture.buffers) <= 3


def test_nothing_new_times_out_and_can_be_read_again(scripted: tuple[Source, Scripted]) -> None:
    source, capture = scripted
    with pytest.raises(TimeoutError):
        source.read()
    capture.pictures.put(level(1))
    assert source.read() is not None


def test_a_few_failures_are_forgiven(scripted: tuple[Source, Scripted]) -> None:
    source, capture = scripted
    for picture in (None, "damaged JPEG", level(9)):
        capture.pictures.put(picture)
    frame = source.read()
    assert frame is not None and (frame.image == 9).all()


def test_a_source_that_stops_is_named_after_its_last_frame_was_read(scripted: tuple[Source, Scripted]) -> None:
    source, capture = scripted
    capture.pictures.put(level(1))
    wait_until(lambda: source._fresh is not None)
    for _ in range(10):
        capture.pictures.put(None)
    wait_until(lambda: source._error is not None)
    assert source.read() is not None
    for _ in range(2):
        with pytest.raises(SourceError, match="camera under test stopped delivering frames; look at its cable"):
            source.read()


def test_a_read_that_hangs_in_the_driver_is_reported(
    scripted: tuple[Source, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, capture = scripted
    monkeypatch.setattr(source, "hung_s", 0.3)
    capture.pictures.put(level(1))
    assert source.read() is not None
    with pytest.raises(SourceHungError, match=r"hung inside its driver for 0\.3 s; look at its cable"):
        while True:
            with contextlib.suppress(TimeoutError):
                source.read()


def assert_half_a_second_is_forgiven(source: Source, capture: Scripted) -> None:
    for _ in range(10):
        capture.pictures.put(None)  # longer than GRACE_S
    capture.pictures.put(level(2))
    with contextlib.suppress(TimeoutError):
        source.read()
    assert source.read() is not None


def test_the_first_frame_may_take_longer(scripted: tuple[Source, Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    source, capture = scripted
    monkeypatch.setattr(source, "hung_s", 0.1)
    with pytest.raises(TimeoutError):
        source.read()  # 0.4 s
    assert_half_a_second_is_forgiven(source, capture)


def test_a_camera_that_was_asked_for_few_frames_may_take_its_time(
    scripted: tuple[Source, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, capture = scripted
    monkeypatch.setattr(source, "interval_s", 5.0)
    capture.pictures.put(level(1))
    assert source.read() is not None
    assert_half_a_second_is_forgiven(source, capture)


def test_a_frozen_frame_is_not_handed_on_and_soon_a_fault(
    scripted: tuple[Source, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FROZEN_S", 0.3)
    source, capture = scripted
    capture.stamps = itertools.repeat(7.0)
    for _ in range(20):
        capture.pictures.put(level(1))
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"has repeated one frame for 0\.3 s"):
        while True:
            with contextlib.suppress(TimeoutError):
                source.read()


def test_a_dark_room_is_no_fault(scripted: tuple[Source, Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FROZEN_S", 0.05)
    source, capture = scripted
    capture.stamps = itertools.count(1.0)
    for _ in range(10):
        capture.pictures.put(level(0))
        frame = source.read()
        assert frame is not None and not frame.image.any()
        time.sleep(0.02)


def test_frames_of_another_size_are_said_once(
    scripted: tuple[Source, Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    source, capture = scripted
    for shape in ((4, 6), (4, 6), (8, 10), (8, 10)):
        capture.pictures.put(np.zeros((*shape, 3), np.uint8))
        frame = source.read()
        assert frame is not None and frame.image.shape == (*shape, 3)
    assert [record.getMessage() for record in caplog.records] == ["camera under test changed its frames to 10x8"]


@pytest.mark.parametrize(
    "garbage", [np.zeros((4, 6), np.float32), np.zeros((4, 6, 2), np.uint8), np.zeros((0, 6, 3), np.uint8)]
)
def test_what_is_no_picture_is_passed_over_and_soon_a_fault(scripted: tuple[Source, Scripted], garbage: Any) -> None:
    source, capture = scripted
    capture.pictures.put(garbage)
    capture.pictures.put(level(1))
    frame = source.read()
    assert frame is not None and (frame.image == 1).all()
    for _ in range(10):
        capture.pictures.put(garbage)
    with pytest.raises(SourceError, match="stopped delivering frames"):
        while True:
            source.read()


def test_what_the_driver_raises_reaches_the_reader_without_its_text(scripted: tuple[Source, Scripted]) -> None:
    source, capture = scripted
    capture.pictures.put(RuntimeError("rtsp://admin:secret@host"))
    with pytest.raises(SourceError, match="RuntimeError") as error:
        source.read()
    assert "secret" not in str(error.value)


def test_closing_does_not_wait_for_a_stuck_read() -> None:
    capture = Scripted()
    source = Source(capture)
    wait_until(lambda: source._opened)
    before = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - before < 1.5
    with pytest.raises(SourceError, match="closed"):
        source.read()
    capture.pictures.put(None)
    assert capture.released.wait(2)


def test_an_opening_that_hangs_is_given_up_and_cleaned_up_later() -> None:
    capture, answer = Scripted(), threading.Event()

    def slow() -> Scripted:
        answer.wait(5)
        return capture

    with pytest.raises(SourceError, match=r"did not answer within 0\.1 s"):
        Source(slow, open_timeout_s=0.1)
    answer.set()
    assert capture.released.wait(2) and capture.grabs == 0


def test_an_opening_that_fails_says_why() -> None:
    def absent() -> Scripted:
        raise SourceError("there is no camera")

    with pytest.raises(SourceError, match="there is no camera"):
        Source(absent)


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        (np.full((4, 6, 1), 7, np.uint8), np.full((4, 6), 7)),
        (np.full((4, 6), 7, np.uint8), np.full((4, 6), 7)),
        (np.full((4, 6, 4), 7, np.uint8), np.full((4, 6, 3), 7)),
        (np.full((4, 6), 7 * 256 + 255, np.uint16), np.full((4, 6), 7)),
    ],
)
def test_odd_pixel_formats_become_luma_or_bgr(scripted: tuple[Source, Scripted], delivered: Any, expected: Any) -> None:
    source, capture = scripted
    capture.pictures.put(delivered)
    frame = source.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.image, expected)
