"""A trainable network from a converted one: the weights of a model file, back in the layers they came from.

A conversion folds every batch normalization into the weights before it (Jacob et al., "Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018, section 3.2). Here each is put back as
one that changes nothing for the pictures at hand: with their own mean and variance, training goes on where the
network stands instead of normalizing it away.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.model_file import GOLDEN_TOLERANCE_STEPS, ModelFile

if TYPE_CHECKING:
    import keras

SUFFIX = ".tflite"

TOLERANCE = GOLDEN_TOLERANCE_STEPS / 256
"""Largest difference of a probability from the file's golden outputs. The network computes in float what the file
computes in int8; weights in a wrong place are far off."""

PICTURES = 1024
"""As many training pictures tell mean and variance of each normalization."""


_Found = TypeVar("_Found")
_Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel of an operator, in the layout of Keras, and its bias (outputs,)."""


def to_keras(path: Path, images: NDArray[np.uint8]) -> keras.Model:
    """The network of a model file, in float32 and trainable.

    Its temperature stays in the last layer; a file that averages mirror images gives the network that it asks twice.

    Args:
        path: a model file of fer-convert, int8 or float32.
        images: uint8, (n, side, side), which it is to be trained on.

    Raises:
        ModelFileError: the file is damaged, does not say which architecture it has, or has one whose weights cannot
            be told apart.
    """
    from fer_train import models

    file = read(path)
    if images.shape[1:] != (file.side, file.side):
        height, width = images.shape[1:]
        raise UsageError(
            f"{path} takes {file.side}x{file.side} pictures where the data has {width}x{height}; give the recipe that "
            "side"
        )
    options = {key: value for key, value in file.facts["recipe"]["model"].items() if key != "weights"}
    network = models.build(**options, classes=len(file.labels), side=file.side)
    try:
        _fill(network, _weights_of(file))
        _normalize(network, images)
        _compare(network, file)
    except LookupError as error:
        raise ModelFileError(
            f"the weights of {path} do not fit its architecture {options['architecture']} ({error}); name a run folder "
            "or a .keras file instead"
        ) from error
    return network


def read(path: Path) -> ModelFile:
    """The model file at `path`.

    Raises:
        ModelFileError: it is damaged, or made of weights whose recipe nobody knows.
    """
    file = model_file.read(path)
    recipe = file.facts.get("recipe")
    options = recipe.get("model") if isinstance(recipe, dict) else None
    if not isinstance(options, dict) or not isinstance(options.get("architecture"), str):
        raise ModelFileError(
            f"{path} does not say which architecture it has; name a model file that was converted from a run folder"
        )
    return file


