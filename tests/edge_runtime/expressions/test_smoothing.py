"""The stable label: late enough to be steady, soon enough to be true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.labels import FER2013_LABELS, UNCERTAIN
from fer_edge.expressions.smoothing import Smoother

HAPPY, SAD, NEUTRAL = (FER2013_LABELS.index(name) for name in ("happy", "sad", "neutral"))


def leaning(label: int, share: float = 0.9) -> np.ndarray:
    """Probabilities with `share` on one label and the rest spread evenly."""
    p = np.full(7, (1 - share) / 6, np.float32)
    p[label] = share
    return p


def watch(smoother: Smoother, shown: list[np.ndarray], fps: float, start: float = 0.0) -> list[str]:
    return [smoother.update(1, p, start + n / fps, 1000 + start + n / fps)[0] for n, p in enumerate(shown)]


def test_a_new_face_is_uncertain_until_a_label_held_for_the_dwell() -> None:
    stable = watch(Smoother(FER2013_LABELS, dwell_s=0.3), [leaning(HAPPY)] * 20, fps=30)
    first = stable.index("happy")
    assert set(stable[:first]) == {UNCERTAIN}
    assert first == 9, "0.3 s at 30 frames a second"


def test_one_noisy_frame_changes_nothing() -> None:
    shown = [leaning(HAPPY)] * 30 + [leaning(SAD, 1.0)] + [leaning(HAPPY)] * 30
    stable = watch(Smoother(FER2013_LABELS), shown, fps=30)
    assert set(stable[15:]) == {"happy"}


@pytest.mark.parametrize("fps", [5, 15, 30, 60])
def test_the_delay_is_in_seconds_whatever_the_frame_rate(fps: float) -> None:
    smoother = Smoother(FER2013_LABELS, time_constant_s=0.5, dwell_s=0.3, lead=0.1)
    watch(smoother, [leaning(HAPPY)] * int(3 * fps), fps)
    after = watch(smoother, [leaning(SAD)] * int(3 * fps), fps, start=3.0)
    # The averages cross with a lead of 0.1 after 0.5 s * ln(1.6 / 0.7) = 0.41 s; the dwell adds 0.3 s.
    assert after.index("sad") / fps == pytest.approx(0.71, abs=1.01 / fps + 0.05)


def test_stable_since_is_the_wall_clock_of_the_switch() -> None:
    smoother = Smoother(FER2013_LABELS, dwell_s=0.0)
    assert smoother.update(1, leaning(HAPPY), 5.0, 1_000.0) == ("happy", 1_000.0)
    assert smoother.update(1, leaning(HAPPY), 6.0, 1_001.0) == ("happy", 1_000.0)


def test_an_unclear_face_becomes_uncertain() -> None:
    smoother = Smoother(FER2013_LABELS, min_confidence=0.4)
    watch(smoother, [leaning(HAPPY)] * 60, fps=30)
    stable = watch(smoother, [leaning(NEUTRAL, 0.2)] * 90, fps=30, start=2.0)
    assert stable[-1] == UNCERTAIN


def test_two_labels_close_to_each_other_do_not_flicker() -> None:
    rng = np.random.default_rng(0)
    smoother = Smoother(FER2013_LABELS)
    shown = []
    for _ in range(900):
        p = np.full(7, 0.02, np.float32)
        p[HAPPY], p[NEUTRAL] = 0.45 + rng.normal(0, 0.1), 0.45 + rng.normal(0, 0.1)
        shown.append(p)
    stable = watch(smoother, shown, fps=30)
    raw = [FER2013_LABELS[int(p.argmax())] for p in shown]
    switches = [sum(a != b for a, b in itertools.pairwise(seen)) for seen in (raw, stable)]
    assert switches[0] > 200
    assert switches[1] <= 2


def test_a_clock_that_jumps_back_is_survived() -> None:
    smoother = Smoother(FER2013_LABELS)
    watch(smoother, [leaning(HAPPY)] * 30, fps=30, start=1e6)
    assert watch(smoother, [leaning(HAPPY)] * 30, fps=30, start=0.0)[-1] == "happy"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.floats(0, 1), st.floats(-1, 5)), max_size=60))
def test_the_label_is_always_a_label_and_forgotten_faces_start_anew(
    frames: list[tuple[int, int, float, float]],
) -> None:
    smoother = Smoother(FER2013_LABELS)
    clock = 0.0
    for track, label, share, step in frames:
        clock += step
        stable, since = smoother.update(track, leaning(label, share), clock, clock)
        assert stable in (*FER2013_LABELS, UNCERTAIN)
        assert np.isfinite(since)
    smoother.keep([])
    assert smoother.update(0, leaning(HAPPY), clock, clock)[0] == UNCERTAIN
