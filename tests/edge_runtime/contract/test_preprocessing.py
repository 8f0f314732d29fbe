"""One XOR is exact quantization."""

from __future__ import annotations

import numpy as np

from fer_edge.contract.preprocessing import INPUT_SCALE, INPUT_ZERO_POINT, quantize_gray, unit_gray

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_the_xor_is_tflite_quantization_for_every_level() -> None:
    real = LEVELS.astype(np.float64) / 255
    expected = np.rint(real / INPUT_SCALE) + INPUT_ZERO_POINT
    assert quantize_gray(LEVELS).dtype == np.int8
    assert np.array_equal(quantize_gray(LEVELS), expected)


def test_the_input_is_left_alone_and_may_be_strided() -> None:
    frame = np.tile(LEVELS, (2, 2))
    before = frame.copy()
    assert np.array_equal(quantize_gray(frame[::2, 3:19]), quantize_gray(before[::2, 3:19].copy()))
    assert np.array_equal(frame, before)


def test_unit_gray_spans_zero_to_one() -> None:
    unit = unit_gray(LEVELS)
    assert unit.dtype == np.float32
    assert unit.min() == 0.0
    assert unit.max() == 1.0
    assert np.allclose(unit, LEVELS / 255.0, atol=1e-7)
