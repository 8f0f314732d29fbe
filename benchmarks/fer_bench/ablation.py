"""What each ingredient of a training gave: runs of the same recipe with several seeds, against runs without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_bench import plots
from fer_bench.accuracy import data_facts
from fer_bench.robustness import CONDITIONS, WORSE, changed
from fer_edge.contract.errors import UsageError
from fer_train.evaluation import evaluate
from fer_train.runs import LAST, WEIGHTS, Run, open_run

if TYPE_CHECKING:
    from fer_train.datasets import Dataset

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "lowest_recall": "lowest recall",
    "ece": "calibration error",
    "worse_pictures": "dark, blurred, JPEG",
}
"""What is measured of each network, and what tables call it; all are shares, 0..1."""

MEAN = ", mean of start and end"
"""What follows the name of a recipe in the row of its runs' `start_share`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table: one kind of network of runs that differ in their seed alone.

    Attributes:
        name: the recipe's, with `MEAN` behind it for the mean of the weights that a run began and ended with.
        title: of the recipe.
        runs: one of each seed.
        weights: the file in each run's folder.
    """

    name: str
    title: str
    runs: tuple[Run, ...]
    weights: str


def variants(folders: Sequence[Path]) -> list[Variant]:
    """Group runs by their recipe, in the order in which each comes first.

    The network after the last epoch counts: the best one was chosen on the pictures that it is measured on.

    Raises:
        UsageError: a folder is no run, a run has not come to its end, two have the same seed or validate on different
            pictures, or two recipes of one name differ.
    """
    groups: dict[str, list[Run]] = {}
    for folder in folders:
        run = open_run(folder)
        if len(run.history()) < run.recipe.training.epochs:
            raise UsageError(f"{folder} has not come to its end; continue it with fer-train --resume {folder}")
        groups.setdefault(run.recipe.name, []).append(run)
    if len({_validation_sha256(run) for runs in groups.values() for run in runs}) > 1:
        raise UsageError("the runs validate on different pictures, so they cannot be compared; leave some out")
    found = []
    for name, runs in groups.items():
        if any((run.recipe, _read_as(run)) != (runs[0].recipe, _read_as(runs[0])) for run in runs):
            raise UsageError(f"runs of recipe {name} were trained with different settings; give those of one of them")
        if len({run.seed for run in runs}) < len(runs):
            raise UsageError(f"two runs of recipe {name} have the same seed; leave one out")
        recipe = runs[0].recipe
        found.append(Variant(name, recipe.title, tuple(runs), LAST))
        if recipe.training.start_share:
            found.append(Variant(name + MEAN, recipe.title + MEAN, tuple(runs), WEIGHTS))
    return found


def measure(
    rows: Sequence[Variant],
    versus: Mapping[str, str],
    data: Dataset,
    *,
    on_network: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure the networks of `rows` on their validation pictures.

    Args:
        rows: of runs that all validate on the same pictures.
        versus: the row that another is compared with, both by their names.
        data: divided as the runs want it.
        on_network: called with the number of networks done since the last call.

    Returns:
        The content of an ablation result: `threads`, `data`, `models`, `trained_with`, `variants`.

    Raises:
        UsageError: `versus` names no row.
    """
    known = {row.name: number for number, row in enumerate(rows)}
    if strange := [name for pair in versus.items() for name in pair if name not in known]:
        raise UsageError(f"--versus names {strange[0]}, which is none of {', '.join(known)}")
    first = rows[0].runs[0]
    measured: list[dict[str, list[float]]] = []
    for row in rows:
        measured.append({name: [] for name in FIGURES})
        for run in row.runs:
            for name, value in _figures(run.folder / row.weights, data, first.validation_split).items():
                measured[-1][name].append(value)
            on_network(1)
    return {
        "threads": {"keras": first.threads or 1},
        "data": data_facts(data, first.validation_split, data.split(first.validation_split)),
        "models": [],
        "trained_with": first.facts()["versions"],
        "variants": [
            {
                "name": row.name,
                "title": row.title,
                "recipe_sha256": row.runs[0].recipe.sha256(),
                "epochs": row.runs[0].recipe.training.epochs,
                "seeds": [run.seed for run in row.runs],
                **{name: _spread(values) for name, values in found.items()},
                "versus": _versus(row.name, versus, known, measured),
            }
            for row, found in zip(rows, measured, strict=True)
        ],
    }


