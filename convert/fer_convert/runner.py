"""A finished flatbuffer on LiteRT, the runtime that serves it.

`tf.lite.Interpreter` is never used: 2.21 computes an int8 BATCH_MATMUL wrongly under XNNPACK.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.preprocessing import quantize_gray, unit_gray
from fer_train.quiet import quiet


class Runner:
    """Runs one network, one picture at a time on one thread, as the Pi does.

    Raises:
        ModelFileError: LiteRT cannot load the flatbuffer.
    """

    def __init__(self, flatbuffer: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet():
                self._interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"LiteRT cannot load the converted network ({error})") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def classify(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (float32, (classes,)) of one picture (uint8, (side, side))."""
        quantized = self._input["dtype"] is np.int8
        face = quantize_gray(gray) if quantized else unit_gray(gray)
        self._interpreter.set_tensor(self._input["index"], face[None, ..., None])
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output["index"])[0]
        if self._output["dtype"] is not np.int8:
            return output.astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return (output.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
