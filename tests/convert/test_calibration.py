from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_convert.calibration import draw
from fer_train.datasets import Split


def split(counts: list[int]) -> Split:
    """Pictures that are all different, so that each tells which row it was."""
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    numbers = np.arange(len(labels), dtype="<u4")
    return Split(numbers.view(np.uint8).reshape(-1, 2, 2), labels, tuple(map(str, numbers)))


def rows(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images).reshape(-1, 4).view("<u4")[:, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=8).filter(any), st.integers(1, 300), st.integers(0, 99))
def test_every_class_has_its_share(counts: list[int], pictures: int, seed: int) -> None:
    pool = split(counts)
    drawn = draw(pool, name="Training", classes=len(counts), seed=seed, pictures=pictures)
    chosen = rows(drawn.images)
    assert len(set(chosen)) == len(chosen)
    found = np.bincount(pool.labels[chosen], minlength=len(counts))
    assert found.tolist() == list(drawn.counts)
    for have, got in zip(counts, found, strict=True):
        share = have * min(1.0, pictures / len(pool))
        assert got == 0 if have == 0 else 1 <= got <= have
        assert abs(got - share) <= 1


def test_the_seed_decides() -> None:
    pool = split([300, 50, 200])
    one, again, other = (draw(pool, name="T", classes=3, seed=seed, pictures=60) for seed in (4, 4, 5))
    assert np.array_equal(one.images, again.images)
    assert not np.array_equal(one.images, other.images)
    assert one.facts() == again.facts()
    assert one.facts()["sha256"] != other.facts()["sha256"]


def test_the_representative_dataset_spans_the_whole_input_range() -> None:
    drawn = draw(split([8, 8]), name="Training", classes=2, seed=0, pictures=10)
    inputs = [only for (only,) in drawn.representative_dataset()]
    assert len(inputs) == len(drawn.images) + 2
    assert all(value.shape == (1, 2, 2, 1) and value.dtype == np.float32 for value in inputs)
    assert (inputs[-2] == 0.0).all()
    assert (inputs[-1] == 1.0).all()
    assert np.allclose(inputs[3][0, ..., 0] * 255, drawn.images[3])
