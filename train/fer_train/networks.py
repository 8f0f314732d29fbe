"""The trained networks that a new run builds on: its teacher, and the weights it starts from."""

from __future__ import annotations

import shlex
from pathlib import Path

from fer_edge.contract.errors import UsageError
from fer_train.recipe import Recipe
from fer_train.runs import RUNS, WEIGHTS, open_run


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


def _newest(recipe: str, role: str, wanted: str) -> Path:
    found = [path for path in RUNS.glob(f"*/{WEIGHTS}") if _recipe_of(path.parent) == wanted]
    if not found:
        train = shlex.join(["fer-train", "--recipe", wanted])
        raise UsageError(
            f"recipe {recipe} has a network of recipe {wanted} as its {role} and {RUNS}/ holds none; train it "
            f"with {train} --data …, or name one with --{role}"
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def _recipe_of(folder: Path) -> str | None:
    try:
        return open_run(folder).recipe.name
    except UsageError:
        return None
