"""Runs side by side: what they reached, class by class, and how what they were asked for differs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.commands import Command
from fer_edge.contract.errors import UsageError
from fer_train.runs import Run, open_run
from fer_train.significance import mcnemar, wilson_interval

Table = tuple[Sequence[str], list[Sequence[str]]]
"""Head and rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A run and what its report says of it.

    Attributes:
        run: the run.
        evaluation: of its best model, as `evaluation.json` holds it.
        right: which validation pictures it gets right, bool, (n,); None where no `predictions.csv` says so.
        data_sha256: of the validation pictures and labels.
        seconds: that its epochs took.
        int8_accuracy: share, 0..1, of the int8 network made from this model; None where there is none.
    """

    run: Run
    evaluation: dict[str, Any]
    right: NDArray[np.bool_] | None
    data_sha256: str
    seconds: float
    int8_accuracy: float | None


def read(folder: Path) -> Outcome:
    """Read a run that was evaluated.

    Raises:
        UsageError: it is no run folder, or has no report yet.
    """
    run = open_run(folder)
    try:
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        # A damaged or older file is refused here, not halfway through a table.
        if not {"accuracy", "classes", "count", "ece", "epoch", "macro_f1", "parameters"} <= evaluation.keys():
            raise KeyError("figures are missing")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{folder} has no evaluation that can be read; fer-train writes it at the end, or with --report {folder}"
        ) from error
    return Outcome(
        run,
        evaluation,
        _right(folder / "predictions.csv", evaluation),
        run.facts()["data_sha256"].get(run.validation_split, ""),
        sum(row["seconds"] for row in run.history()),
        _int8_accuracy(folder / "conversion.json", evaluation),
    )


def previous(run: Run) -> Outcome | None:
    """The run beside this one that was begun last before it and has an evaluation."""
    begun = (run.folder / "run.json").stat().st_mtime_ns
    earlier = [
        path
        for path in run.folder.absolute().parent.glob("*/run.json")
        if path.stat().st_mtime_ns < begun and path.with_name("evaluation.json").is_file()
    ]
    for path in sorted(earlier, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            return read(path.parent)
        except UsageError:
            continue  # damaged, or of a format long gone: the one before it will do
    return None


def figures(outcomes: Sequence[Outcome]) -> Table:
    """A row for each run; differences are to the first, and only where both saw the same pictures."""
    first = outcomes[0]
    rows = []
    for outcome, name in zip(outcomes, _names(outcomes), strict=True):
        found = outcome.evaluation
        hits = round(found["accuracy"] * found["count"])
        low, high = wilson_interval(hits, found["count"])
        int8 = outcome.int8_accuracy
        rows.append(
            (
                name,
                outcome.run.recipe.name,
                f"{found['parameters']:,}",
                f"{found['epoch'] or 'mean'} of {found['epochs_trained']}",
                f"{100 * found['accuracy']:.2f}",
                f"{100 * low:.1f} to {100 * high:.1f}",
                *_versus(first, outcome),
                f"{100 * found['macro_f1']:.2f}",
                f"{100 * found['ece']:.2f}",
                "-" if int8 is None else f"{100 * int8:.2f}",
                f"{outcome.seconds / 60:.0f}",
            )
        )
    head = ("run", "recipe", "parameters", "best epoch", "accuracy %", "95 % interval", "change", "p",
            "macro-F1 %", "ECE %", "int8 %", "minutes")  # fmt: skip
    return head, rows


def recalls(outcomes: Sequence[Outcome]) -> Table:
    """Recall of each class in percent; a column for each run."""
    labels = dict.fromkeys(label for outcome in outcomes for label in outcome.evaluation["classes"])
    rows = [(label, *(_recall(outcome.evaluation["classes"].get(label)) for outcome in outcomes)) for label in labels]
    return ("recall %", *_names(outcomes)), rows


def differences(outcomes: Sequence[Outcome]) -> Table:
    """What the runs were asked for, where they were not all asked for the same."""
    asked = [_asked(outcome.run) for outcome in outcomes]
    keys = dict.fromkeys(key for settings in asked for key in settings)
    rows = [
        (key, *(str(settings.get(key, "-")) for settings in asked))
        for key in keys
        if len({json.dumps(settings.get(key)) for settings in asked}) > 1
    ]
    return ("setting", *_names(outcomes)), rows


def text(table: Table) -> str:
    """A table for a terminal: the first column to the left, figures to the right."""
    head, rows = table
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    )


@click.command("compare", cls=Command)
@click.argument("folders", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(folders: tuple[Path, ...]) -> None:
    """Print runs side by side: figures, recall of each class, and where their settings differ.

    \b
    fer-train compare runs/mini-1 runs/mini-2
    """
    if len(folders) < 2:
        raise UsageError(f"there is nothing to compare {folders[0]} with; name two run folders or more")
    outcomes = [read(folder) for folder in folders]
    click.echo(text(figures(outcomes)))
    click.echo("change in points to the first run, p of McNemar's exact test; on the split each was chosen on")
    for table in (recalls(outcomes), differences(outcomes)):
        if table[1]:
            click.echo(f"\n{text(table)}")


def _names(outcomes: Iterable[Outcome]) -> list[str]:
    folders = [outcome.run.folder for outcome in outcomes]
    plain = [folder.absolute().name for folder in folders]
    return plain if len(set(plain)) == len(plain) else [str(folder) for folder in folders]


def _versus(first: Outcome, other: Outcome) -> tuple[str, str]:
    if other is first:
        return "-", "-"
    if other.data_sha256 != first.data_sha256:
        return "other data", "-"
    change = f"{100 * (other.evaluation['accuracy'] - first.evaluation['accuracy']):+.2f}"
    if first.right is None or other.right is None:
        return change, "-"
    gained, lost = int((other.right & ~first.right).sum()), int((first.right & ~other.right).sum())
    return change, f"{mcnemar(gained, lost):.2g}"


def _recall(found: dict[str, Any] | None) -> str:
    return "-" if not found or not found["support"] else f"{100 * found['recall']:.1f}"


def _asked(run: Run) -> dict[str, Any]:
    recipe = run.recipe.to_dict()
    nested = {
        f"{group}.{key}": value
        for group, values in recipe.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
    written = run.facts()
    return {
        **nested,
        "side": run.recipe.side,
        "data": ", ".join(path.name for path in run.sources),
        # Where the votes lay says nothing about the run.
        **{f"reading.{key}": value for key, value in run.reading.to_dict().items() if key != "votes"},
        **{f"{role}'s sha256": written[role]["sha256"][:12] for role in ("teacher", "start") if role in written},
        "division": run.division,
        "seed": run.seed,
        "threads": run.threads,
    }


def _right(path: Path, evaluation: dict[str, Any]) -> NDArray[np.bool_] | None:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            right = np.array([row["truth"] == row["predicted"] for row in csv.DictReader(stream)], bool)
    except (OSError, KeyError, ValueError, csv.Error):
        return None
    # An older list than the evaluation says nothing about it.
    agrees = len(right) == evaluation["count"] and round(float(right.mean()), 6) == evaluation["accuracy"]
    return right if agrees else None


def _int8_accuracy(path: Path, evaluation: dict[str, Any]) -> float | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["int8"]
        made_of_it = found["facts"]["weights_sha256"] == evaluation["model_sha256"]
        return float(found["comparison"]["int8"]["accuracy"]) if made_of_it else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
