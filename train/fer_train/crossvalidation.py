"""Choose settings without looking at a test split: K-fold cross-validation on the Training pictures.

Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", 1974. A search folder holds
`search.json` (what was asked) and a run folder for each combination of settings and each fold, so that a
fold is resumed, reported and converted like any other run; each gains `fold.json` (how good it was).
"""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.contract.errors import UsageError
from fer_edge.contract.files import write_text
from fer_train.recipe import Recipe, from_dict
from fer_train.runs import Run

SEARCH, FOLD = "search.json", "fold.json"
SECTIONS = ("model", "training", "augmentation")

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """A search folder and what it was asked for.

    Attributes:
        folder: where it lies.
        recipe: before anything is varied.
        vary: values of each setting that is varied, by its key in the recipe (`training.learning_rate`).
        folds: number of parts that the Training pictures are divided into.
        seed: of the division and of every run.
        threads: of TensorFlow.
        sources: paths of the data.
        reading: how it is read, as `Reading.to_dict` gives it.
    """

    folder: Path
    recipe: Recipe
    vary: dict[str, list[Any]]
    folds: int
    seed: int
    threads: int | None
    sources: tuple[Path, ...]
    reading: dict[str, Any]

    def combinations(self) -> list[Settings]:
        """Every combination of the varied settings; one without settings where none is varied."""
        return [dict(zip(self.vary, values, strict=True)) for values in itertools.product(*self.vary.values())]

    def runs(self) -> Iterator[tuple[Settings, int, Path]]:
        """Settings, number of the fold from 1, and run folder of every training; fold by fold.

        A search that is stopped has tried all combinations on the folds that it has done.
        """
        for fold in range(1, self.folds + 1):
            for settings in self.combinations():
                yield settings, fold, self.folder / (title(settings).replace("/", "_")) / f"fold-{fold}"

    def division(self, fold: int) -> str:
        """How `datasets.divide` makes a fold."""
        return f"fold:{fold}/{self.folds}"

    def results(self) -> list[dict[str, Any]]:
        """What is known of each combination, the best mean accuracy first; what gives up a class in every fold
        comes after what does not, however accurate.

        Each has `settings`, `folds` (how many are done) and, over these, mean and sample standard deviation
        of `accuracy`, `macro_f1` and `lowest_recall` (of the class that is found the least), shares 0..1.
        """
        found: dict[str, dict[str, Any]] = {}
        for settings, _, folder in self.runs():
            entry = found.setdefault(title(settings), {"settings": settings, "done": []})
            if (folder / FOLD).is_file():
                entry["done"].append(json.loads((folder / FOLD).read_text(encoding="utf-8")))
        rows = []
        for entry in found.values():
            row = {"settings": entry["settings"], "folds": len(entry["done"])}
            for name, values in (
                ("accuracy", [one["accuracy"] for one in entry["done"]]),
                ("macro_f1", [one["macro_f1"] for one in entry["done"]]),
                ("lowest_recall", [_lowest_recall(one) for one in entry["done"]]),
            ):
                row[name] = {
                    "mean": round(float(np.mean(values)), 6) if values else None,
                    "deviation": round(float(np.std(values, ddof=1)), 6) if len(values) > 1 else None,
                }
            rows.append(row)
        return sorted(rows, key=lambda row: (not row["lowest_recall"]["mean"], -(row["accuracy"]["mean"] or 0.0)))


def _lowest_recall(evaluation: dict[str, Any]) -> float:
    # A rare class may have no picture in a fold.
    return min(float(known["recall"]) for known in evaluation["classes"].values() if known["support"])


