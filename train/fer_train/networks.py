"""The trained networks that a new run builds on: its teacher, and the weights it starts from."""

from __future__ import annotations

import shlex
from pathlib import Path

from fer_edge.contract.errors import UsageError
from fer_train.recipe import Recipe
from fer_train.runs import LAST, RUNS, WEIGHTS, open_run


def find_networks(recipe: Recipe, given: dict[str, Path | None]) -> dict[str, Path]:
    """Weights for each network that the recipe's training names.

    Args:
        recipe: whose training may have a `teacher` and a `start`, both names of recipes.
        given: by these two keys a run folder, of which the best weights count, or a `.keras` file; None
            means the newest run of the recipe that is named.

    Raises:
        UsageError: there is none, or one was given where the recipe wants none.
    """
    found = {}
    for role, path in given.items():
        wanted = getattr(recipe.training, role)
        if wanted:
            found[role] = _named(role, path) if path else _newest(recipe.name, role, wanted)
        elif path:
            raise UsageError(
                f"recipe {recipe.name} has no training.{role}; leave --{role} out, or set it in a recipe of your own"
            )
    return found


def _named(role: str, path: Path) -> Path:
    weights = path / WEIGHTS if path.is_dir() else path
    if not weights.is_file():
        raise UsageError(f"--{role} {path} is no .keras file and no run folder that holds {WEIGHTS}")
    return weights


def to_train(recipe: Recipe, given: dict[str, Path | None]) -> tuple[str, Path | None] | None:
    """The first recipe that has to be trained before this one, and its run to continue if there is one.

    Args:
        recipe, given: as for `find_networks`.
    """
    for role, path in given.items():
        name = getattr(recipe.training, role)
        if not name or path:
            continue
        newest = max(_weights_of(name), key=_age, default=None)
        if newest is None:
            return name, None
        run = open_run(newest.parent)
        # Weights that were copied here without their training are as good.
        if (run.folder / LAST).exists() and len(run.history()) < run.recipe.training.epochs:
            return name, run.folder
    return None


def _newest(recipe: str, role: str, wanted: str) -> Path:
    found = _weights_of(wanted)
    if not found:
        train = shlex.join(["fer-train", "--recipe", wanted])
        raise UsageError(
            f"recipe {recipe} has a network of recipe {wanted} as its {role} and {RUNS}/ holds none; train it "
            f"with {train} --data …, give --chain to have it trained first, or name one with --{role}"
        )
    return max(found, key=_age)


def _weights_of(wanted: str) -> list[Path]:
    return [path for path in RUNS.glob(f"*/{WEIGHTS}") if _recipe_of(path.parent) == wanted]


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


def _recipe_of(folder: Path) -> str | None:
    try:
        return open_run(folder).recipe.name
    except UsageError:
        return None