def _fill(network: keras.Model, found: dict[int, _Weights]) -> None:
    """Give every layer the kernel of the operator in its place, and its bias or its normalization the bias.

    Raises:
        LookupError: places differ, or a bias finds no layer.
    """
    import keras

    wanted = _layers_of(network)
    if wanted.keys() != found.keys():
        raise LookupError(f"{len(wanted.keys() ^ found.keys())} layers have no counterpart")
    behind = {
        _origin(layer.input): layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    for place, layer in wanted.items():
        kernel, bias = found[place]
        normalization = behind.pop(layer, None)
        if normalization is not None:
            layer.set_weights([kernel, np.zeros_like(bias)][: len(layer.weights)])
            # Without effect but for the bias, until `_normalize` knows the pictures.
            ones = np.ones_like(bias)
            normalization.set_weights([ones, bias, np.zeros_like(bias), ones - np.float32(normalization.epsilon)])
        elif layer.use_bias:
            layer.set_weights([kernel, bias])
        elif not bias.any():
            layer.set_weights([kernel])
        else:
            raise LookupError(f"layer {layer.name} has no bias")
    if behind:
        raise LookupError(f"{len(behind)} normalizations follow no weights")


def _normalize(network: keras.Model, images: NDArray[np.uint8]) -> None:
    """Give every batch normalization the mean and variance of what it gets, and a scale that takes them back."""
    import keras

    from fer_train.batches import to_input

    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        return
    rows = np.linspace(0, len(images) - 1, min(PICTURES, len(images))).round().astype(int)
    inside = keras.Model(network.inputs, [layer.input for layer in layers])
    moments = [_Moments() for _ in layers]
    for some in np.array_split(rows, max(1, len(rows) // 64)):
        outputs = inside.predict_on_batch(to_input(images[some]))
        for seen, values in zip(moments, outputs if len(layers) > 1 else [outputs], strict=True):
            seen.add(np.asarray(values, np.float64))
    for layer, seen in zip(layers, moments, strict=True):
        mean, variance = seen.mean(), seen.variance()
        _, bias, _, _ = layer.get_weights()
        layer.set_weights([np.sqrt(variance + layer.epsilon), bias + mean, mean, variance])


class _Moments:
    """Mean and variance of each channel, over pictures and places."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, np.zeros(1), np.zeros(1)

    def add(self, values: NDArray[np.float64]) -> None:
        flat = values.reshape(-1, values.shape[-1])
        self._count += len(flat)
        self._sum = self._sum + flat.sum(axis=0)
        self._squares = self._squares + (flat**2).sum(axis=0)

    def mean(self) -> NDArray[np.float64]:
        return self._sum / self._count

    def variance(self) -> NDArray[np.float64]:
        return np.maximum(self._squares / self._count - self.mean() ** 2, 0.0)


def _compare(network: keras.Model, file: ModelFile) -> None:
    """Hold the network against the file's golden outputs.

    Raises:
        LookupError: it computes something else.
    """
    from fer_train.batches import to_input

    given = to_input(np.stack(list(file.golden.inputs)))
    logits = np.log(np.maximum(network.predict_on_batch(given), 1e-12))
    if file.facts.get("mirrored"):
        logits = (logits + np.log(np.maximum(network.predict_on_batch(given[:, :, ::-1]), 1e-12))) / 2
    # As sure as the network was before it was converted: a sharper one makes more of int8's noise.
    sharpness = float(file.facts.get("temperature", 1.0))
    promised = np.log(np.maximum(file.golden.probabilities, 1 / 512))
    made, promised = _shares(sharpness * logits), _shares(sharpness * promised)
    worst = float(np.abs(made - promised).max())
    if worst > TOLERANCE:
        raise LookupError(f"golden outputs are off by {worst:.2f}")


def _shares(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _layers_of(network: keras.Model) -> dict[int, Any]:
    """The layers with a kernel, by their place in the network.

    Raises:
        LookupError: two of them have the same place.
    """
    import keras

    places: dict[Any, int] = {}

    def sources(tensor: Any) -> list[int]:
        operation = _origin(tensor)
        if operation in places:
            return [places[operation]]
        return [place for node in operation._inbound_nodes[:1] for one in node.input_tensors for place in sources(one)]

    for operation in network.operations:
        if isinstance(operation, keras.layers.DepthwiseConv2D):
            kind = "depthwise"
        elif isinstance(operation, keras.layers.Conv2D):
            kind = "convolution"
        elif isinstance(operation, keras.layers.Dense):
            kind = "dense"
        else:
            continue
        strides = tuple(getattr(operation, "strides", ()))
        shape = tuple(operation.kernel.shape)
        places[operation] = _place(kind, shape, strides, sources(operation.input))
    return _distinct((place, layer) for layer, place in places.items())


def _origin(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _weights_of(file: ModelFile) -> dict[int, _Weights]:
    """The operators with weights of a flatbuffer, by their place in it.

    Raises:
        LookupError: two of them have the same place.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    builtin = schema.BuiltinOperator
    kinds = {
        builtin.CONV_2D: "convolution", builtin.DEPTHWISE_CONV_2D: "depthwise", builtin.FULLY_CONNECTED: "dense",
    }  # fmt: skip
    network = flatbuffer_utils.convert_bytearray_to_object(bytearray(file.flatbuffer))
    graph = network.subgraphs[0]
    behind: dict[int, list[int]] = {}  # of each tensor: the places that it is made of
    scaled = {int(graph.inputs[0])}  # tensors that are the picture in [0, 1] still
    found: list[tuple[int, _Weights]] = []
    for operator in graph.operators:
        code = flatbuffer_utils.get_builtin_code_from_operator_code(network.operatorCodes[operator.opcodeIndex])
        inputs = [int(number) for number in operator.inputs]
        places = [place for number in inputs for place in behind.get(number, ())]
        if code in kinds:
            tensors = [_values(network, graph.tensors[number]) for number in inputs[1:] if number >= 0]
            kernel = _as_keras(kinds[code], tensors[0])
            outputs = graph.tensors[operator.outputs[0]].shape[-1]
            bias = tensors[1] if len(tensors) > 1 else np.zeros(outputs, np.float32)
            if inputs[0] in scaled:
                # The picture's way from [0, 1] to [-1, 1] was folded into these weights.
                kernel = kernel / 2
                bias = bias + kernel.sum(axis=tuple(range(kernel.ndim - 1)))
            options = operator.builtinOptions
            strides = () if kinds[code] == "dense" else (options.strideH, options.strideW)
            places = [_place(kinds[code], kernel.shape, strides, places)]
            found.append((places[0], (kernel, bias)))
        elif code in (builtin.RESHAPE, builtin.REVERSE_V2, builtin.CONCATENATION) and scaled & set(inputs):
            scaled |= {int(number) for number in operator.outputs}
        behind |= {int(number): places for number in operator.outputs}
    return _distinct(found)


def _values(network: Any, tensor: Any) -> NDArray[np.float32]:
    """A constant tensor as real numbers."""
    from ai_edge_litert import schema_py_generated as schema

    types = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32, schema.TensorType.FLOAT32: np.float32}
    data = network.buffers[tensor.buffer].data
    if tensor.type not in types or data is None:
        raise LookupError("its weights are neither int8 nor float32 constants")
    stored = np.frombuffer(bytes(data), types[tensor.type]).reshape(tensor.shape)
    scale = None if tensor.quantization is None else tensor.quantization.scale
    if scale is None or len(scale) == 0:
        return stored.astype(np.float32)
    along = [1] * stored.ndim
    along[tensor.quantization.quantizedDimension if len(scale) > 1 else 0] = len(scale)
    return (stored * np.asarray(scale, np.float64).reshape(along)).astype(np.float32)


def _as_keras(kind: str, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    # OHWI and 1HWI in TFLite, HWIO and HWI1 in Keras.
    return kernel.T if kind == "dense" else kernel.transpose(1, 2, 3, 0)


def _place(kind: str, shape: tuple[int, ...], strides: tuple[int, ...], sources: Iterable[int]) -> int:
    """Where an operator stands: a hash of what it is and of the places that its input is made of."""
    return hash((kind, tuple(map(int, shape)), tuple(map(int, strides)), tuple(sorted(set(sources)))))


def _distinct(found: Iterable[tuple[int, _Found]]) -> dict[int, _Found]:
    by_place: dict[int, _Found] = {}
    for place, one in found:
        if place in by_place:
            raise LookupError("two layers cannot be told apart")
        by_place[place] = one
    return by_place
