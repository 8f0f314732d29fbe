import numpy as np

from fer_bench.statistics import percentiles


def test_percentiles_are_those_of_the_median_round():
    rounds = np.stack([np.arange(101), np.arange(101) + 10, np.arange(101) * 1000])
    assert percentiles(rounds) == {"p50": 60.0, "p95": 105.0, "p99": 109.0}
