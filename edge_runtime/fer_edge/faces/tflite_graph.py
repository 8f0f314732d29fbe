"""TFLite networks written operator by operator, with the `flatbuffers` package that LiteRT itself requires.

In float32, or in int8 as Jacob et al. 2018 ("Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference") and TFLite's quantization specification describe it: a real number is
`scale * (stored - zero point)`, weights have a scale for each output channel and biases are int32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from fer_edge.faces.onnx import Convolution

# Numbers of the TFLite schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
_ADD, _CONV_2D, _DEPTHWISE_CONV_2D, _DEQUANTIZE, _MAX_POOL_2D, _RESIZE_NEAREST_NEIGHBOR = 0, 3, 4, 6, 17, 97
_OPTIONS = {
    _ADD: 11, _CONV_2D: 1, _DEPTHWISE_CONV_2D: 2, _DEQUANTIZE: 38, _MAX_POOL_2D: 5, _RESIZE_NEAREST_NEIGHBOR: 74,
}  # fmt: skip
_VERSION = 3
"""Of each operator; of those that know int8 with a scale for each channel all have it."""
_FLOAT32, _INT32, _INT8 = 0, 2, 9
_KINDS = {"float32": _FLOAT32, "int32": _INT32, "int8": _INT8}
_SAME, _VALID = 0, 1
_NONE, _RELU = 0, 1

Range = tuple[float, float]
"""Smallest and largest value of a tensor."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """How a tensor's integers are meant: with one scale, or with one for each slice along `axis`."""

    scales: NDArray[np.float32]
    zero_point: int = 0
    axis: int = 0

    @classmethod
    def over(cls, limits: Range) -> _Steps:
        """The finest steps that reach over a range and hit zero."""
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)
        scale = (high - low) / 255
        return cls(np.array([scale], np.float32), round(-128 - low / scale))


_GREY_LEVELS = _Steps(np.ones(1, np.float32), -128)


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    kind: int = _FLOAT32
    buffer: int | None = None
    steps: _Steps | None = None


