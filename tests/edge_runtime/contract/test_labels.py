from __future__ import annotations

from typing import Any

import pytest

from fer_edge.contract.labels import FER2013_LABELS, UNCERTAIN, checked_labels


def test_fer2013_order() -> None:
    assert checked_labels(list(FER2013_LABELS)) == (
        "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral",
    )  # fmt: skip


@pytest.mark.parametrize(
    "labels",
    [[], ["a"], ["a", "a"], ["a", " "], ["a", "b\n"], ["a", 3], ["a", ["b"]], ["a", "x" * 65], ["a", UNCERTAIN], "ab"],
)
def test_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        checked_labels(labels)
