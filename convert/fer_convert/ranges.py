"""Quantization ranges that cost least, instead of the converter's extremes.

TFLiteConverter gives each activation tensor the range from its smallest to its largest value over the
calibration set. A few outliers then stretch the steps of all other values. Here each range is shrunk to
the one with the least mean squared error over clipped and rounded values alike, as in Sung, Shin and
Hwang, "Resiliency of Deep Neural Networks under Quantization", 2015, arXiv:1511.06488, and Banner,
Nahshan and Soudry, "Post training 4-bit quantization", 2019, arXiv:1810.05723.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_convert import inspection
from fer_convert.runner import Watched

PICTURES = 200
VALUES = 500
"""Drawn from each tensor and picture: enough for an error's second digit."""

SHRINKAGE = np.linspace(1.0, 0.3, 15)
FIXED = frozenset(("SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION"))
"""Operators whose int8 kernels prescribe the output's range."""

BIASED = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"))
"""Operators with (input, weights, bias), the bias in steps of input scale times weight scale."""


def refine(quantized: bytes, reference: bytes, images: NDArray[np.uint8], *, seed: int) -> bytes:
    """Give the activations of an int8 flatbuffer the ranges with the least mean squared error.

    Args:
        quantized: all int8, as the converter wrote it.
        reference: the same network in float32, as the converter wrote it.
        images: calibration pictures, uint8, (n, side, side); the first `PICTURES` are looked at.
        seed: of the values drawn.

    Returns:
        The flatbuffer with other scales and zero points and the biases that belong to them; as it was
        where the two do not have the same operators in the same order.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    floating = Watched(reference)
    operators = inspection.inspect(quantized).operators
    written = [(operator.name, tensor) for operator in operators for tensor in operator.output_indices]
    if [name for name, _ in written] != [activation.operator for activation in floating.activations]:
        return quantized
    values = dict(zip((tensor for _, tensor in written), _sample(floating, images, seed), strict=True))
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(quantized))
    graph = _Graph(model, [operator.name for operator in operators])
    for group in graph.groups():
        graph.rescale(group, *best(np.concatenate([found for tensor, found in values.items() if tensor in group])))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _sample(network: Watched, images: NDArray[np.uint8], seed: int) -> list[NDArray[np.float32]]:
    """Values (float32, (n,)) of each activation over the pictures."""
    rng = np.random.default_rng(seed)
    drawn: list[list[NDArray[np.float32]]] = [[] for _ in network.activations]
    for image in images[rng.permutation(len(images))[:PICTURES]]:
        network.run(image)
        for kept, activation in zip(drawn, network.activations, strict=True):
            values = network.values(activation).astype(np.float32).ravel()
            kept.append(values if len(values) <= VALUES else rng.choice(values, VALUES))
    return [np.concatenate(kept) for kept in drawn]


def best(values: NDArray[np.float32]) -> tuple[np.float32, int]:
    """Scale and zero point (-128..127) with the least mean squared error over `values`."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best = (np.inf, np.float32(1.0), 0)
    for below in SHRINKAGE if low < 0 else [1.0]:
        for above in SHRINKAGE if high > 0 else [1.0]:
            scale = np.float32(max(above * high - below * low, 1e-6) / 255)
            zero_point = round(-128 - below * low / float(scale))
            steps = np.clip(np.rint(values / scale) + zero_point, -128, 127) - zero_point
            error = float(np.mean((steps * scale - values) ** 2))
            if error < best[0]:
                best = (error, scale, zero_point)
    return best[1], best[2]


class _Graph:
    """The quantization of one subgraph, changed in place."""

    def __init__(self, model: Any, names: list[str]) -> None:
        self._model, self._names = model, names
        self._tensors = model.subgraphs[0].tensors
        self._operators = model.subgraphs[0].operators

    def groups(self) -> list[set[int]]:
        """Activation tensors that may be given another range, those that must have the same one together."""
        graph = self._model.subgraphs[0]
        group = {index: {index} for op in self._operators for index in op.outputs}
        fixed = {*graph.inputs, *graph.outputs}
        shared = Counter(op.inputs[2] for op in self._operators if len(op.inputs) > 2)
        for name, op in zip(self._names, self._operators, strict=True):
            if name in FIXED:
                fixed |= set(op.outputs)
            if name in BIASED and shared[op.inputs[2]] > 1:
                fixed.add(op.inputs[0])
            for index in op.inputs:
                # A pooling's output has its input's range: the kernel moves steps, not values.
                if index in group and name not in BIASED and self._same(index, op.outputs[0]):
                    merged = group[index] | group[op.outputs[0]]
                    group.update(dict.fromkeys(merged, merged))
        return [set(found) for found in {frozenset(found) for found in group.values()} if not found & fixed]

    def _same(self, one: int, other: int) -> bool:
        return self._quantization(one) == self._quantization(other)

    def _quantization(self, index: int) -> tuple[float, int]:
        quantization = self._tensors[index].quantization
        return float(quantization.scale[0]), int(quantization.zeroPoint[0])

    def rescale(self, group: set[int], scale: np.float32, zero_point: int) -> None:
        """Set the range of the tensors `group` and the biases of their readers; nothing where a bias would overflow."""
        old = {index: np.float32(self._quantization(index)[0]) for index in group}
        if not self._biases_fit(old, scale):
            return  # the converter gives dead channels half of what an int32 holds
        for index in group:
            self._tensors[index].quantization.scale = np.array([scale], np.float32)
            self._tensors[index].quantization.zeroPoint = np.array([zero_point], np.int64)
        for name, op in zip(self._names, self._operators, strict=True):
            if name in BIASED and op.inputs[0] in group and len(op.inputs) > 2 and op.inputs[2] >= 0:
                self._rescale_bias(self._tensors[op.inputs[2]], old[op.inputs[0]], scale)

    def _biases_fit(self, old: dict[int, np.float32], new: np.float32) -> bool:
        for name, op in zip(self._names, self._operators, strict=True):
            if name in BIASED and op.inputs[0] in old and len(op.inputs) > 2 and op.inputs[2] >= 0:
                steps = np.frombuffer(bytes(self._model.buffers[self._tensors[op.inputs[2]].buffer].data), np.int32)
                wanted = np.abs(steps.astype(np.float64)) * (float(old[op.inputs[0]]) / float(new))
                if wanted.size and wanted.max() >= 2**31 - 1:
                    return False
        return True

    def _rescale_bias(self, bias: Any, old: np.float32, new: np.float32) -> None:
        steps = np.frombuffer(bytes(self._model.buffers[bias.buffer].data), np.int32)
        scales = np.asarray(bias.quantization.scale, np.float32)
        rescaled = np.rint(steps * (float(old) / float(new))).astype(np.int32).view(np.uint8)
        if sum(tensor.buffer == bias.buffer for tensor in self._tensors) > 1:
            # The converter lets equal biases share a buffer.
            self._model.buffers.append(type(self._model.buffers[bias.buffer])())
            bias.buffer = len(self._model.buffers) - 1
        self._model.buffers[bias.buffer].data = rescaled
        bias.quantization.scale = (scales.astype(np.float64) / float(old) * float(new)).astype(np.float32)
