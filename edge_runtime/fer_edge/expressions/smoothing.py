"""One expression a face, steady over time."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.labels import UNCERTAIN


class Smoother:
    """Averages each track's probabilities over time and switches its label reluctantly.

    The average is exponential in seconds, not in frames, so it means the same at 5 and at 50 frames a
    second. A new label has to lead the present one by `lead` for `dwell_s`; a face whose best label
    stays below `min_confidence` is `"uncertain"`.

    Args:
        labels: in the order of the probabilities.
        time_constant_s: after this time a change has come through to 63 %.
        dwell_s: how long a new label has to lead before it is taken.
        lead: by how much its averaged probability has to exceed the present label's.
        min_confidence: smallest averaged probability of a stable label.
    """

    def __init__(
        self, labels: tuple[str, ...], *, time_constant_s: float = 0.5, dwell_s: float = 0.3,
        lead: float = 0.1, min_confidence: float = 0.4,
    ) -> None:  # fmt: skip
        self._labels = labels
        self._time_constant_s, self._dwell_s = time_constant_s, dwell_s
        self._lead, self._min_confidence = lead, min_confidence
        self._states: dict[int, _State] = {}

    def update(self, track: int, probabilities: NDArray[np.float32], captured: float, time: float) -> tuple[str, float]:
        """Take one frame's probabilities; return the stable label and since when it holds.

        Args:
            track: id of the face.
            probabilities: float32, (labels,).
            captured: monotonic time of the frame, seconds.
            time: wall-clock time of the frame, seconds since the epoch.
        """
        state = self._states.get(track)
        if state is None:
            state = self._states[track] = _State(probabilities.astype(np.float64), captured, time)
        elapsed = max(captured - state.captured, 0.0)
        share = 1.0 - math.exp(-elapsed / self._time_constant_s) if self._time_constant_s > 0 else 1.0
        state.mean += share * (probabilities - state.mean)
        state.captured = captured
        wanted = self._wanted(state)
        if wanted == state.stable:
            state.candidate = None
        elif wanted != state.candidate:
            state.candidate, state.candidate_since = wanted, captured
        if state.candidate is not None and captured - state.candidate_since >= self._dwell_s:
            state.stable, state.stable_since, state.candidate = state.candidate, time, None
        return state.stable, state.stable_since

    def keep(self, tracks: Collection[int]) -> None:
        """Forget every face that is not among `tracks`."""
        for track in self._states.keys() - set(tracks):
            del self._states[track]

    def _wanted(self, state: _State) -> str:
        best = int(np.argmax(state.mean))
        if state.mean[best] < self._min_confidence:
            return UNCERTAIN
        if state.stable != UNCERTAIN:
            present = self._labels.index(state.stable)
            if state.mean[best] - state.mean[present] < self._lead:
                return state.stable
        return self._labels[best]


class _State:
    __slots__ = ("candidate", "candidate_since", "captured", "mean", "stable", "stable_since")

    def __init__(self, mean: NDArray[np.float64], captured: float, time: float) -> None:
        self.mean, self.captured = mean, captured
        self.stable, self.stable_since = UNCERTAIN, time
        self.candidate: str | None = None
        self.candidate_since = captured
