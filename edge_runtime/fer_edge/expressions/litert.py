"""The expression network on a TFLite runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.flatbuffer import check_network
from fer_edge.contract.model_file import ModelFile
from fer_edge.contract.preprocessing import quantize_gray, unit_gray
from fer_edge.contract.tflite import open_interpreter


class LiteRtClassifier:
    """Runs a checked model file; satisfies `ExpressionClassifier`.

    Args:
        model: the file's content.
        threads: of the runtime; one is the fastest for a network this small.
        allow_float: accept a float32 network, for comparisons; the edge loop runs int8 only.

    Raises:
        ModelFileError: the network is not what the file's metadata says, is not int8, or the runtime
            on this machine does not reproduce the golden outputs.
        UsageError: no TFLite runtime is installed.
    """

    def __init__(self, model: ModelFile, *, threads: int = 1, allow_float: bool = False) -> None:
        self.model = model
        self.labels = model.labels
        self.side = model.side
        if model.input.dtype != "int8" and not allow_float:
            raise ModelFileError(f"model {model.name!r} is {model.input.dtype}; fer-edge runs int8: fer-convert --int8")
        check_network(model.flatbuffer, model.name, allow_float=allow_float)
        try:
            self._interpreter, self.runtime = open_interpreter(model.flatbuffer, threads=threads)
        except UsageError:
            raise
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"this TFLite runtime cannot load model {model.name!r} ({error})") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelFileError(
                f"model {model.name!r} has {len(inputs)} inputs and {len(outputs)} outputs, not one each"
            )
        (given,), (made,) = inputs, outputs
        _check_tensor(model, "input", given, (1, model.side, model.side, 1))
        _check_tensor(model, "output", made, (1, len(model.labels)))
        self._input, self._output = given["index"], made["index"]
        self._int8 = model.input.dtype == "int8"
        self._scale = np.float32(model.output.scale)
        self._zero_point = np.float32(model.output.zero_point)
        self.golden_steps = model_file.replay_golden(model, self.classify)

    def classify(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (float32, (labels,)) of one grey crop (uint8, (side, side))."""
        values: NDArray[Any] = quantize_gray(face) if self._int8 else unit_gray(face)
        self._interpreter.set_tensor(self._input, values[None, :, :, None])
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output)[0].astype(np.float32)
        probabilities: NDArray[np.float32] = (output - self._zero_point) * self._scale if self._int8 else output
        return probabilities


def load(path: Path, *, threads: int = 1, allow_float: bool = False) -> LiteRtClassifier:
    """Read, check and load a model file.

    Raises:
        ModelFileError, UsageError: as `LiteRtClassifier` and `model_file.read`.
    """
    return LiteRtClassifier(model_file.read(path), threads=threads, allow_float=allow_float)


def _check_tensor(model: ModelFile, which: str, details: dict[str, Any], shape: tuple[int, ...]) -> None:
    promised = model.input if which == "input" else model.output
    found_shape = tuple(int(n) for n in details["shape"])
    dtype = np.dtype(details["dtype"]).name
    scale, zero_point = details["quantization"]
    same = found_shape == shape and dtype == promised.dtype
    if promised.dtype == "int8":
        same = same and np.float32(scale) == np.float32(promised.scale) and zero_point == promised.zero_point
    if not same:
        raise ModelFileError(
            f"model {model.name!r} has {which} {dtype} {found_shape} (scale {scale}, zero point {zero_point}) where "
            f"its metadata promises {promised.dtype} {shape} (scale {promised.scale}, zero point {promised.zero_point})"
        )
