"""Learn from a larger network that was trained here: knowledge distillation.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531. As in
Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022,
arXiv:2106.05237, the teacher sees the very view of a picture that the student sees, blended and
erased as it is, so that its answers are for that view and cannot be learned by heart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_edge.contract.errors import DataError
from fer_train.runs import TEACHER, Run

if TYPE_CHECKING:
    import keras


def load_teacher(run: Run, *, classes: int, side: int) -> keras.Model | None:
    """Read the run's teacher, if it has one, computing in the precision it was trained in.

    Raises:
        DataError: its file is damaged, or holds a network of other classes or another size.
    """
    from fer_train import models

    if not run.recipe.training.teacher:
        return None
    weights = run.folder / TEACHER
    network = models.load_as_trained(weights)
    shapes = network.input_shape, network.output_shape
    if shapes != ((None, side, side, 1), (None, classes)):
        raise DataError(
            f"the teacher {weights} goes from {shapes[0]} to {shapes[1]}, where the data needs "
            f"(None, {side}, {side}, 1) to (None, {classes}); name one trained on the same labels"
        )
    return network
