import numpy as np
import pytest

from fer_bench.statistics import median_interval, percentiles


def test_percentiles_are_those_of_the_median_round():
    rounds = np.stack([np.arange(101), np.arange(101) + 10, np.arange(101) * 1000])
    assert percentiles(rounds) == {"p50": 60.0, "p95": 105.0, "p99": 109.0}


@pytest.mark.parametrize(("count", "first"), [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (15, 4), (40, 14), (100, 40)])
def test_the_interval_of_a_median_are_the_ranks_of_the_sign_test(count, first):
    """Conover 1999, table A3: the ranks between which a median lies with 95 %."""
    assert median_interval(range(1, count + 1)[::-1]) == (first, count + 1 - first)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    draws = random.lognormal(size=(4000, 15))
    held = [low <= 1.0 <= high for low, high in map(median_interval, draws)]
    assert 0.95 <= np.mean(held) <= 0.98  # the ranks of fifteen hold 96.5 %
