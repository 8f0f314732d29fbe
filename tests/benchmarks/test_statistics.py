import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.statistics import percentiles, wilson_interval


def test_wilson_interval_of_newcombes_example():
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_encloses_the_share_and_mirrors(counts):
    hits, trials = counts
    low, high = wilson_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert low < high
    mirrored = wilson_interval(trials - hits, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_more_confidence_is_a_wider_interval():
    assert wilson_interval(50, 100, 0.99)[0] < wilson_interval(50, 100, 0.95)[0]


def test_percentiles_are_those_of_the_median_round():
    rounds = np.stack([np.arange(101), np.arange(101) + 10, np.arange(101) * 1000])
    assert percentiles(rounds) == {"p50": 60.0, "p95": 105.0, "p99": 109.0}
