"""Made-up faces: noise with a level of its own for each class, so that a network can learn them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets import Dataset, Split


def make_split(count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(FER2013_LABELS)
    noise = rng.integers(0, 60, (count, 48, 48))
    images = (noise + 28 * labels[:, None, None]).astype(np.uint8)
    return Split(images, labels, tuple(f"made#{i}" for i in range(count)))


@pytest.fixture(scope="session")
def made_data() -> Dataset:
    return Dataset(FER2013_LABELS, {"Training": make_split(96, 1), "PublicTest": make_split(35, 2)}, "made")


@pytest.fixture(scope="session")
def csv_rows(made_data: Dataset) -> list[str]:
    """The made pictures as lines of `fer2013.csv`, header first."""
    rows = ["emotion,pixels,Usage"]
    for usage, split in made_data.splits.items():
        for label, image in zip(split.labels, split.images, strict=True):
            rows.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    return rows


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[str], name: str = "fer2013.csv") -> Path:
        path = tmp_path / name
        data = "".join(f"{row}\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture
def small_recipe(tmp_path: Path) -> Path:
    """A recipe whose epochs take moments, with every part that keeps state between epochs."""
    path = tmp_path / "small.toml"
    path.write_text(
        """
        title = "small"
        [model]
        architecture = "mini_xception"
        batch_norm_momentum = 0.9
        filters = [4, 8]
        [training]
        epochs = 6
        batch_size = 16
        optimizer = "adamw"
        schedule = "cosine"
        learning_rate = 0.01
        warmup_epochs = 1.0
        weight_decay = 0.001
        label_smoothing = 0.05
        [augmentation]
        contrast = 0.2
        """
    )
    return path
