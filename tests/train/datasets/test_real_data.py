from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_train.datasets import Dataset, Reading, copies, divide, load

COUNTS = {
    "Training": [3995, 436, 4097, 7215, 4830, 3171, 4965],
    "PublicTest": [467, 56, 496, 895, 653, 415, 607],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(fer_data: Path) -> Dataset:
    return load(fer_data / "fer2013" / "fer2013.csv.gz")


@pytest.fixture(scope="module")
def pictures(fer_data: Path) -> Dataset:
    return load(fer_data / "fer2013" / "fer2013-images.zip")


def test_counts_of_both_forms(table: Dataset, pictures: Dataset) -> None:
    assert table.counts() == COUNTS
    assert pictures.counts() == COUNTS


def test_the_zips_pictures_are_those_of_the_table(table: Dataset, pictures: Dataset) -> None:
    rng = np.random.default_rng(0)
    for name in COUNTS:
        raw, compressed = table.split(name), pictures.split(name)
        for row in rng.choice(len(compressed), 20, replace=False):
            same_class = raw.images[raw.labels == compressed.labels[row]].astype(np.float32)
            distance = np.abs(same_class - compressed.images[row]).mean(axis=(1, 2)).min()
            assert distance < 4.0, compressed.names[row]


def test_known_blemishes(table: Dataset) -> None:
    found = copies(table.split("Training"), table.split("PublicTest"))
    assert found == {"validation_in_training": 280, "within_training": 1236}


def test_ferplus_counts_are_those_that_the_authors_rules_give(fer_data: Path) -> None:
    """25,060 and 3,199 pictures keep a majority, as others who use the authors' code report."""
    found = load(fer_data / "fer2013" / "fer2013.csv.gz", reading=Reading(labels="ferplus"))
    assert {name: len(split) for name, split in found.splits.items()} == {"Training": 25_060, "PublicTest": 3_199}
    assert found.counts()["PublicTest"] == [287, 24, 62, 865, 351, 415, 1182, 13]


def test_cleaning_takes_out_what_is_known_to_be_wrong(fer_data: Path, table: Dataset) -> None:
    reading = Reading(clean=("copies", "leaks", "no-face"))
    found, *names = divide(load(fer_data / "fer2013" / "fer2013.csv.gz", reading=reading), "usage", 1)
    assert copies(found.split(names[0]), found.split(names[1])) == {"validation_in_training": 0, "within_training": 0}
    assert 27_000 < len(found.split(names[0])) < 28_709 - 1_236
    assert found.split(names[1]).sha256() == table.split("PublicTest").sha256()
