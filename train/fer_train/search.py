"""`fer-train search`."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.contract.commands import EXIT_INTERRUPTED, Command
from fer_edge.contract.errors import UsageError
from fer_edge.contract.files import write_text
from fer_train import crossvalidation, recipe
from fer_train.commands import duration, import_keras, load_data, require_extra, run_folder
from fer_train.crossvalidation import FOLD, Search
from fer_train.data_options import FILE, reading_of, reading_options
from fer_train.datasets import Dataset, Reading
from fer_train.interruption import interruption
from fer_train.runs import LAST, create_run, open_run

if TYPE_CHECKING:
    import threading

DEFAULT_RECIPE = "mini_labels"
"""What the shipped network begins with, since folds of one that builds on another would flatter it."""


@click.command("search", cls=Command)
@click.option("--recipe", "name", metavar="NAME|FILE", help="A shipped recipe or a .toml file.  [default: mini_labels]")
@click.option("--data", type=FILE, multiple=True, help="As of a training; repeatable.")
@reading_options
@click.option("--vary", metavar="KEY=V,V", multiple=True, help="Try each of these values; repeatable.")
@click.option("--folds", type=click.IntRange(2, 100), help="Parts of Training.  [default: 5]")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32 - 1), help="Of folds and runs.  [default: 1]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of TensorFlow.  [default: all cores]")
@click.option("--run", "folder", type=FILE, help="Search folder.  [default: runs/RECIPE-search]")
@click.option("--resume", metavar="FOLDER", type=FILE, help="Continue a search where it stopped.")
def command(
    *, name: str | None, data: tuple[Path, ...], asked: dict[str, Any], vary: tuple[str, ...], folds: int | None,
    epochs: int | None, seed: int | None, threads: int | None, folder: Path | None, resume: Path | None,
) -> None:  # fmt: skip
    """Try settings of a recipe by cross-validation on the Training pictures.

    Each is trained on all folds but one and measured on that one, in turn; no other split is looked at.

    \b
    fer-train search --data fer2013.csv --vary training.learning_rate=1e-3,3e-3
    """
    new = {"--recipe": name, "--vary": vary or None, "--folds": folds, "--epochs": epochs, "--seed": seed,
           "--run": folder, "--threads": threads, **asked}  # fmt: skip
    given = [flag for flag, value in new.items() if value is not None]
    if resume and given:
        raise UsageError(f"{given[0]} is for a new search and cannot be combined with --resume; leave it out")
    if not resume and not data:
        raise UsageError("--data is missing; give the file or folder that holds the pictures")
    if resume:
        search = crossvalidation.open_search(resume)
        require_extra()
        search = dataclasses.replace(search, sources=data or search.sources)
    else:
        wanted = recipe.load(name or DEFAULT_RECIPE)
        if epochs:
            wanted = dataclasses.replace(wanted, training=dataclasses.replace(wanted.training, epochs=epochs))
        search = Search(
            run_folder(folder, None, f"{wanted.name}-search"), wanted, crossvalidation.parse_vary(vary), folds or 5,
            1 if seed is None else seed, threads or os.cpu_count(), tuple(path.resolve() for path in data),
            reading_of(asked, wanted.side).to_dict(),
        )  # fmt: skip
        crossvalidation.check_new(search)
        require_extra()
    loaded = load_data(search.sources, Reading.from_dict(search.reading))
    import_keras(search.threads)
    if not resume:
        _check_networks(search, loaded)
        crossvalidation.begin(search)
    _go_on(search, loaded)


def _check_networks(search: Search, data: Dataset) -> None:
    # Settings whose network cannot be built must not be found out after hours of others.
    from fer_train import models

    for settings in search.combinations():
        wanted = crossvalidation.varied(search.recipe, settings)
        models.build(**wanted.model, classes=len(data.labels), side=wanted.side)


def _go_on(search: Search, data: Dataset) -> None:
    left = [one for one in search.runs() if not (one[2] / FOLD).is_file()]
    click.echo(f"search folder: {search.folder}; {len(left)} of {len(list(search.runs()))} trainings to do")
    try:
        with interruption() as interrupted:
            for number, (settings, fold, folder) in enumerate(left, 1):
                said = f"{number}/{len(left)}  {crossvalidation.title(settings)}, fold {fold}"
                click.echo(f"{said}: {_train(search, data, settings, fold, folder, interrupted)}")
                sys.stdout.flush()
    except KeyboardInterrupt:
        click.echo(
            f"fer-train: stopped; complete epochs are kept: continue with "
            f"{shlex.join(['fer-train', 'search', '--resume', str(search.folder)])}",
            err=True,
        )
        sys.exit(EXIT_INTERRUPTED)
    text = crossvalidation.table(search)
    write_text(search.folder / "results.json", json.dumps(search.results(), indent=2) + "\n")
    write_text(search.folder / "results.txt", text + "\n")
    click.echo(f"\n{text}\n\nwritten to {search.folder}: results.json, results.txt, and a run folder for each fold")


def _train(
    search: Search, data: Dataset, settings: crossvalidation.Settings, fold: int, folder: Path,
    interrupted: threading.Event,
) -> str:  # fmt: skip
    from fer_train import models
    from fer_train.evaluation import evaluate
    from fer_train.fit import fit
    from fer_train.report import predict

    if (folder / "run.json").is_file():
        run = open_run(folder)
    else:
        run = create_run(
            folder, crossvalidation.varied(search.recipe, settings), data,
            seed=search.seed, division=search.division(fold), threads=search.threads,
        )  # fmt: skip
    with run.locked():
        divided = run.divided(data)
        fit(run, divided, interrupted=interrupted)
        validation = divided.split(run.validation_split)
        # The last epoch, for the best one is chosen on the very fold that it is measured on.
        probabilities = predict(models.load(folder / LAST), validation.images)
        result = evaluate(probabilities, validation.labels, divided.labels)
        crossvalidation.keep_result(run, result.to_dict())
    seconds = sum(row["seconds"] for row in run.history())
    return f"accuracy {100 * result.accuracy:.2f} %, macro-F1 {100 * result.macro_f1:.2f} %, {duration(seconds)}"
