"""What is converted: the weights of a run folder, or a .keras file on its own."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.files import sha256_of
from fer_train.datasets import SPLITS, Dataset, Split, load
from fer_train.datasets.splits import hold_out
from fer_train.runs import LAST, RUNS, WEIGHTS, Run, open_run, run_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Source:
    """Trained weights and the run that made them.

    Attributes:
        weights: the .keras file.
        run: None for a file on its own.
    """

    weights: Path
    run: Run | None

    @property
    def name(self) -> str:
        """The recipe's name, or the file's."""
        return self.run.recipe.name if self.run else self.weights.stem

    @property
    def validation_split(self) -> str:
        """Name of the split that the network was chosen on."""
        return self.run.validation_split if self.run else SPLITS[1]

    @property
    def training_split(self) -> str:
        """Name of the split that the network was fitted to."""
        return self.run.training_split if self.run else SPLITS[0]

    @property
    def data(self) -> tuple[Path, ...]:
        """Where the run read its data."""
        return self.run.sources if self.run else ()

    def load(self, *paths: Path) -> Dataset:
        """The data set at `paths`, read and divided as the run does.

        Raises:
            DataError: it cannot be read, or the run was begun with other pictures.
        """
        return self.run.load(*paths) if self.run else load(*paths)

    def held_out(self, data: Dataset) -> Split | None:
        """The training pictures of `data`, divided, that no network on the way saw; None where there are none.

        A teacher, or the network that the run began with, passes on what it has learned.
        """
        if self.run is None or not self.run.set_aside():
            return None
        return hold_out(data.split(self.training_split), self.run.recipe.training.hold_out)[1]

    @property
    def mirror(self) -> bool:
        """Whether the recipe wants a picture and its mirror image averaged."""
        return self.run is not None and self.run.recipe.conversion.mirror

    def output(self, kind: str) -> Path:
        """Where the converted model goes unless told otherwise."""
        return self.weights.with_name(f"{'model' if self.run else self.weights.stem}.{kind}.tflite")

    def facts(self) -> dict[str, Any]:
        """What the model file says about its making."""
        if self.run is None:
            return {}
        written = self.run.facts()
        recipe = written["recipe"]
        if recipe["model"].get("weights"):
            recipe = {**recipe, "model": {**recipe["model"], "weights": Path(recipe["model"]["weights"]).name}}
        return {
            "recipe": recipe,
            "recipe_sha256": written["recipe_sha256"],
            "seed": written["seed"],
            "data_sha256": written["data_sha256"],
            # Where votes and first weights lay is nobody's business.
            "reading": {key: value for key, value in self.run.reading.to_dict().items() if key != "votes"},
            "trained_with": written["versions"],
        }


def find(model: Path | None) -> Source:
    """What `model` means: a .keras file, what the recipe of a run folder takes of it, by default of the newest run.

    Raises:
        UsageError: there is none, it has no complete epoch, or its run folder is malformed.
    """
    if model is None:
        begun = list(RUNS.glob("*/run.json"))
        if not begun:
            raise UsageError(f"there is no run in {RUNS}/ yet; train one with fer-train, or name a .keras file")
        found = [run.parent / WEIGHTS for run in begun if (run.parent / WEIGHTS).is_file()]
        if not found:
            raise _no_epoch(max(begun, key=lambda path: path.stat().st_mtime_ns).parent)
        model = max(found, key=lambda path: path.stat().st_mtime_ns).parent
    if model.is_dir():
        weights = model / WEIGHTS
        if weights.is_file() and (model / "run.json").is_file() and open_run(model).recipe.conversion.weights == "last":
            weights = model / LAST
            if not weights.is_file():
                raise UsageError(f"{model} has no {LAST}, which its recipe wants; name {model / WEIGHTS} instead")
        if not weights.is_file() and (model / "run.json").is_file():
            raise _no_epoch(model)
        if not weights.is_file():
            raise UsageError(f"{model} holds no {WEIGHTS}; name a run folder of fer-train that ended an epoch")
    elif model.suffix == ".tflite" and model.is_file():
        raise UsageError(f"{model} is converted already; name the run folder or the .keras file that it was made from")
    elif model.is_file():
        weights = model
    else:
        raise UsageError(f"{model} does not exist; name a run folder of fer-train or a .keras file")
    return Source(weights, run_of(weights))


def _no_epoch(run: Path) -> UsageError:
    resume = shlex.join(["fer-train", "--resume", str(run)])
    return UsageError(f"{run} has no complete epoch yet; continue it with {resume}")


def load_network(weights: Path) -> tuple[keras.Model, str]:
    """Load a classifier of square grey pictures; return it with the SHA-256 of its file.

    Raises:
        ModelFileError: the file is damaged or holds another kind of network.
    """
    import keras

    from fer_train import models  # registers the layers that a saved network names

    with tempfile.TemporaryDirectory() as folder:
        # A copy, because a training may replace the file between loading and hashing it.
        copy = Path(shutil.copy(weights, Path(folder) / "network.keras"))
        digest = sha256_of(copy)
        try:
            network = models.in_float32(keras.saving.load_model(copy, compile=False))
        except Exception as error:  # Keras raises whatever zip, JSON or HDF5 damage leads it to
            raise ModelFileError(
                f"{weights} cannot be loaded as a Keras network ({type(error).__name__}); name a .keras file of "
                "fer-train, or train it again"
            ) from error
    shape = network.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] is None or shape[1:] != (shape[1], shape[1], 1):
        raise ModelFileError(f"{weights} takes {shape}, not square grey pictures (n, side, side, 1)")
    if not isinstance(network.output_shape, tuple) or len(network.output_shape) != 2:
        raise ModelFileError(f"{weights} gives {network.output_shape}, not one row of probabilities (n, classes)")
    return network, digest
