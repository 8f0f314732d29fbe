"""The trained networks that a new run builds on: its teacher, and the weights it starts from."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path

from fer_edge.contract.errors import UsageError
from fer_train import recipe as recipes
from fer_train.datasets.splits import USAGE
from fer_train.recipe import Recipe
from fer_train.runs import LAST, RUNS, WEIGHTS, Run, open_run


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
        given: by these two keys a run folder, of which the best weights count, or a `.keras` file; None
            means the newest run of the recipe that is named that came to its end and suits.
        kin: of the new run.

    Raises:
        UsageError: there is none, one was given where the recipe wants none, or one that knows other labels.
    """
    check_given(recipe, given)
    wanted = {role: getattr(recipe.training, role) for role in given}
    return {
        role: _named(role, path, kin) if path else _newest(recipe.name, role, wanted[role], kin)
        for role, path in given.items()
        if wanted[role]
    }


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
        if not any(_complete(run) for run in runs):
            return name, runs[-1].folder if runs else None
    return None


def _weights(role: str, path: Path) -> Path:
    weights = path / WEIGHTS if path.is_dir() else path
    if not weights.is_file():
        raise UsageError(f"--{role} {path} is no .keras file and no run folder that holds {WEIGHTS}")
    return weights


def _named(role: str, path: Path, kin: Kin) -> Path:
    weights = _weights(role, path)
    if (weights.parent / "run.json").is_file():
        labels = open_run(weights.parent).labels
        if labels != kin.labels:
            raise UsageError(
                f"--{role} {path} knows {', '.join(labels)} where the data has {', '.join(kin.labels)}; name one that "
                "was trained on the same labels"
            )
    return weights


def _newest(recipe: str, role: str, wanted: str, kin: Kin) -> Path:
    found = [run for run in _runs_of(wanted, kin) if _complete(run)]
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
