"""The one record that every loader makes and every trainer takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError

SIDE = 48
"""Width and height of a FER2013 picture in pixels."""

SPLITS = ("Training", "PublicTest", "PrivateTest")
"""FER2013's own names: PublicTest is for choosing, PrivateTest for the last examination."""


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures and their labels.

    Attributes:
        images: uint8, (n, height, width), grey levels 0..255.
        labels: int64, (n,), index into the data set's labels.
        names: where each picture came from (`fer2013.csv#12`, `train/happy/x.jpg`), length n.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            raise DataError(f"images must be uint8 (n, height, width), got {self.images.dtype} {self.images.shape}")
        if not len(self.images) == len(self.labels) == len(self.names):
            raise DataError(
                f"{len(self.images)} images, {len(self.labels)} labels and {len(self.names)} names do not match"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.integer]) -> Split:
        """The pictures at `rows`, in that order."""
        return Split(self.images[rows], self.labels[rows], tuple(self.names[i] for i in rows))

    def sha256(self) -> str:
        """Hash of pixels and labels in order: the same for every lossless form of the same data."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: its label names in output order and its splits by name."""

    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", MappingProxyType(dict(self.splits)))

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
