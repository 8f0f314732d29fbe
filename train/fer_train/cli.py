"""`fer-train`: from a recipe and FER2013 to a run folder with trained weights and their evaluation."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from fer_edge.contract.commands import EXIT_INTERRUPTED, Group
from fer_edge.contract.errors import UsageError
from fer_train import compare, inspection, label_sets, search, zoo
from fer_train import recipe as recipes
from fer_train.commands import duration, import_keras, load_data, load_of, require_extra, run_folder
from fer_train.data_options import FILE, reading_of, reading_options
from fer_train.datasets import Dataset
from fer_train.datasets.splits import USAGE, divide, parse_division
from fer_train.interruption import interruption
from fer_train.networks import Kin, check_given, find_networks, learned_before, prepared, to_train
from fer_train.runs import WEIGHTS, Run, check_free, create_run, open_run

DEFAULT_RECIPE = "mini_xception"
DEFAULT_SEED = 1


@click.group(cls=Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-edge", prog_name="fer-train")
@click.option("--recipe", metavar="NAME|FILE", help=f"A shipped one or a .toml file.  [default: {DEFAULT_RECIPE}]")
@click.option("--data", type=FILE, multiple=True, help="FER2013 as CSV(.gz), class folders, their zip; repeatable.")
@reading_options
@click.option("--name", metavar="NAME", help="Run folder runs/NAME.  [default: RECIPE-SEED]")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Run folder, anywhere.")
@click.option("--epochs", metavar="N", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0, max=2**32 - 1), help=f"[default: {DEFAULT_SEED}]")
@click.option(
    "--split",
    metavar="KIND[:F]",
    help="usage (FER2013's own), or a share to validate on: random:F, stratified:F, subject:F.  [default: usage]",
)
@click.option(
    "--teacher",
    metavar="RUN|FILE",
    type=click.Path(path_type=Path),
    help="Learn from it.  [default: newest run of what is named]",
)
@click.option(
    "--start",
    metavar="RUN|FILE",
    type=click.Path(path_type=Path),
    help="Begin with these weights.  [default: likewise]",
)
@click.option("--chain", is_flag=True, default=None, help="First train what the recipe names and runs/ lacks.")
@click.option(
    "--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads of TensorFlow.  [default: all cores]"
)
@click.option(
    "--devices", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
    help="GPUs to split every batch between; more than one needs Keras on JAX.",
)  # fmt: skip
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path),
    help="Continue a run; Ctrl-C keeps its complete epochs.",
)  # fmt: skip
@click.option(
    "--report", metavar="RUN", type=click.Path(path_type=Path), help="Write a run's evaluation and plots anew."
)
@click.option("--list", "listed", is_flag=True, help="List the shipped recipes.")
@click.option("--markdown", is_flag=True, help="With --list: a table for documents.")
@click.option(
    "--measured", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True,
    help="With --list: a result of fer-bench accuracy; repeatable.",
)  # fmt: skip
@click.pass_context
def main(
    context: click.Context, *, recipe: str | None, data: tuple[Path, ...], asked: dict[str, Any], name: str | None,
    folder: Path | None, epochs: int | None, seed: int | None, split: str | None, teacher: Path | None,
    start: Path | None, chain: bool | None, threads: int | None, devices: int, resume: Path | None,
    report: Path | None, listed: bool, markdown: bool, measured: tuple[Path, ...],
) -> None:  # fmt: skip
    """Train a small expression network on FER2013.

    \b
    fer-train --recipe mini --data fer2013.csv --chain
    """
    new = {
        "--recipe": recipe, "--name": name, "--run": folder, "--epochs": epochs, "--seed": seed, "--split": split,
        "--teacher": teacher, "--start": start, "--chain": chain,
        **{f"--{key.replace('_', '-')}": value for key, value in asked.items()},
    }  # fmt: skip
    if context.invoked_subcommand:
        given = [flag for flag, value in new.items() if value is not None]
        if given or data or resume or report or listed:
            raise UsageError(f"options of a training do not go with {context.invoked_subcommand}; give them behind it")
        return
    _refuse_mixed(new, resume=resume, report=report, listed=listed)
    if listed:
        click.echo(zoo.markdown(measured) if markdown else zoo.table(measured))
        return
    if markdown or measured:
        raise UsageError("--markdown and --measured say how to list the recipes; give --list too")
    if report:
        _report(report, data)
    elif resume:
        _resume(resume, data, threads, devices)
    else:
        _new(
            recipe=recipe or DEFAULT_RECIPE, sources=data, asked=asked, folder=folder, name=name, epochs=epochs,
            seed=DEFAULT_SEED if seed is None else seed, division=split or USAGE, threads=threads, devices=devices,
            given={"start": start, "teacher": teacher}, chain=bool(chain),
        )  # fmt: skip


def run() -> None:
    """The command `fer-train` as a process of its own."""
    try:
        main()
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:
            # TensorFlow's threads that prepare the next batches wait for Python, and Python, as it ends, for them.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED)
        raise


main.add_command(compare.command)
main.add_command(search.command)
main.add_command(inspection.command)


def _new(
    *, recipe: str, sources: tuple[Path, ...], asked: dict[str, Any], folder: Path | None, name: str | None,
    epochs: int | None, seed: int, division: str, threads: int | None, devices: int,
    given: dict[str, Path | None], chain: bool,
) -> None:  # fmt: skip
    wanted = recipes.load(recipe)
    if epochs:
        wanted = dataclasses.replace(wanted, training=dataclasses.replace(wanted.training, epochs=epochs))
    if not sources:
        raise UsageError("--data is missing; give the file or folder that holds FER2013")
    parse_division(division)
    reading = reading_of(asked, wanted.side)
    require_extra()
    # Without a name the free one is looked for again once the data is read: another run may have begun.
    place = functools.partial(run_folder, folder, name, f"{wanted.name}-{seed}")
    check_free(place())
    check_given(wanted, given)
    data = load_data(sources, reading)
    kin = Kin(data.labels, division, seed, epochs)
    # What was given is looked at before hours of training, not behind them.
    find_networks(wanted, {role: path for role, path in given.items() if path}, kin)
    # Looked for anew each time: what is trained for one of them may be another one too.
    while chain and (missing := to_train(wanted, given, kin)):
        earlier, begun = missing
        click.echo(f"recipe {wanted.name} needs {earlier}: {f'continuing {begun}' if begun else 'training it first'}")
        if begun:
            _resume(begun, sources, threads, devices)
        else:
            _new(
                recipe=earlier, sources=sources, asked=asked, folder=None, name=None, epochs=epochs, seed=seed,
                division=division, threads=threads, devices=devices, given=dict.fromkeys(given), chain=True,
            )  # fmt: skip
    networks = find_networks(wanted, given, kin)
    for role, path in networks.items():
        click.echo(f"{role}: {path}{learned_before(path, data, division)}")
    import_keras(threads)
    from fer_train import models
    from fer_train.devices import use_devices

    use_devices(devices, batch_size=wanted.training.batch_size)
    # A recipe whose network cannot be built, or not with what it builds on, must not leave a run folder behind.
    built = models.build(**wanted.model, classes=len(data.labels), side=wanted.side)
    converted = {}
    if networks:
        divided, training, _ = divide(data, division, seed)
        converted = prepared(networks, wanted, built, divided.split(training).images)
    run = create_run(
        place(), wanted, data, seed=seed, division=division, threads=threads or os.cpu_count(), networks=networks,
        converted=converted,
    )  # fmt: skip
    with run.locked():
        _train(run, run.divided(data))


def _resume(folder: Path, source: tuple[Path, ...], threads: int | None, devices: int) -> None:
    run = open_run(folder)
    require_extra()
    with run.locked():
        data = load_of(run, source)
        # Sums over another number of threads round differently.
        import_keras(threads or run.threads)
        from fer_train.devices import use_devices

        use_devices(devices, batch_size=run.recipe.training.batch_size)
        _train(run, data)


def _report(folder: Path, source: tuple[Path, ...]) -> None:
    run = open_run(folder)
    require_extra()
    data = load_of(run, source)
    import_keras(None)
    _evaluate(run, data)


def _refuse_mixed(new: dict[str, Any], **modes: Any) -> None:
    chosen = [f"--{'list' if mode == 'listed' else mode}" for mode, value in modes.items() if value]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined; give one of them")
    given = [flag for flag, value in new.items() if value is not None]
    if chosen and given:
        raise UsageError(f"{given[0]} is for a new run and cannot be combined with {chosen[0]}; leave it out")
    if new["--name"] == "":
        raise UsageError("--name is empty; give the run a name, or leave it out")
    if new["--name"] is not None and new["--run"] is not None:
        raise UsageError("--name and --run both name the run folder; give one of them")


def _train(run: Run, data: Dataset) -> None:
    from fer_train.fit import fit

    # Behind `interruption`, while the report is written, SIGTERM ends it as Ctrl-C does.
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
        f"epoch {best['epoch']}), {row['seconds']:.0f} s, {duration(left)} left"
    )
    sys.stdout.flush()


def _evaluate(run: Run, data: Dataset) -> None:
    from fer_train.report import PAGE, write_report

    result = write_report(run, data)
    history = run.history()
    trained = sum(row["seconds"] for row in history)
    click.echo(
        f"\n{WEIGHTS}: {run.best_in_words()} ({duration(trained)}), "
        f"on {run.validation_split}, the split it was chosen on:\n\n{result.table()}\n\n"
        f"written to {run.folder}: {WEIGHTS}, evaluation.json, and {PAGE} with everything to look at"
    )
    if label_sets.has_both(run):
        click.echo(f"\non either label set (label_sets.json):\n\n{label_sets.table(label_sets.measure(run))}")
