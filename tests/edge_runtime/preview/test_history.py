"""The timeline: stretches of stable labels, bounded."""

from __future__ import annotations

from dataclasses import replace

from fer_edge.preview.history import MAX_SEGMENTS, SPAN_S, History
from fer_edge.records import FrameResult
from results import face, result


def at(time: float, *faces: tuple[int, str]) -> FrameResult:
    return replace(result(*(replace(face(), id=number, stable=label) for number, label in faces)), time=time)


def test_a_stretch_grows_until_the_label_changes_or_the_face_was_away() -> None:
    history = History()
    for seen in (at(0, (1, "happy")), at(0.5, (1, "happy")), at(1, (1, "sad"), (2, "happy")), at(9, (1, "sad"))):
        history.add(seen)
    assert history.stretches() == [(1, "happy", 0, 0.5), (1, "sad", 1, 1), (2, "happy", 1, 1), (1, "sad", 9, 9)]


def test_what_is_older_than_the_span_goes() -> None:
    history = History()
    history.add(at(0, (1, "happy")))
    history.add(at(SPAN_S + 1, (2, "sad")))
    assert history.stretches() == [(2, "sad", SPAN_S + 1, SPAN_S + 1)]


def test_a_crowd_is_bounded() -> None:
    history = History()
    for number in range(20):
        history.add(at(number, *((face_id, "happy" if number % 2 else "sad") for face_id in range(200))))
    assert len(history.stretches()) == MAX_SEGMENTS
    assert len(history._open) == 200


def test_a_clock_that_is_set_back_begins_anew() -> None:
    history = History()
    history.add(at(1000, (1, "happy")))
    history.add(at(10, (1, "happy")))
    assert history.stretches() == [(1, "happy", 10, 10)], "what lies in the future now would never go"
