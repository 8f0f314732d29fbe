"""What a difference between two shares is worth."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share, 0..1, after Wilson 1927 (JASA 22, p. 209).

    Args:
        hits: successes, 0 to `trials`.
        trials: at least 1.
        level: of confidence, 0 < level < 1.
    """
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = hits / trials
    centre = share + z2 / (2 * trials)
    half = (z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) ** 0.5
    # Rounding may leave the bounds a hair inside the share that they enclose.
    low, high = (centre - half) / (1 + z2 / trials), (centre + half) / (1 + z2 / trials)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p value of McNemar's test (McNemar 1947): discordant pairs are fair coin tosses."""
    tosses = gained + lost
    tail = sum(math.comb(tosses, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**tosses)
