from __future__ import annotations

import zlib

import numpy as np
import pytest

from fer_convert import golden

SIDE = 48


def network(sharpness: float, classes: int = 7):  # type: ignore[no-untyped-def]
    """A smooth classifier of made-up weights: the larger `sharpness`, the surer it is."""
    weights = np.random.default_rng(3).normal(size=(SIDE * SIDE, classes))

    def classify(picture: np.ndarray) -> np.ndarray:
        assert picture.shape == (SIDE, SIDE)
        assert picture.dtype == np.uint8
        logits = (picture.reshape(-1) / 255.0 - 0.5) @ weights * sharpness
        odds = np.exp(logits - logits.max())
        return (odds / odds.sum()).astype(np.float32)

    return classify


def leads(probabilities: np.ndarray) -> np.ndarray:
    ranked = np.sort(probabilities, axis=1)
    return ranked[:, -1] - ranked[:, -2]


def test_labels_lead_clearly_and_vary() -> None:
    classify = network(0.1)
    made = golden.make(classify, side=SIDE, seed=1)
    assert made.inputs.shape == (golden.COUNT, SIDE, SIDE)
    assert made.inputs.dtype == np.uint8
    assert (leads(made.probabilities) > golden.SAFE_LEAD).all()
    assert (leads(made.probabilities) < 0.95).all()
    assert len(set(made.probabilities.argmax(axis=1))) == golden.COUNT
    assert all(np.array_equal(classify(x), p) for x, p in zip(made.inputs, made.probabilities, strict=True))


def test_the_seed_decides() -> None:
    one, again, other = (golden.make(network(0.1), side=SIDE, seed=seed).inputs for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_an_unsure_network_still_gets_its_clearest_drawing() -> None:
    made = golden.make(network(0.0005), side=SIDE, seed=1)
    assert len(made.inputs) == 1


def test_a_network_of_one_opinion_still_gets_all() -> None:
    row = np.array([0.05, 0.05, 0.9], np.float32)
    made = golden.make(lambda _: row, side=SIDE, seed=1)
    assert len(np.unique(made.inputs, axis=0)) == golden.COUNT


@pytest.mark.parametrize("side", [16, 48, 96])
def test_drawings_fit_any_side_and_deflate_well(side: int) -> None:
    made = golden.make(lambda picture: np.array([0.8, 0.2], np.float32), side=side, seed=1)
    assert made.inputs.shape[1:] == (side, side)
    assert all(picture.std() > 5 for picture in made.inputs)
    assert len(zlib.compress(made.inputs.tobytes(), 9)) < 0.4 * made.inputs.size
