from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def test_parameter_count() -> None:
    from fer_train import models

    def stage(inputs: int, width: int) -> int:
        return 9 * inputs * width + 9 * width * width + 2 * 4 * width  # four numbers a channel in each norm

    wanted = stage(1, 32) + stage(32, 64) + stage(64, 128) + stage(128, 256) + 256 * 7 + 7
    assert models.build("residual_vgg", classes=7).count_params() == wanted == 1_176_359


def test_trained_in_bfloat16_it_is_read_back_in_float32(tmp_path: Path) -> None:
    import keras

    from fer_train import models

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = models.build("residual_vgg", classes=7, filters=(4, 8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in mixed.layers} == {"bfloat16", "float32"}
    mixed.save(tmp_path / "mixed.keras")
    plain = models.load(tmp_path / "mixed.keras")
    assert {layer.dtype_policy.name for layer in plain.layers} == {"float32"}
    for ours, theirs in zip(plain.get_weights(), mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    faces = np.random.default_rng(0).uniform(-1, 1, (4, 48, 48, 1)).astype(np.float32)
    np.testing.assert_allclose(plain(faces), mixed(faces), atol=0.02)
