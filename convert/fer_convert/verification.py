"""Float and converted network side by side on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_train.evaluation import Evaluation, evaluate
from fer_train.significance import mcnemar

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What conversion cost.

    Attributes:
        split: name of the pictures' split.
        before, after: evaluation of the float and of the converted network.
        agreement: share of pictures on which both give the same label, 0..1.
        gained, lost: pictures that only the converted, or only the float network gets right.
        interval: 95 % interval of the change of accuracy, in percentage points, by a paired bootstrap.
        p_value: of McNemar's exact test that neither network is better.
    """

    split: str
    before: Evaluation
    after: Evaluation
    agreement: float
    gained: int
    lost: int
    interval: tuple[float, float]
    p_value: float

    @property
    def pictures(self) -> int:
        """How many there were."""
        return self.before.count

    @property
    def drop(self) -> float:
        """Accuracy lost by conversion, in percentage points; negative where it rose."""
        return 100.0 * (self.lost - self.gained) / self.pictures

    def facts(self, kind: str) -> dict[str, Any]:
        """The short form, for the model file: rounded, so that no last digit of a float sum decides a byte."""
        return {
            "pictures": self.pictures,
            "float": _summary(self.before),
            kind: _summary(self.after),
            "agreement": round(self.agreement, 4),
            "drop_points": round(self.drop, 3),
            "drop_points_95": [round(-self.interval[1], 3), round(-self.interval[0], 3)],
            "mcnemar_p": round(self.p_value, 4),
        }


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": round(evaluation.accuracy, 4),
        "macro_f1": round(evaluation.macro_f1, 4),
        "ece": round(evaluation.ece, 4),
        "recall": {label: round(share, 4) for label, share in zip(evaluation.labels, evaluation.recall, strict=True)},
    }


def compare(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    names: tuple[str, ...],
    split: str,
    seed: int,
) -> Comparison:
    """Compare two networks' outputs on the same pictures.

    Args:
        before, after: probabilities, (n, classes), of the float and the converted network.
        labels: the truth, (n,).
        names: the classes' names in order.
        split: name of the pictures' split.
        seed: of the bootstrap.
    """
    tops = before.argmax(axis=1), after.argmax(axis=1)
    right = tops[0] == labels, tops[1] == labels
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    count = len(labels)
    # Resampling pictures with replacement draws (gained, lost, neither) from a multinomial.
    shares = np.array([gained, lost, count - gained - lost]) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, RESAMPLES)
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) * (100.0 / count), [2.5, 97.5])
    return Comparison(
        split=split,
        before=evaluate(before, labels, names),
        after=evaluate(after, labels, names),
        agreement=float((tops[0] == tops[1]).mean()),
        gained=gained,
        lost=lost,
        interval=(float(low), float(high)),
        p_value=mcnemar(gained, lost),
    )
