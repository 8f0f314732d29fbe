"""From a Keras network to a TFLite flatbuffer, quantized as asked and stripped of its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_convert.calibration import CalibrationSet
from fer_edge.contract.errors import ModelFileError
from fer_train.quiet import quiet

if TYPE_CHECKING:
    import keras

KINDS = ("int8", "float32", "float16", "dynamic")
"""int8: everything, input and output too. float32: nothing. float16: weights. dynamic: weights in int8,
activations in float."""


def convert(network: keras.Model, kind: str, calibration: CalibrationSet) -> bytes:
    """Convert a network to a flatbuffer that takes [0, 1] instead of the network's own [-1, 1].

    Args:
        network: from (n, side, side, 1) in [-1, 1] to (n, classes).
        kind: one of `KINDS`.
        calibration: looked at for int8 only.

    Returns:
        A flatbuffer as the converter wrote it: (1, side, side, 1) to (1, classes).

    Raises:
        ModelFileError: the converter refuses the network.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(_taking_unit_range(network))
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = calibration.representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        with quiet():
            return bytes(converter.convert())
    except Exception as error:  # the converter raises many kinds, its own and MLIR's
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"TensorFlow cannot convert this network to {kind} ({reason})") from error


def _taking_unit_range(network: keras.Model) -> keras.Model:
    import keras

    face = keras.Input(network.input_shape[1:], batch_size=1, name="face")
    # Folds into a first convolution with `valid` padding; before `same` it stays as MUL and ADD.
    return keras.Model(face, network(keras.layers.Rescaling(2.0, -1.0)(face), training=False))


def strip(flatbuffer: bytes) -> bytes:
    """Drop what no runtime needs: the names of all tensors but the input and output, and signatures.

    The names of a mini-Xception cost 9 kB. Buffers are aligned to 16 bytes as the schema demands,
    which neither the converter nor the generated packer does.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder):  # type: ignore[no-untyped-def]  # noqa: N802 - the schema's name
            if self.data is not None:
                builder.Prep(16, len(self.data))
            return super().Pack(builder)

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    flatbuffer_utils.strip_strings(model)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = "face"
    graph.tensors[graph.outputs[0]].name = "probabilities"
    for buffer in model.buffers:
        buffer.__class__ = AlignedBuffer
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
