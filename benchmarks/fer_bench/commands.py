"""What the commands of `fer-bench` share: options, settings, the bar, and what becomes of a result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from fer_edge.contract import shipped

if TYPE_CHECKING:
    from fer_edge.service.config import Settings
    from fer_train.datasets import Dataset

FILE = click.Path(path_type=Path)
DETECTORS = ("yunet", "haar")


def split_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--split`, of a data set."""
    return click.option("--split", default=default, show_default=True, help="Which of its splits.")


def repeat_option(default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--repeat`, of a measurement."""
    return click.option(
        "--repeat", type=click.IntRange(1, 1000), default=default, show_default=True, help="Rounds; medians are shown."
    )


detector_option = click.option("--detector", type=click.Choice(["auto", *DETECTORS]), help="As of fer-edge run.")
model_option = click.option("--model", type=FILE, help="An int8 model file, mini or plus.  [mini]")
models_option = click.option(
    "--model", "models", type=FILE, multiple=True, help="Model file, mini or plus; repeatable.  [mini]"
)
config_option = click.option("--config", "settings_file", type=FILE, help="Settings of fer-edge, in TOML.")
data_option = click.option("--data", type=FILE, required=True, help="FER2013: CSV, .csv.gz, image folder or zip.")
seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of sample and scenes.")
json_option = click.option("--json", "output", type=FILE, help="Write the result there, too.")
plot_option = click.option("--plot", "drawing", type=FILE, help="Draw it into this PNG.")


def runs_of(settings_file: Path | None, model: Path | None, detectors: Sequence[str | None]) -> list[Settings]:
    """Settings of fer-edge, one for each detector."""
    from fer_edge.service import config

    flags = {"model": model and str(model)}
    return [config.load(settings_file, flags={**flags, "detector": detector}) for detector in detectors]


def or_shipped(models: tuple[Path, ...]) -> tuple[Path, ...]:
    """The model files that were given, the shipped ones by their names, or the default one."""
    return tuple(shipped.model_path(str(model)) for model in models) or (shipped.shipped_model(),)


def load_data(data: Path, models: Sequence[Path | str]) -> Dataset:
    """A data set, its pictures in the size of the smallest of these networks, so that all see the same.

    Args:
        data: as of fer-train.
        models: model files, or names of settings.
    """
    from fer_train import datasets

    return datasets.load(data, reading=datasets.Reading(side=smallest_side(models)))


def smallest_side(models: Sequence[Path | str]) -> int:
    """Width and height of the smallest network's input, in pixels."""
    from fer_edge.contract import model_file

    return min(model_file.read(shipped.model_path(str(model))).side for model in models)


def progress(length: int, label: str, *, every: int = 1) -> AbstractContextManager[Any]:
    """A bar on stderr, drawn anew after `every` steps."""
    return click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=every)


def finish(
    benchmark: ModuleType, kind: str, arguments: tuple[str, ...], measured: Callable[[], dict[str, Any]],
    output: Path | None, drawing: Path | None = None, *, paths: tuple[Path, ...] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, show the table, write the result, draw it; return the result.

    Args:
        benchmark: has `table(result)`, or `table(result, paths)` where those are given, and `plot(path, result)`
            where `drawing` can be.
        kind: of the result.
        arguments: of the command.
        measured: gives the result's content.
        output: file to write the result to.
        drawing: PNG to draw it into.
        paths: of the result's models, as people gave them.

    Raises:
        UsageError: a file could not be written.
    """
    from fer_bench import results
    from fer_bench.environment import environment

    results.check_writable(output)
    results.check_writable(drawing, option="--plot")
    before = environment(arguments)
    result = results.result(kind, before, **measured())
    click.echo(benchmark.table(result) if paths is None else benchmark.table(result, paths))
    if output is not None:
        results.write(output, result)
        click.echo(f"written to {output}", err=True)
    if drawing is not None:
        benchmark.plot(drawing, result)
        click.echo(f"drawn into {drawing}", err=True)
    return result
