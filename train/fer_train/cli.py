"""`fer-train`: from a recipe and FER2013 to a run folder with trained weights and their evaluation."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
import shlex
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from fer_edge.contract.commands import EXIT_INTERRUPTED, Command
from fer_edge.contract.errors import MissingExtraError, UsageError
from fer_train import recipe as recipes
from fer_train.datasets import SIDE, Dataset, load
from fer_train.datasets.splits import USAGE, share_of
from fer_train.interruption import interruption
from fer_train.quiet import quiet
from fer_train.runs import Run, check_free, create_run, open_run

DEFAULT_RECIPE = "mini_xception"
DEFAULT_SEED = 1


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-edge", prog_name="fer-train")
@click.option("--recipe", metavar="NAME|FILE", help=f"A shipped recipe or a .toml file.  [default: {DEFAULT_RECIPE}]")
@click.option("--data", type=click.Path(path_type=Path), help="FER2013: CSV, CSV.gz, image folder or its zip.")
@click.option("--name", help="Run folder runs/NAME.  [default: RECIPE-SEED, with a number if taken]")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Run folder, anywhere.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32 - 1), help=f"[default: {DEFAULT_SEED}]")
@click.option(
    "--split",
    metavar="usage|random:F",
    help="FER2013's own splits, or a random share to validate on.  [default: usage]",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of TensorFlow.  [default: all cores]")
@click.option("--resume", metavar="RUN", type=click.Path(path_type=Path), help="Continue a run where it stopped.")
@click.option(
    "--report", metavar="RUN", type=click.Path(path_type=Path), help="Write a run's evaluation and plots anew."
)
@click.option("--list", "listed", is_flag=True, help="List the shipped recipes.")
def main(
    *, recipe: str | None, data: Path | None, name: str | None, folder: Path | None, epochs: int | None,
    seed: int | None, split: str | None, threads: int | None, resume: Path | None, report: Path | None,
    listed: bool,
) -> None:  # fmt: skip
    """Train a small expression network on FER2013.

    The run folder holds the recipe as used, history, best and last weights, evaluation and plots.
    Ctrl-C keeps the complete epochs; --resume continues as if nothing had happened.
    """
    new = {"--recipe": recipe, "--name": name, "--run": folder, "--epochs": epochs, "--seed": seed, "--split": split}
    _refuse_mixed(new, resume=resume, report=report, listed=listed)
    if listed:
        click.echo(_recipe_table())
        return
    if report:
        _report(report, data)
    elif resume:
        _resume(resume, data, threads)
    else:
        _new(
            recipe=recipe or DEFAULT_RECIPE, source=data, folder=folder, name=name, epochs=epochs,
            seed=DEFAULT_SEED if seed is None else seed, division=split or USAGE, threads=threads,
        )  # fmt: skip


def _new(
    *, recipe: str, source: Path | None, folder: Path | None, name: str | None, epochs: int | None,
    seed: int, division: str, threads: int | None,
) -> None:  # fmt: skip
    wanted = recipes.load(recipe)
    if epochs:
        wanted = dataclasses.replace(wanted, training=dataclasses.replace(wanted.training, epochs=epochs))
    if source is None:
        raise UsageError("--data is missing; give the file or folder that holds FER2013")
    if division != USAGE:
        share_of(division)
    _require_extra()
    # Without a name the free one is looked for again once the data is read: another run may have begun.
    place = functools.partial(_folder, folder, name, f"{wanted.name}-{seed}")
    check_free(place())
    data = _load(source)
    _import_keras(threads)
    from fer_train import models

    # A recipe whose network cannot be built must not leave a run folder behind.
    models.build(**wanted.model, classes=len(data.labels), side=SIDE)
    run = create_run(place(), wanted, data, seed=seed, division=division, threads=threads or os.cpu_count())
    with run.locked():
        _train(run, run.divided(data))


def _resume(folder: Path, source: Path | None, threads: int | None) -> None:
    run = open_run(folder)
    _require_extra()
    with run.locked():
        data = run.divided(_load(source or Path(run.source)))
        # Sums over another number of threads round differently.
        _import_keras(threads or run.threads)
        _train(run, data)


def _report(folder: Path, source: Path | None) -> None:
    run = open_run(folder)
    _require_extra()
    data = run.divided(_load(source or Path(run.source)))
    _import_keras(None)
    _evaluate(run, data)


def _refuse_mixed(new: dict[str, Any], **modes: Any) -> None:
    chosen = [f"--{'list' if mode == 'listed' else mode}" for mode, value in modes.items() if value]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined; give one of them")
    given = [flag for flag, value in new.items() if value is not None]
    if chosen and given:
        raise UsageError(f"{given[0]} is for a new run and cannot be combined with {chosen[0]}; leave it out")
    if new["--name"] is not None and new["--run"] is not None:
        raise UsageError("--name and --run both name the run folder; give one of them")


def _recipe_table() -> str:
    lines = [("name", "epochs", "published *", "title", "source")]
    for name in recipes.shipped():
        one = recipes.load(name)
        figure = "-" if one.published_accuracy is None else f"{one.published_accuracy:g} %"
        lines.append((name, str(one.training.epochs), figure, one.title, one.source))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*rows, "", "* FER2013 accuracy that the source gives; not measured by this project"])


def _folder(folder: Path | None, name: str | None, default: str) -> Path:
    if folder:
        return folder
    if name:
        if name in ("", ".", "..") or name != Path(name).name:
            raise UsageError(f"--name {name} is no plain name; --run takes a path")
        return Path("runs") / name
    return next(
        wanted
        for number in itertools.count(1)
        if not (wanted := Path("runs") / (default if number == 1 else f"{default}-{number}")).exists()
    )


def _require_extra() -> None:
    # Importing Keras takes seconds, finding it none: ask before the data is read.
    if find_spec("keras") is None:
        raise MissingExtraError("fer-train", "train")


def _import_keras(threads: int | None) -> None:
    # TensorFlow reads both once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    try:
        with quiet(replay=True):
            import keras  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("fer-train", "train") from error


def _load(source: Path) -> Dataset:
    click.echo(f"reading {source}", err=True)
    # The run remembers where its data is, whatever folder it is resumed from.
    return load(source.resolve())


def _train(run: Run, data: Dataset) -> None:
    from fer_train.fit import fit

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    click.echo(_data_summary(run, data))
    click.echo(f"run folder: {run.folder}")
    at_terminal = sys.stdout.isatty()
    try:
        with interruption() as interrupted:
            fit(
                run,
                data,
                on_epoch=functools.partial(_epoch_line, run),
                progress_bar=at_terminal,
                interrupted=interrupted,
            )
        if interrupted.is_set():
            raise KeyboardInterrupt
        _evaluate(run, data)
    except KeyboardInterrupt:
        resume = shlex.join(["fer-train", "--resume", str(run.folder)])
        click.echo(
            f"fer-train: stopped; {len(run.history())} of {run.recipe.training.epochs} epochs are kept in "
            f"{run.folder}: continue with {resume}",
            err=True,
        )
        sys.exit(EXIT_INTERRUPTED)


def _data_summary(run: Run, data: Dataset) -> str:
    lines = []
    for role, name in (("training", run.training_split), ("validation", run.validation_split)):
        split = data.split(name)
        counts = ", ".join(f"{label} {n:,}" for label, n in zip(data.labels, data.counts()[name], strict=True))
        lines.append(f"{role}: {name}, {len(split):,} pictures ({counts})")
    found = run.facts().get("copies", {})
    if any(found.values()):
        lines.append(
            f"note: {found['validation_in_training']:,} validation pictures are exact copies of training "
            f"pictures, and {found['within_training']:,} training pictures repeat another one"
        )
    return "\n".join(lines)


def _epoch_line(run: Run, row: dict[str, float]) -> None:
    history = run.history()
    best = max(history, key=lambda one: one["val_accuracy"])
    recent = [one["seconds"] for one in history[-5:]]
    left = sum(recent) / len(recent) * (run.recipe.training.epochs - row["epoch"])
    click.echo(
        f"epoch {row['epoch']}/{run.recipe.training.epochs}: loss {row['loss']:.4f}, "
        f"accuracy {100 * row['accuracy']:.2f} %, validation loss {row['val_loss']:.4f}, "
        f"accuracy {100 * row['val_accuracy']:.2f} % (best {100 * best['val_accuracy']:.2f} %, "
        f"epoch {best['epoch']}), {row['seconds']:.0f} s, {_duration(left)} left"
    )
    sys.stdout.flush()


def _duration(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _evaluate(run: Run, data: Dataset) -> None:
    from fer_train.report import write_report

    result = write_report(run, data)
    history = run.history()
    best = max(history, key=lambda one: one["val_accuracy"])
    trained = sum(row["seconds"] for row in history)
    click.echo(
        f"\nbest.keras: epoch {best['epoch']} of {len(history)} ({_duration(trained)}), "
        f"on {run.validation_split}, the split it was chosen on:\n\n{result.table()}\n\n"
        f"written to {run.folder}: best.keras, evaluation.json and the plots"
    )
