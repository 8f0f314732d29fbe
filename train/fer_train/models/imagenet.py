"""ImageNet weights of a VGG network, from a file that the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from fer_edge.contract.errors import DataError, MissingExtraError

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""Of ImageNet's red, green and blue, on [0, 1]: what torchvision's weights expect to be taken out."""


def load_features(
    path: Path, layers: Sequence[tuple[keras.layers.Conv2D, keras.layers.BatchNormalization]], repeats: Sequence[int]
) -> None:
    """Set built convolutions and normalizations to torchvision's `vgg*_bn` weights.

    The file is a .safetensors with torchvision's names (`features.0.weight`, …), as timm's `vgg19_bn.tv_in1k`
    is; `safetensors.torch.save_file(torch.load("vgg19_bn-c79401a0.pth"), "vgg19_bn.safetensors")` makes one.
    The first convolution, made for normalized red, green and blue, is folded to give the same for a grey
    picture in [-1, 1]. What the file says about the classifier is left out.

    Args:
        path: the file.
        layers: in order, a convolution and the normalization behind it.
        repeats: convolutions before each max pooling, which takes a number in the names too.

    Raises:
        DataError: the file is missing, damaged, or of another network.
        MissingExtraError: the package safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtraError("a file of ImageNet weights", "train") from error
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"weight file {path} cannot be read ({error}); give the .safetensors of a vgg19_bn") from error

    def take(number: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        key = f"features.{number}.{name}"
        values = found.get(key)
        if values is None or values.shape != shape:
            has = "nothing" if values is None else f"{values.shape}"
            raise DataError(f"weight file {path} has {has} where {shape} is needed at {key}; it is of another network")
        return values

    number, pairs = 0, iter(layers)
    for count in repeats:
        for _ in range(count):
            convolution, norm = next(pairs)
            *_, inputs, width = convolution.kernel.shape
            kernel = take(number, "weight", (width, inputs if number else 3, 3, 3)).transpose(2, 3, 1, 0)
            bias = take(number, "bias", (width,))
            if number == 0:
                bias = bias + np.einsum("hwcn,c->n", kernel, (0.5 - MEAN) / DEVIATION)
                kernel = np.einsum("hwcn,c->hwn", kernel, 0.5 / DEVIATION)[:, :, None, :]
            convolution.set_weights([kernel, bias])
            names = ("weight", "bias", "running_mean", "running_var")
            norm.set_weights([take(number + 1, name, (width,)) for name in names])
            number += 3
        number += 1