def parse_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read `training.learning_rate=1e-3,3e-3` and the like; values are TOML, plain words are texts.

    Raises:
        UsageError: one is not of that form, names no section of a recipe, or is given twice.
    """
    vary: dict[str, list[Any]] = {}
    for text in texts:
        key, _, values = text.partition("=")
        if key.partition(".")[0] not in SECTIONS or not key.partition(".")[2] or not values.strip():
            raise UsageError(
                f"--vary {text} is not of the form SECTION.KEY=VALUE,VALUE with {', '.join(SECTIONS)} as the section"
            )
        if key in vary:
            raise UsageError(f"--vary {key} is given twice; give all its values at once")
        vary[key] = _values(values)
    return vary


def _values(text: str) -> list[Any]:
    try:
        found: list[Any] = tomllib.loads(f"values = [{text}]")["values"]
        return found
    except tomllib.TOMLDecodeError:
        return [word.strip() for word in text.split(",")]


def varied(recipe: Recipe, settings: Settings) -> Recipe:
    """`recipe` with other settings, by their keys.

    Raises:
        UsageError: a key or a value is none that a recipe can have.
    """
    values = recipe.to_dict()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        values[section] = {**values[section], name: value}
    return from_dict(values)


def title(settings: Settings) -> str:
    """A combination in one line, which is the name of its folder, too."""
    return ",".join(f"{key}={json.dumps(value)}" for key, value in settings.items()) or "as-it-is"


def check_new(search: Search) -> None:
    """Refuse early what cannot be begun; nothing is made.

    Raises:
        UsageError: the folder holds a search already, a combination is no recipe, or the recipe builds on
            another network.
    """
    for settings in search.combinations():
        varied(search.recipe, settings)
    if search.recipe.training.teacher or search.recipe.training.start:
        raise UsageError(
            f"recipe {search.recipe.name} builds on a network that has seen all of Training, so folds of it would "
            "flatter every setting; search with a recipe that has neither training.teacher nor training.start"
        )
    if (search.folder / SEARCH).exists():
        raise UsageError(f"{search.folder} already holds a search; continue it with --resume, or name another")


def begin(search: Search) -> None:
    """Make the search folder.

    Raises:
        UsageError: it cannot be made.
    """
    facts = {
        "recipe": search.recipe.to_dict(),
        "vary": search.vary,
        "folds": search.folds,
        "seed": search.seed,
        "threads": search.threads,
        "sources": [str(path) for path in search.sources],
        "reading": search.reading,
    }
    try:
        search.folder.mkdir(parents=True, exist_ok=True)
        write_text(search.folder / SEARCH, json.dumps(facts, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"search folder {search.folder} cannot be made ({error.strerror}); name another") from error


def open_search(folder: Path) -> Search:
    """Read a search folder.

    Raises:
        UsageError: it is none.
    """
    try:
        facts = json.loads((folder / SEARCH).read_text(encoding="utf-8"))
        return Search(
            folder,
            from_dict(facts["recipe"]),
            facts["vary"],
            facts["folds"],
            facts["seed"],
            facts["threads"],
            tuple(map(Path, facts["sources"])),
            facts["reading"],
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder} is not a search folder of fer-train ({error}); give one with {SEARCH}") from error


def keep_result(run: Run, evaluation: dict[str, Any]) -> None:
    """Write how good a run's last epoch is on its fold."""
    write_text(run.folder / FOLD, json.dumps({"split": run.validation_split, **evaluation}, indent=2) + "\n")


def table(search: Search) -> str:
    """Mean and spread of every combination, in percent, as lines of text."""
    head = ("settings", "folds", "accuracy", "macro-F1", "lowest recall")
    rows = [
        (title(row["settings"]), f"{row['folds']}/{search.folds}",
         *(_spread(row[name]) for name in ("accuracy", "macro_f1", "lowest_recall")))
        for row in search.results()
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
    return "\n".join([*lines, "", "percent on the folds after the last epoch: mean and standard deviation over folds"])


def _spread(found: dict[str, float | None]) -> str:
    if found["mean"] is None:
        return "-"
    spread = "" if found["deviation"] is None else f" ± {100 * found['deviation']:.2f}"
    return f"{100 * found['mean']:.2f}{spread}"
