from __future__ import annotations

import numpy as np
import pytest

from fer_convert.verification import compare

NAMES = ("a", "b", "c")


def one_hot(labels: list[int] | np.ndarray) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[labels]


def test_gained_lost_and_agreement() -> None:
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    before = one_hot([0, 1, 2, 0, 2, 0, 1, 0])  # right: 4
    after = one_hot([0, 1, 2, 1, 1, 1, 0, 0])  # right: 5; lost row 3, gained rows 4 and 6
    found = compare(before, after, truth, names=NAMES, split="PublicTest", seed=0)
    assert (found.gained, found.lost, found.pictures) == (2, 1, 8)
    assert found.before.accuracy == 4 / 8
    assert found.after.accuracy == 5 / 8
    assert found.drop == pytest.approx(-12.5)
    assert found.agreement == 4 / 8
    assert found.facts("int8")["int8"]["recall"] == {"a": 0.6667, "b": 0.6667, "c": 0.5}


def test_the_interval_is_that_of_a_bootstrap_over_pictures() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 600)
    before, after = (one_hot(np.where(rng.random(600) < 0.7, truth, rng.integers(0, 3, 600))) for _ in range(2))
    found = compare(before, after, truth, names=NAMES, split="s", seed=3)
    change = (after.argmax(1) == truth).astype(int) - (before.argmax(1) == truth)
    means = [100 * rng.choice(change, 600).mean() for _ in range(4000)]
    assert found.interval == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.35)
    assert found.interval[0] < -found.drop < found.interval[1]


def test_equal_networks() -> None:
    truth = np.array([0, 1, 2])
    found = compare(one_hot([0, 1, 1]), one_hot([0, 1, 1]), truth, names=NAMES, split="s", seed=0)
    assert (found.agreement, found.drop, found.interval, found.p_value) == (1.0, 0.0, (0.0, 0.0), 1.0)
