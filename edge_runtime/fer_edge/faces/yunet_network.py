"""YuNet's graph for a TFLite runtime, with the weights of OpenCV Zoo's file.

OpenCV's own dnn module takes five times as long for a window and three times as long for a scan. The
graph is that of Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023: a backbone of
depthwise-separable convolutions, a feature pyramid of three levels, one head a level. Two things are
folded without changing a result: where grey levels stand for all three colours, the first convolution
sums its weights over them; and the four branches of a head are one convolution with 16 outputs. In int8
a scan takes two thirds of the time and half of the memory (docs/adr/0019-scans-in-int8.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.digest import sha256
from fer_edge.contract.errors import DetectorError
from fer_edge.faces import onnx
from fer_edge.faces.onnx import Convolution
from fer_edge.faces.tflite_graph import Graph, Range, flatbuffer
from fer_edge.faces.weights import YUNET_SHA256

STRIDES = (8, 16, 32)
"""Pixels between two cells of each level."""
OUTPUTS = 16
"""Of each cell: logit of class and of objectness, offset and log size of the box, five landmarks."""

RANGES: tuple[Range, ...] = (
    (0.00, 2.95), (-2.61, 2.39), (0.00, 3.61), (-3.24, 4.44), (0.00, 3.21), (-2.73, 2.01), (0.00, 3.97),
    (-3.44, 1.79), (0.00, 2.20), (-1.20, 1.54), (0.00, 1.57), (-1.43, 1.29), (0.00, 2.13), (-1.85, 1.25),
    (0.00, 1.81), (-1.08, 1.07), (0.00, 2.59), (-1.72, 1.79), (0.00, 3.25), (-2.68, 2.06), (0.00, 2.61),
    (-1.10, 1.11), (0.00, 2.46), (-1.46, 1.11), (0.00, 5.32), (0.00, 6.47), (-1.91, 1.90), (0.00, 4.15), (0.00, 4.30),
    (-3.47, 2.94), (0.00, 5.60),
)  # fmt: skip
"""Of what each convolution and each addition in front of the heads makes; measured by `scripts/yunet-ranges` on
training pictures of FER2013 in scenes."""

_Take = Callable[[], Convolution]


def read_weights(path: Path) -> tuple[Convolution, ...]:
    """The 53 convolutions of OpenCV Zoo's .onnx file in order of execution.

    Raises:
        DetectorError: the file cannot be read, or is another one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DetectorError(f"YuNet's weights {path} cannot be read ({error.strerror}); check its rights") from error
    if sha256(data).hexdigest() != YUNET_SHA256:
        raise DetectorError(f"{path} is damaged or not OpenCV Zoo's YuNet; run: fer-edge model pull yunet --force")
    return tuple(onnx.convolutions(data))


def input_shape(height: int, width: int, channels: int) -> tuple[int, int, int, int]:
    """Of a picture with a row above and a column at each side, two columns for one of twice the channels.

    The first convolution looks at every other column. Over pairs of them it holds two thirds of the pointers, which
    are 3.5 MB for 512x384.
    """
    return (1, height + 1, width // 2 + 1, 2 * channels)


def build(
    weights: Sequence[Convolution], height: int, width: int, channels: int, *, ranges: Sequence[Range] | None = None
) -> bytes:
    """A .tflite network for pictures of one size.

    Args:
        weights: as read.
        height, width: of the picture in pixels, multiples of 32.
        channels: 3 for BGR, 1 for grey levels.
        ranges: `RANGES` for int8 up to the heads, None for float32.

    Returns:
        A flatbuffer from `input_shape` in 0..255, whose first row and column are zero, as float32 or as int8 less 128,
        to one (1, height / stride, width / stride, 16) float32 output for each of `STRIDES`.
    """
    graph = Graph(input_shape(height, width, channels), ranges)
    take = iter(weights).__next__
    return flatbuffer(graph, _heads(graph, _features(graph, take), take))


def build_observed(weights: Sequence[Convolution], height: int, width: int, channels: int) -> bytes:
    """The float32 network of `build` whose outputs are the tensors that `RANGES` is about, in their order."""
    graph = Graph(input_shape(height, width, channels))
    _features(graph, iter(weights).__next__)
    return flatbuffer(graph, graph.ranged)


def _features(graph: Graph, take: _Take) -> list[int]:
    """The backbone and the feature pyramid, down to one tensor for each of `STRIDES`."""
    kernel, bias = take()
    kernel = kernel if graph.shape(0)[3] == 2 * 3 else kernel.sum(axis=1, keepdims=True)
    x = graph.convolution(0, _of_pairs(kernel), bias, strides=(2, 1), relu=True)
    x = graph.halved(graph.unit(x, take(), take()))
    for _ in range(4):
        x = graph.unit(x, take(), take())
    pyramid = []
    for _ in STRIDES:
        x = graph.halved(x)
        for _ in range(2):
            x = graph.unit(x, take(), take())
        pyramid.append(x)
    laterals = [(take(), take()) for _ in STRIDES]
    for level, lateral in zip((2, 1, 0), laterals, strict=True):
        x = pyramid[level] if level == 2 else graph.add(pyramid[level], graph.doubled(pyramid[level + 1]))
        pyramid[level] = graph.unit(x, *lateral)
    return pyramid


def _of_pairs(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A kernel of 3x3 with a stride of 2 as one of 3x2 over pairs of columns, the fourth column zero."""
    filters, channels, rows, columns = kernel.shape
    wide = np.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, 1)))
    pairs = wide.reshape(filters, channels, rows, (columns + 1) // 2, 2)
    return pairs.transpose(0, 4, 1, 2, 3).reshape(filters, 2 * channels, rows, -1)


def _heads(graph: Graph, pyramid: Sequence[int], take: _Take) -> list[int]:
    """One output for each level, in float32: the box's offset and size are finer than a step of int8."""
    classes, boxes, objectness, landmarks = [[(take(), take()) for _ in STRIDES] for _ in range(4)]
    outputs = []
    for level, features in enumerate(pyramid):
        branches = [branch[level] for branch in (classes, objectness, boxes, landmarks)]
        pointwise, depthwise = (
            (np.concatenate([b[part][0] for b in branches]), np.concatenate([b[part][1] for b in branches]))
            for part in (0, 1)
        )
        outputs.append(graph.unit(graph.real(features), pointwise, depthwise, relu=False))
    return outputs