def _read_as(run: Run) -> dict[str, Any]:
    reading = {**run.reading.to_dict(), "votes": ""}  # where they lay
    return {**reading, "training_sha256": run.facts()["data_sha256"][run.training_split]}


def _validation_sha256(run: Run) -> str:
    found: str = run.facts()["data_sha256"][run.validation_split]
    return found


def _figures(weights: Path, data: Dataset, split_name: str) -> dict[str, float]:
    from fer_train import models
    from fer_train.report import predict

    network, split = models.load(weights), data.split(split_name)
    found = evaluate(predict(network, split.images), split.labels, data.labels)
    worse = [
        float((predict(network, changed(split, change).images).argmax(axis=1) == split.labels).mean())
        for condition in WORSE
        for change in CONDITIONS[condition]
    ]
    return {
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "lowest_recall": found.lowest_recall,
        "ece": found.ece,
        "worse_pictures": float(np.mean(worse)),
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": round(float(np.mean(values)), 6),
        "deviation": round(float(np.std(values, ddof=1)), 6) if len(values) > 1 else None,
        "values": [round(value, 6) for value in values],
    }


def _versus(
    name: str, versus: Mapping[str, str], known: Mapping[str, int], measured: Sequence[dict[str, list[float]]]
) -> dict[str, Any] | None:
    """Difference of the mean accuracies, and its standard error by the spread over seeds (Welch 1947)."""
    if name not in versus:
        return None
    mine, other = (np.array(measured[known[which]]["accuracy"]) for which in (name, versus[name]))
    error = None
    if len(mine) > 1 and len(other) > 1:
        error = round(math.sqrt(mine.var(ddof=1) / len(mine) + other.var(ddof=1) / len(other)), 6)
    return {"name": versus[name], "gained": round(float(mine.mean() - other.mean()), 6), "standard_error": error}


def table(content: dict[str, Any]) -> str:
    """An ablation result as lines for a terminal, in percent."""
    head = ("", "seeds", *FIGURES.values(), "gained", "over")
    rows = [
        (
            row["title"],
            str(len(row["seeds"])),
            *(in_words(row[name]) for name in FIGURES),
            *((gained_in_words(row["versus"]), row["versus"]["name"]) if row["versus"] else ("", "")),
        )
        for row in content["variants"]
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    data = content["data"]
    lines = [
        f"{data['split']} of {data['file']}: {data['pictures']} pictures, in percent, after the last epoch",
        *(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ),
        "mean and standard deviation over seeds; gained: with the standard error that follows from them",
    ]
    return "\n".join(lines)


def in_words(spread: dict[str, Any]) -> str:
    """Mean and deviation in percent."""
    deviation = spread["deviation"]
    return f"{100 * spread['mean']:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def gained_in_words(versus: dict[str, Any]) -> str:
    """Points gained and their standard error."""
    error = versus["standard_error"]
    return f"{100 * versus['gained']:+.2f}" + ("" if error is None else f" ± {100 * error:.2f}")


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw the accuracy of every network, a row for each variant."""
    rows, data = content["variants"], content["data"]
    title = f"What each ingredient gave, on {data['split']} of {data['file']}"
    with plots.drawing(target, 8.4, 0.45 * len(rows) + 1.3, title) as figure:
        axes = figure.subplots()
        for number, row in enumerate(rows):
            values = [100 * value for value in row["accuracy"]["values"]]
            axes.plot(values, [number] * len(values), linestyle="", marker="o", color=plots.COLORS[0], alpha=0.7)
            axes.plot(100 * row["accuracy"]["mean"], number, marker="|", markersize=16, color=plots.COLORS[3])
        axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
        axes.invert_yaxis()
        axes.set(xlabel="accuracy, %: a dot for each seed, a line for their mean")
        axes.grid(axis="x", alpha=0.3)