class Graph:
    """Operators in order of execution, each with the shape of what it makes; a tensor is its number.

    Args:
        shape: of the only input, tensor 0: batch, rows, columns, channels. It holds 0..255, as float32, or as int8
            less 128 in a quantized graph.
        ranges: makes a quantized graph: of what each convolution and each addition makes, in their order.

    Attributes:
        ranged: the tensors that `ranges` is about.
    """

    def __init__(self, shape: tuple[int, ...], ranges: Sequence[Range] | None = None) -> None:
        self.buffers: list[bytes] = []
        self._tensors: list[_Tensor] = []
        self.operators: list[tuple[int, list[int], int, list[tuple[str, int]]]] = []
        self._ranges: Iterator[Range] = iter(ranges or ())
        self.ranged: list[int] = []
        self._tensor(shape, None if ranges is None else _GREY_LEVELS)

    def shape(self, x: int) -> tuple[int, ...]:
        """Of a tensor."""
        return self._tensors[x].shape

    def _tensor(self, shape: tuple[int, ...], steps: _Steps | None) -> int:
        self._tensors.append(_Tensor(shape, _FLOAT32 if steps is None else _INT8, steps=steps))
        return len(self._tensors) - 1

    def _constant(self, values: NDArray[Any], steps: _Steps | None = None) -> int:
        self.buffers.append(np.ascontiguousarray(values).tobytes())
        self._tensors.append(_Tensor(values.shape, _KINDS[values.dtype.name], len(self.buffers) - 1, steps))
        return len(self._tensors) - 1

    def _weights(self, x: int, kernel: NDArray[np.float32], bias: NDArray[np.float32], axis: int) -> list[int]:
        """Inputs of a convolution of `x`, whose output channels lie along the kernel's `axis`."""
        steps = self._tensors[x].steps
        if steps is None:
            return [x, self._constant(kernel), self._constant(bias)]
        scales = np.abs(kernel).max(axis=tuple(n for n in range(4) if n != axis), keepdims=True) / 127
        sums = steps.scales[0] * scales.ravel()
        return [
            x,
            self._constant(np.round(kernel / scales).astype(np.int8), _Steps(scales.ravel(), axis=axis)),
            self._constant(np.round(bias / sums).astype(np.int32), _Steps(sums)),
        ]

    def _operator(
        self, code: int, inputs: list[int], shape: tuple[int, ...], options: list[tuple[str, int]], steps: _Steps | None
    ) -> int:
        made = self._tensor(shape, steps)
        self.operators.append((code, inputs, made, options))
        return made

    def _sums(self, code: int, inputs: list[int], shape: tuple[int, ...], options: list[tuple[str, int]]) -> int:
        """What makes values in a range of its own."""
        steps = None if self._tensors[inputs[0]].steps is None else _Steps.over(next(self._ranges))
        made = self._operator(code, inputs, shape, options, steps)
        self.ranged.append(made)
        return made

    def convolution(
        self,
        x: int,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        strides: tuple[int, int] = (1, 1),
        relu: bool = False,
    ) -> int:
        """A convolution without padding; `strides` are of rows and of columns."""
        batch, *size, _ = self.shape(x)
        rows, columns = ((n - k) // stride + 1 for n, k, stride in zip(size, kernel.shape[2:], strides, strict=True))
        inputs = self._weights(x, kernel.transpose(0, 2, 3, 1), bias, axis=0)
        options = [("int8", _VALID), ("int32", strides[1]), ("int32", strides[0]), ("int8", _RELU if relu else _NONE)]
        return self._sums(_CONV_2D, inputs, (batch, rows, columns, len(bias)), options)

    def unit(self, x: int, pointwise: Convolution, depthwise: Convolution, *, relu: bool = True) -> int:
        """YuNet's unit: a 1x1 convolution, then a 3x3 one of each channel alone."""
        x = self.convolution(x, *pointwise)
        kernel, bias = depthwise
        inputs = self._weights(x, kernel.transpose(1, 2, 3, 0), bias, axis=3)
        options = [("int8", _SAME), ("int32", 1), ("int32", 1), ("int32", 1), ("int8", _RELU if relu else _NONE)]
        return self._sums(_DEPTHWISE_CONV_2D, inputs, self.shape(x), options)

    def halved(self, x: int) -> int:
        """The largest of each 2x2 cells."""
        batch, rows, columns, channels = self.shape(x)
        options = [("int8", _VALID), *[("int32", 2)] * 4, ("int8", _NONE)]
        shape = (batch, rows // 2, columns // 2, channels)
        return self._operator(_MAX_POOL_2D, [x], shape, options, self._tensors[x].steps)

    def doubled(self, x: int) -> int:
        """Each cell four times."""
        batch, rows, columns, channels = self.shape(x)
        size = self._constant(np.array([2 * rows, 2 * columns], np.int32))
        shape = (batch, 2 * rows, 2 * columns, channels)
        return self._operator(_RESIZE_NEAREST_NEIGHBOR, [x, size], shape, [], self._tensors[x].steps)

    def add(self, x: int, y: int) -> int:
        """The sum of two tensors of one shape."""
        return self._sums(_ADD, [x, y], self.shape(x), [("int8", _NONE)])

    def real(self, x: int) -> int:
        """A tensor in float32."""
        if self._tensors[x].steps is None:
            return x
        return self._operator(_DEQUANTIZE, [x], self.shape(x), [], None)

    def write(self, builder: flatbuffers.Builder, outputs: Sequence[int], codes: Sequence[int]) -> int:
        """Put the graph down as a SubGraph.

        Args:
            builder: takes it.
            outputs: tensors.
            codes: operators of the model, whose buffers are an empty one and the graph's.
        """
        tensors = [
            _table(
                builder,
                [
                    ("offset", _integers(builder, tensor.shape)),
                    ("int8", tensor.kind),
                    ("uint32", 0 if tensor.buffer is None else 1 + tensor.buffer),
                    ("offset", 0),
                    ("offset", 0 if tensor.steps is None else _quantization(builder, tensor.steps)),
                ],
            )
            for tensor in self._tensors
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
            for code, inputs, made, options in self.operators
        ]
        parts = [_offsets(builder, tensors), _integers(builder, [0]), _integers(builder, outputs)]
        return _table(builder, [("offset", at) for at in (*parts, _offsets(builder, operators))])


def flatbuffer(graph: Graph, outputs: Sequence[int]) -> bytes:
    """One .tflite file of a graph and those of its tensors that it is for."""
    builder = flatbuffers.Builder(1 << 18)
    codes = sorted({code for code, *_ in graph.operators})
    subgraph = graph.write(builder, outputs, codes)
    # The schema wants an empty buffer first.
    buffers = [_table(builder, [("offset", _bytes(builder, data) if data else 0)]) for data in (b"", *graph.buffers)]
    # Every code fits the old field of a byte.
    operator_codes = [_table(builder, [("int8", c), ("offset", 0), ("int32", _VERSION), ("int32", c)]) for c in codes]
    parts = [_offsets(builder, operator_codes), _offsets(builder, [subgraph]), 0, _offsets(builder, buffers)]
    builder.Finish(_table(builder, [("uint32", 3), *[("offset", at) for at in parts]]), b"TFL3")
    return bytes(builder.Output())


def _quantization(builder: flatbuffers.Builder, steps: _Steps) -> int:
    zero_points = np.full(len(steps.scales), steps.zero_point, np.int64)
    vectors = [int(builder.CreateNumpyVector(values)) for values in (steps.scales, zero_points)]
    slots = [("offset", at) for at in (0, 0, *vectors)]
    return _table(builder, [*slots, ("uint8", 0), ("offset", 0), ("int32", steps.axis)])


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


def _integers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
