"""One conversion from weights to a model file that was read back, inspected, replayed and compared."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_convert import golden, inspection, layers, quantization, ranges, verification
from fer_convert.calibration import CalibrationSet
from fer_convert.inspection import Contents
from fer_convert.layers import LayerError
from fer_convert.runner import Runner
from fer_convert.source import Source
from fer_convert.verification import Comparison
from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.flatbuffer import check_network
from fer_edge.contract.model_file import ModelFile
from fer_train.batches import to_input
from fer_train.datasets import Dataset, Split

if TYPE_CHECKING:
    import keras

LICENSE = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model file that is ready to be written, and what was found out about it.

    Attributes:
        kind: one of `quantization.KINDS`.
        model: the file.
        contents: operators and tensors of its flatbuffer.
        comparison: with the float network.
        after: probabilities, (n, classes), that it gives for the validation pictures.
        layers: error of each operator; none for float32.
    """

    kind: str
    model: ModelFile
    contents: Contents
    comparison: Comparison
    after: NDArray[np.float32]
    layers: tuple[LayerError, ...]

    def report(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        found = self.comparison
        return {
            "file_bytes": len(self.model.to_bytes()),
            "flatbuffer_bytes": len(self.model.flatbuffer),
            "flatbuffer_sha256": self.model.sha256,
            "comparison": {
                **found.facts(self.kind),
                "split": found.split,
                "gained": found.gained,
                "lost": found.lost,
                "float": found.before.to_dict(),
                self.kind: found.after.to_dict(),
            },
            "facts": self.model.facts,
            "graph": self.contents.listing(),
            "layers": [layer.to_dict() for layer in self.layers],
        }


@dataclass(frozen=True, kw_only=True)
class Converter:
    """Everything that the conversions of one network share.

    Attributes:
        source: where the network comes from.
        network: the network, at its temperature.
        temperature: what its logits were divided by.
        mirrored: it averages a picture and its mirror image (`fer_convert.mirroring`).
        weights_sha256: of its file.
        labels: in output order.
        calibration: the calibration set.
        validation: pictures to compare on.
        before: probabilities, (n, classes), that the float network gives for them.
        seed: of the golden inputs and the bootstrap.
    """

    source: Source
    network: keras.Model
    temperature: float
    mirrored: bool = False
    weights_sha256: str
    labels: tuple[str, ...]
    calibration: CalibrationSet
    validation: Split
    before: NDArray[np.float32]
    seed: int

    def convert(self, kind: str, *, on_picture: Callable[[int], None] = lambda _: None) -> Conversion:
        """Convert to `kind`, and prove and measure the result.

        Args:
            kind: one of `quantization.KINDS`.
            on_picture: called with the number of pictures that were compared since the last call.

        Raises:
            ModelFileError: the network cannot be converted, or computes something else once converted.
            QualityError: int8 was asked for and something else is left.
        """
        written = self._reference if kind == "float32" else quantization.convert(self.network, kind, self.calibration)
        if kind == "int8":
            written = ranges.refine(written, self._reference, self.calibration.images, seed=self.seed)
        flatbuffer = quantization.strip(written)
        contents = inspection.inspect(flatbuffer)
        if kind == "int8":
            inspection.require_int8(contents)
        runner, unstripped = Runner(flatbuffer), Runner(written)
        for image in self.calibration.images[:16]:
            if not np.array_equal(runner.classify(image), unstripped.classify(image)):
                raise ModelFileError(f"the {kind} model computes something else once its names are stripped")
        after = np.empty_like(self.before)
        for row, image in enumerate(self.validation.images):
            after[row] = runner.classify(image)
            on_picture(1)
        comparison = verification.compare(
            self.before, after, self.validation.labels,
            names=self.labels, split=self.source.validation_split, seed=self.seed,
        )  # fmt: skip
        model = ModelFile(
            name=self.source.name,
            labels=self.labels,
            side=contents.input_shape[1],
            input=contents.input,
            output=contents.output,
            golden=golden.make(runner.classify, side=contents.input_shape[1], seed=self.seed),
            facts=self._facts(kind, contents, comparison),
            flatbuffer=flatbuffer,
        )
        finished = model_file.parse(model.to_bytes(), f"the {kind} model")
        # What the runtime would refuse is not written.
        check_network(finished.flatbuffer, finished.name, allow_float=kind != "int8")
        model_file.replay_golden(finished, Runner(finished.flatbuffer).classify)
        return Conversion(kind, finished, contents, comparison, after, self._layers(kind, written))

    @functools.cached_property
    def _reference(self) -> bytes:
        """The network in float32, which the other kinds are measured by."""
        return quantization.convert(self.network, "float32", self.calibration)

    def _layers(self, kind: str, written: bytes) -> tuple[LayerError, ...]:
        if kind == "float32":
            return ()
        # Evenly over the split, which may be sorted by class.
        rows = np.linspace(0, len(self.validation) - 1, min(layers.PICTURES, len(self.validation))).round().astype(int)
        return layers.compare(self._reference, written, self.validation.images[rows])

    def _facts(self, kind: str, contents: Contents, comparison: Comparison) -> dict[str, Any]:
        return {
            "license": LICENSE,
            "quantization": kind,
            **self.source.facts(),
            "weights_sha256": self.weights_sha256,
            "temperature": round(self.temperature, 4),
            **({"mirrored": True} if self.mirrored else {}),
            **({"calibration": self.calibration.facts()} if kind == "int8" else {}),
            "accuracy": {comparison.split: comparison.facts(kind)},
            **contents.facts(),
            "converted_with": versions(),
        }


def float_probabilities(network: keras.Model, images: NDArray[np.uint8], *, batch: int = 128) -> NDArray[np.float32]:
    """Probabilities (float32, (n, classes)) of the network as it was trained, through Keras.

    Raises:
        ModelFileError: its outputs are no probabilities.
    """
    outputs = np.concatenate(
        [network.predict_on_batch(to_input(images[row : row + batch])) for row in range(0, len(images), batch)]
    )
    if not np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3) or outputs.min() < 0:
        raise ModelFileError(f"network {network.name!r} does not end in a softmax: its outputs are no probabilities")
    return outputs.astype(np.float32)


def check_fit(network: keras.Model, data: Dataset, where: str) -> None:
    """Refuse a data set of other labels or another size than the network's.

    Raises:
        ModelFileError: they do not match.
    """
    side, classes = network.input_shape[1], network.output_shape[1]
    if classes != len(data.labels):
        raise ModelFileError(f"{where} has {classes} outputs where {data.source} has {len(data.labels)} labels")
    for split in data.splits.values():
        if split.images.shape[1:] != (side, side):
            height, width = split.images.shape[1:]
            raise ModelFileError(f"{where} takes {side}x{side} pictures where {data.source} has {width}x{height}")


def versions() -> dict[str, str]:
    """Versions of what wrote and what checked the flatbuffer."""
    from fer_train.runs import versions as trained

    return {**trained(), "ai-edge-litert": metadata.version("ai-edge-litert")}
