"""The few formulas that tables of measurements need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

PERCENTILES = (50, 95, 99)


def paired_interval(gained: int, lost: int, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two shares of the same pairs, -1..1 (Agresti and Min 2005, Stat. Med. 24, p. 729).

    Args:
        gained, lost: pairs in which only the second, or only the first is a success.
        pairs: all of them, at least 1.
        level: of confidence, 0 < level < 1.
    """
    # Half a pair more of each kind keeps the interval honest where hardly any pair differs.
    more, less, count = gained + 0.5, lost + 0.5, pairs + 2
    change = (more - less) / count
    half = NormalDist().inv_cdf((1 + level) / 2) * ((more + less - count * change**2) ** 0.5) / count
    return max(-1.0, change - half), min(1.0, change + half)


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Interval of the median whatever the distribution, by order statistics (Conover 1999, section 3.2).

    Args:
        values: at least one; of fewer than six (at 95 %) it is their range, which is less sure than `level`.
        level: of confidence, 0 < level < 1.
    """
    ordered, count = sorted(values), len(values)
    below, outside = 0.5**count, 0
    while below <= (1 - level) / 2:
        outside += 1
        below += math.comb(count, outside) * 0.5**count
    first = max(0, outside - 1)
    return ordered[first], ordered[count - 1 - first]


def percentiles(rounds: Iterable[ArrayLike]) -> dict[str, float]:
    """p50, p95 and p99 of each round, and of these the median over the rounds.

    A round that was disturbed by other work on the machine thus moves nothing.

    Args:
        rounds: the measurements of each, float, (n,), any unit.
    """
    of_rounds = np.array([np.percentile(np.asarray(one, np.float64), PERCENTILES) for one in rounds])
    return {f"p{p}": round(float(np.median(column)), 4) for p, column in zip(PERCENTILES, of_rounds.T, strict=True)}
