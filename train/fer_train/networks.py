"""The trained networks that a new run builds on: its teacher, and the weights it starts from."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import UsageError
from fer_edge.contract.shipped import SHIPPED, shipped_model
from fer_train import model_files
from fer_train import recipe as recipes
from fer_train.datasets import Dataset
from fer_train.datasets.splits import USAGE
from fer_train.recipe import Recipe
from fer_train.runs import LAST, RUNS, WEIGHTS, Run, labels_of, open_run

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Kin:
    """What a network has in common with a new run that may build on it.

    Attributes:
        labels: of its outputs, in their order: with others it would teach one class for another.
        division, seed: how the splits were made: by another division it has learned pictures that the new run is
            validated on. The seed does not count where the data brings its own splits.
        epochs: that its recipe is trained for here; None for as many as it says.
    """

    labels: tuple[str, ...]
    division: str = USAGE
    seed: int = 1
    epochs: int | None = None

    def suits(self, run: Run) -> bool:
        """Whether a run is what its recipe says and may be built on."""
        wanted = run.recipe
        if wanted.name in recipes.shipped():
            wanted = recipes.load(wanted.name)
            if self.epochs:
                wanted = dataclasses.replace(wanted, training=dataclasses.replace(wanted.training, epochs=self.epochs))
        same_split = run.division == self.division and (self.division == USAGE or run.seed == self.seed)
        return run.recipe == wanted and run.labels == self.labels and same_split


def find_networks(recipe: Recipe, given: dict[str, Path | None], kin: Kin) -> dict[str, Path]:
    """Weights for each network that the recipe's training names.

    Args:
        recipe: whose training may have a `teacher` and a `start`, both names of recipes.
        given: by these two keys a run folder, of which the best weights count, a `.keras` file, a model file or
            the name of a shipped one; None means the newest run of the recipe that is named that came to its end
            and suits, or else the shipped model of that name.
        kin: of the new run.

    Raises:
        UsageError: there is none, one was given where the recipe wants none, or one that knows other labels, which
            is no hindrance for what a training begins with.
        ModelFileError: a model file is damaged or does not say what it is made of.
    """
    check_given(recipe, given)
    wanted = {role: getattr(recipe.training, role) for role in given}
    found = {
        role: _weights(role, path) if path else _newest(recipe.name, role, wanted[role], kin)
        for role, path in given.items()
        if wanted[role]
    }
    for role, weights in found.items():
        # Classes that a start does not know are learned; a mean with it, or a lesson from it, needs all of them.
        if role == "teacher" or recipe.training.start_share:
            _require_labels(role, weights, kin.labels)
    return found


def check_given(recipe: Recipe, given: dict[str, Path | None]) -> None:
    """Refuse, before the data is read, what `find_networks` can refuse without the data.

    Raises:
        UsageError: a network was given that is not there, or that the recipe does not want.
    """
    for role, path in given.items():
        if path and getattr(recipe.training, role):
            _weights(role, path)
        elif path:
            raise UsageError(
                f"recipe {recipe.name} has no training.{role}; leave --{role} out, or set it in a recipe of your own"
            )


def learned_before(path: Path, data: Dataset, division: str) -> str:
    """What has to be said of a model file that has learned the data before it is divided anew; mostly nothing."""
    if path.suffix != model_files.SUFFIX or division == USAGE:
        return ""
    learned = model_files.read(path).facts.get("data_sha256")
    if not isinstance(learned, dict) or not {split.sha256() for split in data.splits.values()} & {*learned.values()}:
        return ""
    return f"; it has learned pictures that --split {division} validates on, whose figures flatter"


def prepared(
    networks: Mapping[str, Path], recipe: Recipe, built: keras.Model, images: NDArray[np.uint8]
) -> dict[str, keras.Model]:
    """Refuse, before there is a run folder, what the training could not use; return the networks of model files.

    Args:
        networks: of `find_networks`.
        recipe: of the new run.
        built: its network, untrained.
        images: uint8, (n, side, side), of its training split.

    Raises:
        UsageError: a start is of another architecture, or a teacher of other pictures or classes.
        DataError, ModelFileError: a file is damaged.
    """
    from fer_train import models

    converted = {}
    for role, path in networks.items():
        if path.suffix == model_files.SUFFIX:
            found = converted[role] = model_files.to_keras(path, images)
        else:
            found = models.load_as_trained(path)
        if role == "teacher":
            alike = (found.input_shape, found.output_shape) == (built.input_shape, built.output_shape)
            unlike = "a network of other classes or another size"
        else:
            alike, unlike = _body(found) == _body(built), "of another architecture"
        if not alike:
            raise UsageError(
                f"--{role} {path} is {unlike} than recipe {recipe.name}; name one that is alike, or set the recipe's "
                "own [model]"
            )
        outputs, known = found.output_shape[1], labels_of(path)
        if outputs != built.output_shape[1] and (known is None or len(known) != outputs):
            raise UsageError(
                f"--{role} {path} has {outputs} outputs and does not say which classes they are; name the run folder "
                "or the model file that it belongs to"
            )
    return converted


def _body(network: keras.Model) -> list[tuple[int, ...]]:
    """Shapes of all weights; those of the last layer, which has one output a class, without that."""
    layers = [layer for layer in network.layers if layer.weights]
    shapes = [tuple(weight.shape) for layer in layers[:-1] for weight in layer.weights]
    return [*shapes, *(tuple(weight.shape[:-1]) for weight in layers[-1].weights)]


def to_train(recipe: Recipe, given: dict[str, Path | None], kin: Kin) -> tuple[str, Path | None] | None:
    """The first recipe that has to be trained before this one, and its run to continue if there is one.

    Args:
        recipe, given, kin: as for `find_networks`.
    """
    for role, path in given.items():
        name = getattr(recipe.training, role)
        if not name or path:
            continue
        runs = _runs_of(name, kin)
        if name not in SHIPPED and not any(_complete(run) for run in runs):
            return name, runs[-1].folder if runs else None
    return None


def _weights(role: str, path: Path) -> Path:
    if str(path) in SHIPPED and not path.exists():
        return shipped_model(str(path))
    weights = path / WEIGHTS if path.is_dir() else path
    if not weights.is_file():
        raise UsageError(
            f"--{role} {path} is no .keras file, no model file, none of {' and '.join(SHIPPED)}, and no run folder "
            f"that holds {WEIGHTS}"
        )
    labels_of(weights)  # refuses a damaged model file, or run.json, before the data is read
    return weights


def _require_labels(role: str, weights: Path, wanted: tuple[str, ...]) -> None:
    labels = labels_of(weights)
    if labels and labels != wanted:
        raise UsageError(
            f"--{role} {weights} knows {', '.join(labels)} where the data has {', '.join(wanted)}; name one that was "
            "trained on the same labels"
        )


def _newest(recipe: str, role: str, wanted: str, kin: Kin) -> Path:
    found = [run for run in _runs_of(wanted, kin) if _complete(run)]
    if not found and wanted in SHIPPED:
        return shipped_model(wanted)
    if not found:
        train = shlex.join(["fer-train", "--recipe", wanted])
        raise UsageError(
            f"recipe {recipe} has a network of recipe {wanted} as its {role}, and {RUNS}/ holds none that came to its "
            f"end on these labels and splits; train it with {train} --data …, give --chain to have it trained first, "
            f"or name one with --{role}"
        )
    return found[-1].folder / WEIGHTS


def _runs_of(wanted: str, kin: Kin) -> list[Run]:
    """Runs of a recipe that have weights and suit, the newest last."""
    found = []
    for path in sorted(RUNS.glob(f"*/{WEIGHTS}"), key=lambda path: path.stat().st_mtime_ns):
        try:
            run = open_run(path.parent)
        except UsageError:
            continue
        if run.recipe.name == wanted and kin.suits(run):
            found.append(run)
    return found


def _complete(run: Run) -> bool:
    # Weights that were copied here without their training are as good.
    return not (run.folder / LAST).exists() or len(run.history()) >= run.recipe.training.epochs
