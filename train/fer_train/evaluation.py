"""How good a classifier is, from its probabilities and the true labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ECE_BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Figures of one classifier on one set of pictures; shares are 0..1, tuples are in label order.

    Attributes:
        labels: names of the classes.
        confusion: int64, (classes, classes); rows are the truth, columns what was predicted.
        accuracy: share of pictures whose most probable class is the true one.
        macro_f1: mean F1 over the classes that occur as truth or prediction, each weighing the same.
        ece: expected calibration error over 15 equal bins of the highest probability (Guo et al. 2017,
            arXiv:1706.04599, equation 3): the mean gap between confidence and accuracy.
        precision: share of the predictions of a class that are right; 0 where it is never predicted.
        recall: share of the pictures of a class that are found; 0 where it does not occur.
        f1: harmonic mean of the two; 0 where both are.
        reliability: float64, (15, 3), a row for each bin of `ece`, from low to high confidence: pictures
            in it, their mean confidence, the share of them that is right; the last two are NaN in an
            empty bin.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    accuracy: float
    macro_f1: float
    ece: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    reliability: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of pictures."""
        return int(self.confusion.sum())

    @property
    def lowest_recall(self) -> float:
        """Of the class that is found the least, 0..1; classes without pictures do not count."""
        return min((share for share, count in zip(self.recall, self.support, strict=True) if count), default=0.0)

    @property
    def support(self) -> tuple[int, ...]:
        """Pictures of each class."""
        return tuple(self.confusion.sum(axis=1).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; shares with six decimals."""
        return {
            "count": self.count,
            "accuracy": round(self.accuracy, 6),
            "macro_f1": round(self.macro_f1, 6),
            "ece": round(self.ece, 6),
            "classes": {
                label: {
                    "precision": round(self.precision[i], 6),
                    "recall": round(self.recall[i], 6),
                    "f1": round(self.f1[i], 6),
                    "support": self.support[i],
                }
                for i, label in enumerate(self.labels)
            },
            "confusion": self.confusion.tolist(),
            "reliability": [
                {"count": int(count), "confidence": round(confidence, 6), "accuracy": round(accuracy, 6)}
                for count, confidence, accuracy in self.reliability.tolist()
                if count
            ],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Evaluation:
        """What `to_dict` told, as far as six decimals go.

        Raises:
            KeyError, TypeError, ValueError: `content` is not of that form.
        """
        classes = content["classes"]
        bins = np.full((ECE_BINS, 3), np.nan)
        bins[:, 0] = 0
        last = -1
        for row in content["reliability"]:
            # A mean may have been rounded over its bin's edge; the rows are in order.
            last = max(last + 1, int(_bin(row["confidence"] - 0.5e-6)))
            bins[last] = row["count"], row["confidence"], row["accuracy"]
        return cls(
            tuple(classes),
            np.array(content["confusion"], np.int64).reshape(len(classes), len(classes)),
            accuracy=content["accuracy"],
            macro_f1=content["macro_f1"],
            ece=content["ece"],
            precision=tuple(found["precision"] for found in classes.values()),
            recall=tuple(found["recall"] for found in classes.values()),
            f1=tuple(found["f1"] for found in classes.values()),
            reliability=bins,
        )

    def table(self) -> str:
        """Precision, recall and F1 of each class and the overall figures, in percent, as lines of text."""
        width = max(len(label) for label in (*self.labels, "macro-F1"))
        lines = [f"{'class':{width}}  precision  recall     F1  pictures"]
        for i, label in enumerate(self.labels):
            shares = f"{100 * self.precision[i]:9.1f}  {100 * self.recall[i]:6.1f}  {100 * self.f1[i]:5.1f}"
            lines.append(f"{label:{width}}  {shares}  {self.support[i]:8d}")
        for name, share in (("accuracy", self.accuracy), ("macro-F1", self.macro_f1), ("ECE", self.ece)):
            lines.append(f"{name:{width}}  {100 * share:9.2f} %")
        return "\n".join(lines)


def evaluate(probabilities: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> Evaluation:
    """Compare probabilities with the truth.

    Args:
        probabilities: float, (n, classes), n at least 1, finite; rows sum to 1 within quantization.
            Of equal probabilities the first class counts as predicted.
        labels: int, (n,), the true classes, 0 <= label < classes.
        names: of the classes, in output order.

    Raises:
        ValueError: shapes or values do not fit.
    """
    scores, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    classes = len(names)
    if scores.ndim != 2 or not len(scores) or scores.shape != (len(truth), classes) or truth.ndim != 1:
        raise ValueError(
            f"probabilities {scores.shape} and labels {truth.shape} must be (n, {classes}) and (n,), n at least 1"
        )
    if not np.isfinite(scores).all():
        raise ValueError("probabilities must be finite")
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= classes:
        raise ValueError(f"labels must be whole numbers from 0 to {classes - 1}")
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    hits, true_counts, predicted_counts = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    either = true_counts + predicted_counts
    f1 = 2 * hits / np.maximum(either, 1)
    bins = _reliability(scores.max(axis=1), predicted == truth)
    return Evaluation(
        tuple(names),
        confusion,
        accuracy=float(hits.sum() / len(truth)),
        macro_f1=float(f1[either > 0].mean()),
        ece=float(np.nansum(bins[:, 0] * np.abs(bins[:, 2] - bins[:, 1])) / len(truth)),
        precision=tuple((hits / np.maximum(predicted_counts, 1)).tolist()),
        recall=tuple((hits / np.maximum(true_counts, 1)).tolist()),
        f1=tuple(f1.tolist()),
        reliability=bins,
    )


def _reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    bins = _bin(confidence)
    counts = np.bincount(bins, minlength=ECE_BINS).astype(np.float64)
    of_none = np.where(counts > 0, counts, np.nan)
    sums = [np.bincount(bins, weights=weights, minlength=ECE_BINS) for weights in (confidence, right)]
    return np.stack([counts, sums[0] / of_none, sums[1] / of_none], axis=1)


def _bin(confidence: ArrayLike) -> NDArray[np.int64]:
    # Bin m holds the confidences in ((m - 1) / 15, m / 15].
    return np.clip(np.ceil(np.asarray(confidence) * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
