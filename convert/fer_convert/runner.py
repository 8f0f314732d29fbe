"""A finished flatbuffer on LiteRT, the runtime that serves it.

`tf.lite.Interpreter` is never used: 2.21 computes an int8 BATCH_MATMUL wrongly under XNNPACK.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_convert import inspection
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.preprocessing import quantize_gray, unit_gray
from fer_train.quiet import quiet


class Runner:
    """Runs one network, one picture at a time on one thread, as the Pi does.

    Args:
        flatbuffer: from one square grey picture to one row of probabilities.
        keep_tensors: keep what lies between them readable after a run.

    Raises:
        ModelFileError: LiteRT cannot load the flatbuffer.
    """

    def __init__(self, flatbuffer: bytes, *, keep_tensors: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet():
                self._interpreter = Interpreter(
                    model_content=flatbuffer, num_threads=1, experimental_preserve_all_tensors=keep_tensors
                )
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"LiteRT cannot load the converted network ({error})") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def run(self, gray: NDArray[np.uint8]) -> None:
        """Feed one picture (uint8, (side, side))."""
        face = quantize_gray(gray) if self._input["dtype"] is np.int8 else unit_gray(gray)
        self._interpreter.set_tensor(self._input["index"], face[None, ..., None])
        self._interpreter.invoke()

    def classify(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (float32, (classes,)) of one picture (uint8, (side, side))."""
        self.run(gray)
        output = self._interpreter.get_tensor(self._output["index"])[0]
        if self._output["dtype"] is not np.int8:
            return output.astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return (output.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


@dataclass(frozen=True, slots=True)
class Activation:
    """An output of one operator.

    Attributes:
        operator: builtin name, `CONV_2D`.
        tensor: its index in the graph.
        name: as the converter wrote it.
        shape: its dimensions.
        scale, zero_point: of its quantization; scale 0 where it has none.
    """

    operator: str
    tensor: int
    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class Watched(Runner):
    """A network whose every activation can be read after a run, on the kernels of the runtime that serves it.

    Attributes:
        activations: in the order of execution.

    Raises:
        ModelFileError: LiteRT cannot load the flatbuffer.
    """

    def __init__(self, flatbuffer: bytes) -> None:
        super().__init__(flatbuffer, keep_tensors=True)
        details = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        self.activations = tuple(
            Activation(
                operator.name,
                index,
                details[index]["name"],
                tuple(int(size) for size in details[index]["shape"]),
                *details[index]["quantization"],
            )
            for operator in inspection.inspect(flatbuffer).operators
            for index in operator.output_indices
        )

    def values(self, activation: Activation) -> NDArray[np.float64]:
        """What the last run left there, in the network's units: float64, of the activation's shape."""
        stored = self._interpreter.get_tensor(activation.tensor).astype(np.float64)
        return (stored - activation.zero_point) * activation.scale if activation.scale else stored
