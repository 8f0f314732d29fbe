"""From a grey crop to the network's input, the same in training, conversion and on the Pi.

The exported network takes [0, 1] as int8 with scale exactly 1/255 and zero point -128, so a grey
level g (0..255) is quantized as round((g / 255) / (1 / 255)) - 128 = g - 128, and in two's
complement g - 128 is g with its top bit flipped: one XOR (docs/adr/0002-int8-input.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INPUT_SCALE = float(np.float32(1.0 / 255.0))
"""Quantization scale of the input tensor, as float32 rounds it."""

INPUT_ZERO_POINT = -128
"""Quantization zero point of the input tensor."""


def quantize_gray(gray: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Grey levels 0..255 (uint8, any shape) to the network's int8 input; exact, one pass, one copy."""
    return (gray ^ np.uint8(0x80)).view(np.int8)


def unit_gray(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels 0..255 (uint8, any shape) to float32 in [0, 1], the input of a float model file."""
    return gray.astype(np.float32) * np.float32(INPUT_SCALE)
