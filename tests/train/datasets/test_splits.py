from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_train.datasets import Dataset, Split, copies, divide


def test_usage_keeps_fer2013s_own_splits(made_data: Dataset) -> None:
    assert divide(made_data, "usage", 1) == (made_data, "Training", "PublicTest")


def test_usage_without_validation_pictures_says_what_to_do(made_data: Dataset) -> None:
    alone = dataclasses.replace(made_data, splits={"Training": made_data.split("Training")})
    with pytest.raises(DataError, match=r"no PublicTest pictures; divide it with --split random:0\.2"):
        divide(alone, "usage", 1)


def test_random_division_is_seeded_and_keeps_every_picture_once(made_data: Dataset) -> None:
    first, training, validation = divide(made_data, "random:0.2", 5)
    assert (training, validation) == ("random-train", "random-validation")
    assert len(first.split(validation)) == round(0.2 * 131)
    pixels = [image.tobytes() for split in first.splits.values() for image in split.images]
    wanted = [image.tobytes() for split in made_data.splits.values() for image in split.images]
    assert sorted(pixels) == sorted(wanted)
    again, *_ = divide(made_data, "random:0.2", 5)
    other, *_ = divide(made_data, "random:0.2", 6)
    assert again.split(training).sha256() == first.split(training).sha256()
    assert other.split(training).sha256() != first.split(training).sha256()


@pytest.mark.parametrize("how", ["random", "random:", "random:0", "random:1", "random:nan", "random:x", "thirds", ""])
def test_nonsense_is_a_usage_error(how: str, made_data: Dataset) -> None:
    with pytest.raises(UsageError, match=r"it can be usage, or random:0\.2"):
        divide(made_data, how, 1)


def test_too_few_pictures(made_data: Dataset) -> None:
    one = dataclasses.replace(made_data, splits={"Training": made_data.split("Training").take(np.array([0]))})
    with pytest.raises(DataError, match=r"too few pictures \(1\)"):
        divide(one, "random:0.2", 1)


def test_copies_are_counted_by_pixels() -> None:
    def split(*levels: int) -> Split:
        images = np.stack([np.full((48, 48), level, np.uint8) for level in levels])
        return Split(images, np.zeros(len(levels), np.int64), tuple(map(str, range(len(levels)))))

    assert copies(split(1, 2, 2, 2, 3), split(2, 2, 9)) == {"validation_in_training": 2, "within_training": 2}
