"""YuNet's graph for a TFLite runtime, with the weights of OpenCV Zoo's file.

OpenCV's own dnn module takes five times as long for a window and three times as long for a scan. The
graph is that of Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023: a backbone of
depthwise-separable convolutions, a feature pyramid of three levels, one head a level. Two things are
folded without changing a result: where grey levels stand for all three colours, the first convolution
sums its weights over them; and the four branches of a head are one convolution with 16 outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DetectorError

STRIDES = (8, 16, 32)
"""Pixels between two cells of each level."""
OUTPUTS = 16
"""Of each cell: logit of class and of objectness, offset and log size of the box, five landmarks."""

_Blobs = tuple[NDArray[np.float32], NDArray[np.float32]]
_CONVOLUTIONS = 53


@dataclass(frozen=True, slots=True)
class Weights:
    """Kernels (float32, (out, in, rows, columns)) and biases (float32, (out,)) in order of execution."""

    convolutions: tuple[_Blobs, ...]


def read_weights(path: Path) -> Weights:
    """The convolutions of OpenCV Zoo's .onnx file.

    Raises:
        DetectorError: OpenCV cannot read the file, or it holds another network.
    """
    try:
        net = cv2.dnn.readNetFromONNX(str(path))
        layers = (net.getLayer(number) for number in range(1, len(net.getLayerNames()) + 1))
        blobs = [layer.blobs for layer in layers if layer.type == "Convolution"]
        found = [(np.asarray(kernel, np.float32), np.asarray(bias, np.float32).ravel()) for kernel, bias in blobs]
    except (cv2.error, ValueError) as error:
        reason = getattr(error, "err", error)
        raise DetectorError(
            f"YuNet's weights {path} cannot be loaded ({reason}); run: fer-edge model pull yunet --force"
        ) from error
    if len(found) != _CONVOLUTIONS or found[0][0].shape != (16, 3, 3, 3):
        raise DetectorError(f"{path} holds another network than YuNet; run: fer-edge model pull yunet --force")
    return Weights(tuple(found))


def build(weights: Weights, height: int, width: int, channels: int) -> bytes:
    """A .tflite network for pictures of one size.

    Args:
        weights: as read.
        height, width: of the picture in pixels, multiples of 32.
        channels: 3 for BGR, 1 for grey levels.

    Returns:
        A flatbuffer from (1, height, width, channels) float32 in 0..255 to one (1, height / stride,
        width / stride, 16) float32 output for each of `STRIDES`.
    """
    graph = _Graph((1, height, width, channels))
    left = list(weights.convolutions)

    def take() -> _Blobs:
        return left.pop(0)

    kernel, bias = take()
    kernel = kernel if channels == 3 else kernel.sum(axis=1, keepdims=True)
    x = graph.convolution(graph.pad(0), kernel, bias, stride=2, relu=True)
    x = graph.unit(x, take(), take())
    features = []
    for stage in range(5):
        # The second and third stage work at the same resolution.
        if stage != 1:
            x = graph.halved(x)
        for _ in range(2):
            x = graph.unit(x, take(), take())
        features.append(x)
    pyramid = features[2:]
    laterals = [(take(), take()) for _ in STRIDES]
    heads = [[(take(), take()) for _ in STRIDES] for _ in range(4)]
    for level, lateral in zip((2, 1, 0), laterals, strict=True):
        x = pyramid[level] if level == 2 else graph.add(pyramid[level], graph.doubled(pyramid[level + 1]))
        pyramid[level] = graph.unit(x, *lateral)
    classes, boxes, objectness, landmarks = heads
    outputs = []
    for level in range(len(STRIDES)):
        branches = [branch[level] for branch in (classes, objectness, boxes, landmarks)]
        pointwise, depthwise = (
            (np.concatenate([b[part][0] for b in branches]), np.concatenate([b[part][1] for b in branches]))
            for part in (0, 1)
        )
        outputs.append(graph.unit(pyramid[level], pointwise, depthwise, relu=False))
    return graph.finish(outputs)


# Numbers of the TFLite schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
_ADD, _CONV_2D, _DEPTHWISE_CONV_2D, _MAX_POOL_2D, _PAD, _RESIZE_NEAREST_NEIGHBOR = 0, 3, 4, 17, 34, 97
_OPTIONS = {_ADD: 11, _CONV_2D: 1, _DEPTHWISE_CONV_2D: 2, _MAX_POOL_2D: 5, _PAD: 22, _RESIZE_NEAREST_NEIGHBOR: 74}
_FLOAT32, _INT32 = 0, 2
_SAME, _VALID = 0, 1
_NONE, _RELU = 0, 1


class _Graph:
    """Operators in order of execution, each with the shape of what it makes; a tensor is its number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._buffers: list[bytes] = [b""]
        self._tensors: list[tuple[tuple[int, ...], int, int]] = []
        self._operators: list[tuple[int, list[int], int, list[tuple[str, int]]]] = []
        self._tensor(shape)

    def _tensor(self, shape: tuple[int, ...], kind: int = _FLOAT32, buffer: int = 0) -> int:
        self._tensors.append((shape, kind, buffer))
        return len(self._tensors) - 1

    def _constant(self, values: NDArray[Any]) -> int:
        kind = _INT32 if values.dtype == np.int32 else _FLOAT32
        self._buffers.append(np.ascontiguousarray(values).tobytes())
        return self._tensor(values.shape, kind, len(self._buffers) - 1)

    def _operator(self, code: int, inputs: list[int], shape: tuple[int, ...], options: list[tuple[str, int]]) -> int:
        made = self._tensor(shape)
        self._operators.append((code, inputs, made, options))
        return made

    def pad(self, x: int) -> int:
        """One row above, one column to the left: what the stride of 2 reads of a border of one pixel."""
        batch, rows, columns, channels = self._tensors[x][0]
        paddings = self._constant(np.array([[0, 0], [1, 0], [1, 0], [0, 0]], np.int32))
        return self._operator(_PAD, [x, paddings], (batch, rows + 1, columns + 1, channels), [])

    def convolution(
        self, x: int, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, stride: int = 1, relu: bool = False
    ) -> int:
        """A convolution without padding."""
        batch, rows, columns, _ = self._tensors[x][0]
        reach = kernel.shape[2] - 1
        inputs = [x, self._constant(kernel.transpose(0, 2, 3, 1)), self._constant(bias)]
        shape = (batch, (rows - reach - 1) // stride + 1, (columns - reach - 1) // stride + 1, len(bias))
        options = [("int8", _VALID), ("int32", stride), ("int32", stride), ("int8", _RELU if relu else _NONE)]
        return self._operator(_CONV_2D, inputs, shape, options)

    def unit(self, x: int, pointwise: _Blobs, depthwise: _Blobs, *, relu: bool = True) -> int:
        """YuNet's unit: a 1x1 convolution, then a 3x3 one of each channel alone."""
        x = self.convolution(x, *pointwise)
        kernel, bias = depthwise
        inputs = [x, self._constant(kernel.transpose(1, 2, 3, 0)), self._constant(bias)]
        options = [("int8", _SAME), ("int32", 1), ("int32", 1), ("int32", 1), ("int8", _RELU if relu else _NONE)]
        return self._operator(_DEPTHWISE_CONV_2D, inputs, self._tensors[x][0], options)

    def halved(self, x: int) -> int:
        """The largest of each 2x2 cells."""
        batch, rows, columns, channels = self._tensors[x][0]
        options = [("int8", _VALID), *[("int32", 2)] * 4, ("int8", _NONE)]
        return self._operator(_MAX_POOL_2D, [x], (batch, rows // 2, columns // 2, channels), options)

    def doubled(self, x: int) -> int:
        """Each cell four times."""
        batch, rows, columns, channels = self._tensors[x][0]
        size = self._constant(np.array([2 * rows, 2 * columns], np.int32))
        shape = (batch, 2 * rows, 2 * columns, channels)
        return self._operator(_RESIZE_NEAREST_NEIGHBOR, [x, size], shape, [])

    def add(self, x: int, y: int) -> int:
        """The sum of two tensors of one shape."""
        return self._operator(_ADD, [x, y], self._tensors[x][0], [("int8", _NONE)])

    def finish(self, outputs: list[int]) -> bytes:
        """The flatbuffer: the graph's only input is the tensor made first."""
        builder = flatbuffers.Builder(1 << 18)
        codes = sorted({code for code, *_ in self._operators})
        buffers = [_table(builder, [("offset", _bytes(builder, data) if data else 0)]) for data in self._buffers]
        tensors = [
            _table(builder, [("offset", _integers(builder, shape)), ("int8", kind), ("uint32", buffer)])
            for shape, kind, buffer in self._tensors
        ]
        operators = [
            _table(
                builder,
                [
                    ("uint32", codes.index(code)),
                    ("offset", _integers(builder, inputs)),
                    ("offset", _integers(builder, [made])),
                    ("uint8", _OPTIONS[code]),
                    ("offset", _table(builder, options)),
                ],
            )
            for code, inputs, made, options in self._operators
        ]
        subgraph = [_offsets(builder, tensors), _integers(builder, [0]), _integers(builder, outputs)]
        subgraphs = [_table(builder, [("offset", at) for at in (*subgraph, _offsets(builder, operators))])]
        # Every code fits the old field of a byte; version 1 is the newest that any of these needs.
        operator_codes = [_table(builder, [("int8", c), ("offset", 0), ("int32", 1), ("int32", c)]) for c in codes]
        parts = [_offsets(builder, operator_codes), _offsets(builder, subgraphs), 0, _offsets(builder, buffers)]
        builder.Finish(_table(builder, [("uint32", 3), *[("offset", at) for at in parts]]), b"TFL3")
        return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, slots: list[tuple[str, int]]) -> int:
    """A table with its fields in the schema's order; an offset of 0 is an absent field."""
    builder.StartObject(len(slots))
    for number, (kind, value) in enumerate(slots):
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        else:
            getattr(builder, f"Prepend{kind.capitalize()}Slot")(number, value, None)
    return int(builder.EndObject())


def _bytes(builder: flatbuffers.Builder, data: bytes) -> int:
    # The schema wants buffers aligned to 16 bytes.
    builder.StartVector(1, len(data), 16)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return int(builder.EndVector())


def _integers(builder: flatbuffers.Builder, values: list[int] | tuple[int, ...]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
