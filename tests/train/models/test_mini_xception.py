from __future__ import annotations

import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_train import recipe

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_build(name: str) -> None:
    from fer_train import models

    model = models.build(**recipe.load(name).model, classes=7, side=48)
    assert model.input_shape == (None, 48, 48, 1)
    assert model.output_shape == (None, 7)
    probabilities = model(np.zeros((2, 48, 48, 1), np.float32)).numpy()
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert (probabilities >= 0).all()


def test_published_parameter_count_whatever_the_input_size() -> None:
    from fer_train import models

    def module(inputs: int, width: int) -> int:
        shortcut = inputs * width
        separable = 9 * inputs + inputs * width + 9 * width + width * width
        return shortcut + separable + 3 * 4 * width  # four numbers a channel in each of three norms

    stem = 9 * 8 + 4 * 8 + 9 * 8 * 8 + 4 * 8
    wanted = stem + module(8, 16) + module(16, 32) + module(32, 64) + module(64, 128) + 9 * 128 * 7 + 7
    assert wanted == 58_423
    for side in (48, 64):
        assert models.build("mini_xception", classes=7, side=side).count_params() == wanted


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"architecture": "big_xception"}, "architecture 'big_xception' is unknown"),
        ({"architecture": "mini_xception", "filter": [1]}, "no option 'filter'; did you mean filters\\?"),
        ({"architecture": "mini_xception", "filters": "wide"}, "cannot be built"),
    ],
)
def test_wrong_options(options: dict[str, object], sentence: str) -> None:
    from fer_train import models

    with pytest.raises(UsageError, match=sentence):
        models.build(**options, classes=7)


def test_damaged_and_missing_files(tmp_path) -> None:
    from fer_train import models

    damaged = tmp_path / "best.keras"
    for content in (None, b"", b"PK\x03\x04 not a model"):
        if content is not None:
            damaged.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as a Keras model"):
            models.load(damaged)


def test_repeated_modules_and_dense_head() -> None:
    from fer_train import models

    model = models.build(**recipe.load("mini_labels").model, classes=7)
    assert model.count_params() == 56_223
    with pytest.raises(UsageError, match="3 repeats for 2 filters"):
        models.build("mini_xception", classes=7, filters=(4, 8), repeats=(0, 1, 1))
    with pytest.raises(UsageError, match="head 'soft' is neither convolution nor dense"):
        models.build("mini_xception", classes=7, filters=(4,), head="soft")
