"""Ids: stable while a face is there, never used twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fer_edge.faces.tracking import Tracker, overlap
from fer_edge.records import Detection

FRAME_S = 1 / 30


def face(x: float, y: float = 100.0, size: float = 80.0, score: float | None = 0.6) -> Detection:
    return Detection((x, y, size, size), score)


def test_a_face_appears_with_its_second_sighting() -> None:
    tracker = Tracker(sightings=2)
    assert tracker.update([face(10)], 0.0) == []
    (track,) = tracker.update([face(12)], FRAME_S)
    assert track.id == 1
    assert track.detection.box[0] == 12


def test_a_sure_face_appears_at_once_and_stays_when_it_is_less_sure() -> None:
    tracker = Tracker(sightings=3)
    (first,) = tracker.update([face(10, score=0.9)], 0.0)
    (second,) = tracker.update([face(11, score=0.5)], FRAME_S)
    assert (first.id, second.id) == (1, 1)


def test_without_scores_the_sightings_count() -> None:
    tracker = Tracker(sightings=2)
    assert tracker.update([face(10, score=None)], 0.0) == []
    assert len(tracker.update([face(10, score=None)], FRAME_S)) == 1


def test_a_single_false_detection_never_gets_an_id() -> None:
    tracker = Tracker(sightings=2, misses=3)
    tracker.update([face(10)], 0.0)
    for n in range(1, 10):
        assert tracker.update([], n * FRAME_S) == []
    tracker.update([face(10)], 1.0)
    (track,) = tracker.update([face(10)], 1.1)
    assert track.id == 1


def test_whoever_is_there_after_an_outage_is_somebody_new() -> None:
    tracker = Tracker(sightings=1)
    for n in range(3):
        (before,) = tracker.update([face(10)], n * FRAME_S)
    assert tracker.expected(3 * FRAME_S)
    assert tracker.expected(3600.0) == []
    (after,) = tracker.update([face(10)], 3600.0)
    assert after.id != before.id


def test_a_camera_that_takes_its_time_has_no_outages() -> None:
    tracker = Tracker(sightings=2)
    ids = [track.id for n in range(6) for track in tracker.update([face(10)], n * 10.0)]
    assert ids == [1] * 5


def test_an_id_survives_a_brief_occlusion_but_not_a_long_one() -> None:
    tracker = Tracker(sightings=1, misses=5)
    (first,) = tracker.update([face(10)], 0.0)
    for n in range(5):
        assert tracker.update([], (n + 1) * FRAME_S) == [], "an unseen face is not reported"
    (again,) = tracker.update([face(10)], 6 * FRAME_S)
    assert again.id == first.id
    for n in range(6):
        tracker.update([], (7 + n) * FRAME_S)
    (new,) = tracker.update([face(10)], 13 * FRAME_S)
    assert new.id == first.id + 1


def test_crossing_faces_keep_their_ids() -> None:
    tracker = Tracker(sightings=1)
    right, left = {}, {}
    for n in range(60):
        a, b = face(50 + 8 * n, 100), face(530 - 8 * n, 130)
        # The order in which a detector reports faces means nothing.
        tracks = tracker.update([a, b] if n % 2 else [b, a], n * FRAME_S)
        for track in tracks:
            if track.detection == a:
                right[n] = track.id
            if track.detection == b:
                left[n] = track.id
    assert set(right.values()) == {right[0]}
    assert set(left.values()) == {left[0]}
    assert right[0] != left[0]


def test_a_fast_face_is_followed_by_its_velocity() -> None:
    tracker = Tracker(sightings=1)
    ids = set()
    position, speed = 0.0, 10.0
    for n in range(30):
        ids |= {track.id for track in tracker.update([face(position)], n * FRAME_S)}
        position += speed
        speed = min(speed + 5, 70)  # at the end, boxes of two frames hardly overlap
    assert ids == {1}


def test_a_predicted_face_stays_and_says_nothing_about_its_motion() -> None:
    tracker = Tracker(sightings=1)
    for n in range(10):
        tracker.update([face(10 + 4 * n)], n * FRAME_S)
    for n in range(10, 30):
        expected = tracker.expected(n * FRAME_S)
        assert [found.predicted for found in expected] == [True]
        seen = expected if n % 3 else [face(10 + 4 * n)]
        (track,) = tracker.update(seen, n * FRAME_S)
        assert track.id == 1
        assert track.detection == seen[0]
        assert abs(track.detection.box[0] - (10 + 4 * n)) < 0.1


def test_predictions_are_no_sightings() -> None:
    tracker = Tracker(sightings=2)
    tracker.update([face(10)], 0.0)
    assert tracker.update(tracker.expected(FRAME_S), FRAME_S) == []
    assert len(tracker.update([face(10)], 2 * FRAME_S)) == 1


def test_independent_pictures_share_no_ids() -> None:
    tracker = Tracker()
    first = tracker.independent([face(10), face(200)])
    second = tracker.independent([face(10)])
    assert [track.id for track in first + second] == [1, 2, 3]


@given(
    st.lists(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(10, 200)), max_size=5), max_size=30),
    st.integers(1, 3),
    st.integers(0, 4),
)
def test_whatever_is_detected_ids_are_unique_and_boxes_are_detections(
    frames: list[list[tuple[float, float, float]]], sightings: int, misses: int
) -> None:
    tracker = Tracker(sightings=sightings, misses=misses)
    gone: set[int] = set()
    before: set[int] = set()
    for n, faces in enumerate(frames):
        detections = [face(*spec) for spec in faces]
        tracks = tracker.update(detections, n * FRAME_S)
        ids = [track.id for track in tracks]
        assert ids == sorted(set(ids))
        assert all(any(track.detection is detection for detection in detections) for track in tracks)
        alive = tracker.alive()
        assert set(ids) <= alive
        gone |= before - alive
        before = alive
        assert not gone & alive, "an id that ended came back"


def test_overlap() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 2, 2)) == 2 / 6
    assert overlap((0, 0, 2, 2), (2, 0, 2, 2)) == 0
