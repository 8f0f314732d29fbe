"""Batches for Keras: shuffled and augmented by (seed, epoch, batch), so that a resumed run sees the same."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from fer_train.augmentation import Augmentation
from fer_train.datasets import Split


def to_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels (uint8, (n, h, w)) to the network's input (float32, (n, h, w, 1), [-1, 1])."""
    return (images.astype(np.float32) / np.float32(127.5) - np.float32(1.0))[..., None]


class TrainingBatches(keras.utils.PyDataset):
    """One epoch of batches at a time; the last, incomplete batch is dropped.

    `begin_epoch` must be called before each epoch: Keras' own `on_epoch_end` comes once before the
    first epoch too, and more often when an epoch is cut short, so it cannot be counted on.
    """

    def __init__(
        self,
        split: Split,
        *,
        classes: int,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        mixup: float = 0.0,
        teacher: keras.Model | None = None,
        teacher_share: float = 0.0,
        teacher_views: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=16)
        self._split = split
        self._targets = split.soft(classes)
        self._batch_size = min(batch_size, len(split))
        self._augmentation = augmentation
        self._seed = seed
        self._mixup = mixup
        self._teacher, self._teacher_share, self._teacher_views = teacher, teacher_share, teacher_views
        self._answers: dict[tuple[int, int], NDArray[np.float32]] = {}
        self.begin_epoch(1)

    def __len__(self) -> int:
        return len(self._split) // self._batch_size

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = self._order[batch * self._batch_size : (batch + 1) * self._batch_size]
        rng = np.random.default_rng((self._seed, self._view, batch))
        views, targets = self._augmentation(self._split.images[rows], rng), self._targets[rows]
        share = np.ones(len(rows), np.float32)
        if self._mixup:
            # The batch is shuffled already: its mirror gives every picture a partner.
            share = rng.beta(self._mixup, self._mixup, len(rows)).astype(np.float32)
            targets = share[:, None] * targets + (1 - share[:, None]) * targets[::-1]
        if self._teacher is not None:
            answers = self._ask(self._teacher, _blended(views, share), batch)
            targets = targets + self._teacher_share * (answers - targets)
        # By the epoch, so that views which return are worse in another way.
        worse = self._augmentation.worsen(views, np.random.default_rng((self._seed, self._epoch, batch, 1)))
        images = _blended(worse, share)
        # The answer kept for a view is for its mirror image too.
        return (images[:, :, ::-1] if self._mirrored else images), targets

    def _ask(self, teacher: keras.Model, images: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
        if not self._teacher_views:
            return teacher.predict_on_batch(images)
        key = self._view, batch
        if key not in self._answers:
            both = teacher.predict_on_batch(images), teacher.predict_on_batch(images[:, :, ::-1])
            self._answers[key] = (both[0] + both[1]) / 2
        return self._answers[key]

    def begin_epoch(self, epoch: int) -> None:
        """Shuffle for epoch number `epoch`, from 1."""
        self._epoch = epoch
        repeats, view = divmod(epoch - 1, self._teacher_views) if self._teacher_views else (0, epoch - 1)
        self._mirrored = repeats % 2 == 1
        # The number of the epoch that saw these views first.
        self._view = view + 1
        self._order = np.random.default_rng((self._seed, self._view)).permutation(len(self._split))


def _blended(images: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network's input of `share` of each picture and the rest of its partner from the other end of the batch."""
    inputs = to_input(images)
    return inputs + (1 - share[:, None, None, None]) * (inputs[::-1] - inputs)
