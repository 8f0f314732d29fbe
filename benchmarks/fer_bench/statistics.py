"""The few formulas that tables of measurements need."""

from __future__ import annotations

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


def percentiles(rounds: ArrayLike) -> dict[str, float]:
    """p50, p95 and p99 of each round, and of these the median over the rounds.

    A round that was disturbed by other work on the machine thus moves nothing.

    Args:
        rounds: float, (rounds, measurements), any unit.
    """
    of_rounds = np.percentile(np.asarray(rounds, np.float64), PERCENTILES, axis=1)
    return {f"p{p}": round(float(np.median(row)), 4) for p, row in zip(PERCENTILES, of_rounds, strict=True)}
