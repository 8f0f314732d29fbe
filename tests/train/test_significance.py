from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_train.significance import mcnemar, wilson_interval


def test_wilson_interval_of_newcombes_example() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_encloses_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    hits, trials = counts
    low, high = wilson_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert low < high
    mirrored = wilson_interval(trials - hits, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_more_confidence_is_a_wider_interval() -> None:
    assert wilson_interval(50, 100, 0.99)[0] < wilson_interval(50, 100, 0.95)[0]


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    # Binomial tails by hand: 2 * P(X <= min) for X ~ B(n, 1/2).
    [(0, 0, 1.0), (3, 3, 1.0), (0, 5, 2 / 32), (5, 0, 2 / 32), (1, 9, 22 / 1024), (0, 4000, 0.0)],
)
def test_mcnemar(gained: int, lost: int, expected: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(expected, abs=1e-12)
