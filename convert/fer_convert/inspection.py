"""What a finished flatbuffer really holds, read from the file itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.contract.errors import ModelFileError, QualityError
from fer_edge.contract.model_file import Tensor
from fer_edge.contract.preprocessing import INPUT_SCALE, INPUT_ZERO_POINT

INT8_TYPES = frozenset(("INT8", "INT32"))
"""Activations and weights are INT8, biases and the axes of a mean INT32."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One node of the graph: its builtin's name, its tensors as `TYPE[shape]`, and the indices of its outputs."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in a flatbuffer with one subgraph, one input and one output.

    Attributes:
        operators: in order of execution.
        tensor_types: how many tensors there are of each type.
        input, output: their quantization.
        input_shape, output_shape: their shapes.
        per_channel: how many tensors have one scale for each output channel.
    """

    operators: tuple[Operator, ...]
    tensor_types: dict[str, int]
    input: Tensor
    output: Tensor
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    per_channel: int

    def operator_counts(self) -> dict[str, int]:
        """How often each operator occurs, by name."""
        return dict(sorted(Counter(operator.name for operator in self.operators).items()))

    def facts(self) -> dict[str, Any]:
        """The short form, for the model file."""
        return {"operators": self.operator_counts(), "tensors": self.tensor_types, "per_channel": self.per_channel}

    def listing(self) -> list[dict[str, Any]]:
        """The long form, for the report: every operator with the type and shape of every tensor it touches."""
        return [
            {"operator": operator.name, "inputs": list(operator.inputs), "outputs": list(operator.outputs)}
            for operator in self.operators
        ]


def inspect(flatbuffer: bytes) -> Contents:
    """Read the operators and tensors of a flatbuffer.

    Raises:
        ModelFileError: it is not a network with one subgraph, one input and one output.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    types = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    if len(model.subgraphs) != 1 or len(model.subgraphs[0].inputs) != 1 or len(model.subgraphs[0].outputs) != 1:
        raise ModelFileError("the converted network has not exactly one subgraph with one input and one output")
    graph = model.subgraphs[0]

    def describe(index: int) -> str:
        if index < 0:
            return "none"  # an optional input that is left out
        tensor = graph.tensors[index]
        shape = ",".join(str(size) for size in ([] if tensor.shape is None else tensor.shape))
        return f"{types[tensor.type]}[{shape}]"

    def operator_name(operator: Any) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        builtin = names[flatbuffer_utils.get_builtin_code_from_operator_code(code)]
        return f"CUSTOM:{(code.customCode or b'').decode(errors='replace')}" if builtin == "CUSTOM" else builtin

    def quantization(tensor: Any) -> Tensor:
        kind = types[tensor.type].lower()
        if kind != "int8":
            return Tensor(kind, 0.0, 0)
        return Tensor(kind, float(np.float32(tensor.quantization.scale[0])), int(tensor.quantization.zeroPoint[0]))

    first, last = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    scales = [t.quantization.scale for t in graph.tensors if t.quantization is not None]
    return Contents(
        operators=tuple(
            Operator(
                operator_name(node),
                tuple(describe(i) for i in node.inputs),
                tuple(describe(i) for i in node.outputs),
                tuple(int(i) for i in node.outputs),
            )
            for node in graph.operators
        ),
        tensor_types=dict(sorted(Counter(types[tensor.type] for tensor in graph.tensors).items())),
        input=quantization(first),
        output=quantization(last),
        input_shape=tuple(int(size) for size in first.shape),
        output_shape=tuple(int(size) for size in last.shape),
        per_channel=sum(scale is not None and len(scale) > 1 for scale in scales),
    )


def require_int8(contents: Contents) -> None:
    """Prove that nothing is left in float and that the runtime's XOR is the right preprocessing.

    Raises:
        QualityError: a float tensor or a custom operator is left, or the input is quantized otherwise.
    """
    for operator in contents.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor != "none" and tensor.partition("[")[0] not in INT8_TYPES:
                raise QualityError(
                    f"the int8 model is not all int8: {operator.name} touches a tensor {tensor}; change the network "
                    "so that every operator has an int8 kernel"
                )
        if operator.name.startswith("CUSTOM"):
            raise QualityError(f"the int8 model needs {operator.name}, which LiteRT on the Pi does not have")
    left = set(contents.tensor_types) - INT8_TYPES
    if left:
        raise QualityError(f"the int8 model holds tensors of type {', '.join(sorted(left))}")
    wanted = Tensor("int8", INPUT_SCALE, INPUT_ZERO_POINT)
    if contents.input != wanted:
        raise QualityError(
            f"the int8 model's input has scale {contents.input.scale!r} and zero point {contents.input.zero_point}, "
            f"where the runtime needs exactly {wanted.scale!r} and {wanted.zero_point}"
        )
