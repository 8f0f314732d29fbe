"""The one record that every loader makes and every trainer takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_train.datasets.reading import Reading

SPLITS = ("Training", "PublicTest", "PrivateTest")
"""FER2013's own names: PublicTest is for choosing, PrivateTest for the last examination."""


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Labels (n,) to targets (float32, (n, classes))."""
    return np.eye(classes, dtype=np.float32)[labels]


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures and their labels.

    Attributes:
        images: uint8, (n, height, width), grey levels 0..255.
        labels: int64, (n,), index into the data set's labels.
        names: where each picture came from (`fer2013.csv#12`, `train/happy/x.jpg`), length n.
        targets: float32, (n, classes), rows sum to 1: what to train towards instead of the labels; None
            where these say it all.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    targets: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            raise DataError(f"images must be uint8 (n, height, width), got {self.images.dtype} {self.images.shape}")
        if not len(self.images) == len(self.labels) == len(self.names):
            raise DataError(
                f"{len(self.images)} images, {len(self.labels)} labels and {len(self.names)} names do not match"
            )
        if self.targets is not None and (self.targets.ndim != 2 or len(self.targets) != len(self.labels)):
            raise DataError(f"targets {self.targets.shape} and {len(self.labels)} labels do not match")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.integer]) -> Split:
        """The pictures at `rows`, in that order."""
        targets = None if self.targets is None else self.targets[rows]
        return Split(self.images[rows], self.labels[rows], tuple(self.names[i] for i in rows), targets)

    def soft(self, classes: int) -> NDArray[np.float32]:
        """Training targets (float32, (n, classes)): `targets`, or the labels as ones among zeros."""
        return one_hot(self.labels, classes) if self.targets is None else self.targets

    def sha256(self) -> str:
        """Hash of pixels, labels and targets in order: the same for every lossless form of the same data."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        if self.targets is not None:
            digest.update(np.ascontiguousarray(self.targets, "<f4").tobytes())
        return digest.hexdigest()


def joined(parts: Sequence[Split], classes: int) -> Split:
    """The pictures of all `parts` (one or more) of the same size, one part after the other."""
    soft = any(part.targets is not None for part in parts)
    return Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.soft(classes) for part in parts]) if soft else None,
    )


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set.

    Attributes:
        labels: names of the classes, in output order.
        splits: by name.
        source: the file or folder it was read from, or all of them.
        paths: these, one by one; empty where it was made otherwise.
        reading: how it was read; None where it was made otherwise.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    source: str
    paths: tuple[str, ...] = ()
    reading: Reading | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", MappingProxyType(dict(self.splits)))

    @property
    def name(self) -> str:
        """Names of its files or folders, without where they lie."""
        return " + ".join(Path(path).name for path in self.paths or (self.source,))

    def split(self, name: str) -> Split:
        """The split called `name`.

        Raises:
            DataError: there is no such split, or it is empty.
        """
        found = self.splits.get(name)
        if found is None or not len(found):
            have = ", ".join(f"{k} ({len(v)})" for k, v in self.splits.items() if len(v)) or "nothing"
            raise DataError(f"{self.source} has no pictures in split {name!r}; it has {have}")
        return found

    def counts(self) -> dict[str, list[int]]:
        """Pictures of each class in each split, in label order."""
        return {
            name: np.bincount(split.labels, minlength=len(self.labels)).tolist() for name, split in self.splits.items()
        }
