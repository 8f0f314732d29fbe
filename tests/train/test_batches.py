from __future__ import annotations

import numpy as np
import pytest

from fer_train.augmentation import Augmentation
from fer_train.datasets import Dataset

pytestmark = pytest.mark.tensorflow

OFF = Augmentation(rotation_degrees=0.0, shift=0.0, zoom=0.0, flip=False)


def test_mixup_blends_pictures_and_targets_alike(made_data: Dataset) -> None:
    from fer_train.batches import TrainingBatches

    split = made_data.split("Training")
    made = {
        alpha: TrainingBatches(split, classes=7, batch_size=32, augmentation=OFF, seed=5, mixup=alpha)
        for alpha in (0.0, 0.4)
    }
    (plain, labels), (mixed, targets) = made[0.0][0], made[0.4][0]
    assert targets.sum(axis=1) == pytest.approx(1.0)
    partners = labels.argmax(axis=1) != labels[::-1].argmax(axis=1)
    share = targets[np.arange(32), labels.argmax(axis=1)]
    assert ((share[partners] > 0) & (share[partners] < 1)).any()
    blended = share[:, None, None, None] * plain + (1 - share)[:, None, None, None] * plain[::-1]
    np.testing.assert_allclose(mixed[partners], blended[partners], atol=1e-5)
    assert (made[0.4][0][0] == mixed).all(), "a resumed run sees the same"


def test_the_teacher_sees_sharp_what_its_pupil_sees_blurred(made_data: Dataset) -> None:
    from fer_train.batches import TrainingBatches

    class Watching:
        def __init__(self) -> None:
            self.seen: list[np.ndarray] = []

        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            self.seen.append(images)
            return np.full((len(images), 7), 1 / 7, np.float32)

    worse = Augmentation(rotation_degrees=0.0, shift=0.0, zoom=0.0, flip=False, blur=3.0)
    teacher = Watching()
    batches = TrainingBatches(
        made_data.split("Training"), classes=7, batch_size=32, augmentation=worse, seed=5, teacher=teacher,
        teacher_share=0.5, teacher_views=1,
    )  # fmt: skip
    (first, _), (again, _) = batches[0], batches[0]
    np.testing.assert_array_equal(first, again)
    changed = (teacher.seen[0] != first).any(axis=(1, 2, 3))
    assert 0 < changed.sum() < 32
    batches.begin_epoch(3)  # The same views once more, blurred in another way.
    later, _ = batches[0]
    assert len(teacher.seen) == 2, "the view and its mirror image, once"
    assert ((teacher.seen[0] != later).any(axis=(1, 2, 3)) != changed).any()
