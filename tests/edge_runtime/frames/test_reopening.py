"""What stops comes back, whatever stopped it; what hangs does not, and is said so."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fer_edge.contract.errors import ConfigError, SourceError, SourceHungError
from fer_edge.frames import reopening
from fer_edge.frames.reopening import Reopening
from fer_edge.records import Frame

Item = Frame | Exception


def frame(at: float = 0.0) -> Frame:
    return Frame(image=np.zeros((4, 6), np.uint8), time=at, captured=at, source="camera")


class Camera:
    """Delivers what it was given, then times out."""

    def __init__(self, items: list[Item], *, closing: Callable[[], None] = lambda: None) -> None:
        self.items, self.dropped, self.closed, self._closing = items, 0, threading.Event(), closing

    def read(self) -> Frame | None:
        if not self.items:
            raise TimeoutError
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise type(item)(*item.args)
        return item

    def close(self) -> None:
        self._closing()
        self.closed.set()


@pytest.fixture
def opened() -> Iterator[Callable[..., Reopening]]:
    """Opens a `Reopening` over what each opening gives: a camera, or an exception."""
    made: list[Reopening] = []

    def make(*openings: Camera | Exception) -> Reopening:
        left = list(openings)

        def open_one() -> Camera:
            one = left.pop(0) if left else SourceError("there is no camera any more")
            if isinstance(one, Exception):
                raise one
            return one

        made.append(Reopening("camera", open_one))
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(reopening, "WAIT_S", 0.05)


def read_on(source: Reopening, *, within_s: float = 5.0) -> Frame:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            found = source.read()
        except TimeoutError:
            continue
        assert found is not None
        return found
    raise AssertionError(f"no frame within {within_s} s")


@pytest.mark.parametrize(
    "fault", [SourceError("it was unplugged; plug it in"), ConfigError("roi leaves the frame, which has 80x60 pixels")]
)
def test_what_stops_is_opened_again_and_said_once(
    opened: Callable[..., Reopening], caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    first = Camera([frame(1), fault])
    source = opened(first, fault, fault, Camera([frame(2), frame(3)]))
    assert source.read() is not None
    with pytest.raises(TimeoutError):
        source.read()
    assert source.trouble == str(fault)
    assert read_on(source).time == 2
    assert (source.trouble, source.reopened) == (None, 1)
    assert read_on(source).time == 3
    assert first.closed.is_set()
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"{fault}; trying until it is back"
    assert "camera is back after" in said[-1]
    assert len(said) == 2, "what is known already is not said again"


def test_a_camera_that_never_was_there_is_an_error_at_once(opened: Callable[..., Reopening]) -> None:
    with pytest.raises(SourceError, match="no camera any more"):
        opened()
    source = opened(Camera([ConfigError("roi leaves the frame")]))
    with pytest.raises(ConfigError):
        source.read()


def test_drops_are_counted_over_all_openings(opened: Callable[..., Reopening]) -> None:
    first, second = Camera([frame(), SourceError("gone")]), Camera([frame()])
    first.dropped, second.dropped = 5, 2
    source = opened(first, second)
    assert source.read() is not None
    assert source.dropped == 5
    read_on(source)
    assert source.dropped == 7


def test_pauses_double_and_a_single_frame_does_not_reset_them(
    opened: Callable[..., Reopening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "LONGEST_PAUSE_S", 0.06)
    gone = SourceError("gone")
    source = opened(Camera([frame(), gone]), gone, gone, Camera([frame(), gone]), gone, Camera([frame(5)]))
    pauses = []
    closing = source._closing.wait
    monkeypatch.setattr(source._closing, "wait", lambda pause: pauses.append(pause) or closing(0))
    for _ in range(3):
        read_on(source)
    assert pauses == [0.01, 0.02, 0.04, 0.06, 0.06]


def test_frames_for_longer_than_the_pause_reset_it(opened: Callable[..., Reopening]) -> None:
    source = opened(Camera([frame(), SourceError("gone")]), Camera([frame(), frame()]))
    source.read()
    read_on(source)
    assert source._pause_s == 0.02
    time.sleep(0.03)
    read_on(source)
    assert source._pause_s == 0.01


def test_a_hang_ends_it(opened: Callable[..., Reopening]) -> None:
    source = opened(Camera([frame(), SourceHungError("it hangs inside its driver")]), Camera([frame()]))
    source.read()
    with pytest.raises(SourceHungError):
        source.read()


def test_a_hang_while_it_is_opened_again_ends_it_too(opened: Callable[..., Reopening]) -> None:
    source = opened(Camera([frame(), SourceError("gone")]), SourceHungError("did not answer within 8 s"))
    source.read()
    with pytest.raises(SourceHungError, match="did not answer"):
        read_on(source)


def test_a_camera_that_cannot_even_be_closed_is_hung(
    opened: Callable[..., Reopening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "CLOSE_LIMIT_S", 0.2)
    let_go = threading.Event()
    source = opened(Camera([frame(), SourceError("gone")], closing=lambda: bool(let_go.wait(5)) and None))
    source.read()
    with pytest.raises(SourceHungError, match="neither closed nor opened"):
        read_on(source)
    let_go.set()


def test_an_opening_that_does_not_come_back_is_hung_after_a_time_of_its_own(
    opened: Callable[..., Reopening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "CLOSE_LIMIT_S", 0.0)
    monkeypatch.setattr(reopening, "OPEN_LIMIT_S", 0.5)
    opening, let_go = threading.Event(), threading.Event()

    def slow() -> Camera:
        opening.set()
        let_go.wait(5)
        return Camera([])

    source = opened(Camera([frame(), SourceError("gone")]))
    source._open = slow
    source.read()
    with pytest.raises(TimeoutError, match="gone"):
        source.read()
    assert opening.wait(5)
    with pytest.raises(TimeoutError, match="away"):
        source.read()
    with pytest.raises(SourceHungError, match="neither closed nor opened"):
        read_on(source)
    let_go.set()


def test_closing_while_it_is_away_leaves_nothing_open(opened: Callable[..., Reopening]) -> None:
    opening, answer, second = threading.Event(), threading.Event(), Camera([frame()])

    def slow() -> Camera:
        opening.set()
        answer.wait(5)
        return second

    openings = iter([lambda: Camera([frame(), SourceError("gone")]), slow])
    source = Reopening("camera", lambda: next(openings)())  # noqa: PLW0108 - another one each time
    source.read()
    with pytest.raises(TimeoutError):
        source.read()
    assert opening.wait(5)
    began = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began < 2
    answer.set()
    assert second.closed.wait(5)
    with pytest.raises(SourceError, match="closed"):
        source.read()


def test_nothing_of_what_was_lost_is_kept(opened: Callable[..., Reopening]) -> None:
    first = Camera([frame(), SourceError("gone")])
    gone = weakref.ref(first)
    source = opened(first, Camera([frame()]))
    gc.disable()
    try:
        source.read()
        read_on(source)
        del first
        deadline = time.monotonic() + 5
        while gone() is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gone() is None, "each camera that was lost would hold its pictures until the collector comes by"
    finally:
        gc.enable()
