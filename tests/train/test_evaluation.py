from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer_train.evaluation import Evaluation, evaluate

NAMES = ("a", "b", "c")


def test_figures_worked_out_by_hand() -> None:
    probabilities = [
        [0.9, 0.1, 0.0],  # a, right
        [0.4, 0.6, 0.0],  # a, taken for b
        [0.0, 1.0, 0.0],  # b, right
        [0.5, 0.5, 0.0],  # b, a tie: the first class counts
    ]
    found = evaluate(probabilities, [0, 0, 1, 1], NAMES)
    assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.accuracy == 0.5
    assert found.precision == (0.5, 0.5, 0.0)
    assert found.recall == (0.5, 0.5, 0.0)
    assert found.f1 == (0.5, 0.5, 0.0)
    assert found.macro_f1 == 0.5, "class c occurs neither as truth nor as prediction and must not weigh in"
    assert found.support == (2, 2, 0)
    assert found.count == 4
    # One picture in each of four bins: gaps 0.1, 0.6, 0 and 0.5, each of weight a quarter.
    assert found.ece == pytest.approx(0.3)


def test_a_class_predicted_but_absent_pulls_macro_f1_down() -> None:
    found = evaluate([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [0, 0], NAMES)
    assert found.f1 == pytest.approx((2 / 3, 0.0, 0.0))
    assert found.macro_f1 == pytest.approx(1 / 3)


def test_calibration_bins_close_above() -> None:
    # 0.6 = 9/15 belongs to bin 9 with 0.59, so right and wrong cancel inside the bin.
    names = ("a", "b")
    together = evaluate([[0.6, 0.4], [0.59, 0.41]], [0, 1], names)
    assert together.ece == pytest.approx(abs((1 - 0.6) + (0 - 0.59)) / 2)
    apart = evaluate([[0.61, 0.39], [0.59, 0.41]], [0, 1], names)
    assert apart.ece == pytest.approx((abs(1 - 0.61) + abs(0 - 0.59)) / 2)


def test_reliability_holds_what_the_calibration_error_is_made_of() -> None:
    found = evaluate([[0.9, 0.1, 0.0], [0.91, 0.09, 0.0], [0.5, 0.5, 0.0]], [0, 1, 1], NAMES)
    assert found.reliability.shape == (15, 3)
    assert found.reliability[13].tolist() == pytest.approx([2, 0.905, 0.5])  # 13/15 < 0.9 and 0.91 <= 14/15
    assert found.reliability[7].tolist() == pytest.approx([1, 0.5, 0.0])
    assert np.isnan(found.reliability[0, 1:]).all()
    assert found.ece == pytest.approx((2 * 0.405 + 0.5) / 3)
    assert found.to_dict()["reliability"] == [
        {"count": 1, "confidence": 0.5, "accuracy": 0.0},
        {"count": 2, "confidence": 0.905, "accuracy": 0.5},
    ]


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 40))
    scores = draw(hnp.arrays(np.float64, (count, 3), elements=st.floats(0.01, 1.0)))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 2)))
    return scores / scores.sum(axis=1, keepdims=True), labels


@given(cases())
def test_invariants(case: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = case
    found = evaluate(probabilities, labels, NAMES)
    assert found.accuracy == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
    assert found.accuracy == pytest.approx(np.average(found.recall, weights=found.support))
    for p, r, f in zip(found.precision, found.recall, found.f1, strict=True):
        assert f == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)
    mean_gap = abs((probabilities.argmax(axis=1) == labels).mean() - probabilities.max(axis=1).mean())
    assert mean_gap - 1e-12 <= found.ece <= 1.0
    shuffled = np.random.default_rng(0).permutation(len(labels))
    again = evaluate(probabilities[shuffled], labels[shuffled], NAMES)
    assert (again.confusion == found.confusion).all() and again.ece == pytest.approx(found.ece)


@given(cases())
def test_json_is_read_again(case: tuple[np.ndarray, np.ndarray]) -> None:
    found = evaluate(*case, NAMES)
    again = Evaluation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert (again.labels, again.support) == (found.labels, found.support)
    assert (again.confusion == found.confusion).all()
    assert again.to_dict() == found.to_dict()
    (bins,), (others,) = np.nonzero(found.reliability[:, 0]), np.nonzero(again.reliability[:, 0])
    assert np.isin(bins - others, (0, 1)).all(), "only a mean at an edge moves"
    assert np.isnan(again.reliability[again.reliability[:, 0] == 0, 1:]).all()


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_a_perfect_and_sure_classifier(labels: list[int]) -> None:
    found = evaluate(np.eye(3)[labels], labels, NAMES)
    assert (found.accuracy, found.macro_f1, found.ece) == (1.0, 1.0, 0.0)


def test_json_and_table() -> None:
    found = evaluate([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1], ("happy", "sad"))
    values = json.loads(json.dumps(found.to_dict()))
    assert values["classes"]["sad"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2}
    assert values["confusion"] == [[1, 0], [1, 1]]
    lines = found.table().splitlines()
    assert lines[2].split() == ["sad", "100.0", "50.0", "66.7", "2"]
    assert lines[3].split() == ["accuracy", "66.67", "%"]


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.zeros((2, 2)), [0, 1]),
        (np.zeros((2, 3)), [0]),
        (np.zeros(3), [0, 1, 2]),
        ([[np.nan, 0, 0]], [0]),
        (np.zeros((1, 3)), [3]),
        (np.zeros((1, 3)), [-1]),
        (np.zeros((1, 3)), [0.5]),
    ],
)
def test_what_does_not_fit_is_refused(probabilities: object, labels: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        evaluate(probabilities, labels, NAMES)
