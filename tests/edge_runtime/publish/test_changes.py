from __future__ import annotations

from fer_edge.publish.changes import Changes
from fer_edge.records import FrameResult
from results import face, result


def picked(*frames: tuple[float, FrameResult]) -> list[float]:
    now = 0.0
    changes = Changes(clock=lambda: now)
    moments = []
    for now, frame in frames:
        if changes.picks(frame):
            moments.append(now)
    return moments


def test_a_label_a_face_and_a_departure_are_changes_and_each_second_has_a_heartbeat() -> None:
    nobody, happy, sad = result(), result(face(1)), result(face(1, stable="sad"))
    both = result(face(1, stable="sad"), face(2))
    assert picked((0.0, nobody), (0.1, nobody), (0.2, happy), (0.3, happy), (0.4, sad), (0.5, both), (0.6, sad),
                  (0.7, nobody), (0.8, nobody)) == [0.0, 0.2, 0.4, 0.5, 0.6, 0.7]  # fmt: skip
    assert picked(*((tenth / 10, happy) for tenth in range(35))) == [0.0, 1.0, 2.0, 3.0]


def test_a_label_that_changes_within_a_frame_without_becoming_stable_is_none() -> None:
    flickering = [(n / 100, result(face(1, probabilities, stable="happy"))) for n, probabilities in
                  enumerate([(0, 0, 0, 1, 0, 0, 0), (0, 0, 0, 0, 1, 0, 0)] * 20)]  # fmt: skip
    assert picked(*flickering) == [0.0]
