"""The commands that explain: robustness, ablation, smoothing, predict, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fer_bench.commands import (
    FILE,
    config_option,
    data_option,
    detector_option,
    finish,
    json_option,
    load_data,
    model_option,
    models_option,
    or_shipped,
    plot_option,
    progress,
    repeat_option,
    runs_of,
    seed_option,
    split_option,
)
from fer_edge.contract.commands import Command

PAGE = Path("fer-bench-report.html")


@click.command(cls=Command)
@data_option
@split_option("PublicTest")
@models_option
@json_option
@plot_option
@click.pass_obj
def robustness(
    arguments: tuple[str, ...], *, data: Path, split: str, models: tuple[Path, ...], output: Path | None,
    drawing: Path | None,
) -> None:  # fmt: skip
    """Say what model files lose on boxes that miss, and on blurred, dark and compressed pictures.

    \b
    fer-bench robustness --data fer2013.csv --json robustness.json
    """
    from fer_bench import robustness as benchmark

    chosen = or_shipped(models)

    def measured() -> dict[str, Any]:
        loaded = load_data(data, chosen)
        length = len(loaded.split(split)) * len(chosen) * benchmark.passes()
        with progress(length, split, every=100) as bar:
            return benchmark.measure(loaded, split, chosen, on_picture=bar.update)

    finish(benchmark, "robustness", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.argument("folders", metavar="RUN...", type=FILE, nargs=-1, required=True)
@click.option(
    "--versus", "pairs", metavar="NAME=NAME", multiple=True, help="Compare a recipe with another; repeatable."
)
@click.option("--data", type=FILE, multiple=True, help="Where the runs' data lies now.  [where it lay]")
@json_option
@plot_option
@click.pass_obj
def ablation(
    arguments: tuple[str, ...], *, folders: tuple[Path, ...], pairs: tuple[str, ...], data: tuple[Path, ...],
    output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Say what each ingredient of a training gave, from runs with several seeds.

    \b
    fer-bench ablation runs/with-* runs/without-* --versus with=without
    """
    from fer_bench import ablation as benchmark
    from fer_edge.contract.errors import UsageError
    from fer_train.commands import import_keras

    if wrong := [pair for pair in pairs if len(pair.split("=")) != 2]:
        raise UsageError(f"--versus {wrong[0]} is not of the form NAME=NAME, both of them names of recipes")
    rows = benchmark.variants(folders)

    def measured() -> dict[str, Any]:
        loaded = rows[0].runs[0].load(*data)
        import_keras(None)
        with progress(sum(len(row.runs) for row in rows), "networks") as bar:
            return benchmark.measure(rows, dict(pair.split("=") for pair in pairs), loaded, on_network=bar.update)

    finish(benchmark, "ablation", arguments, measured, output, drawing)


@click.command(cls=Command)
@data_option
@split_option("PublicTest")
@model_option
@config_option
@click.option("--minutes", type=click.FloatRange(0.5, 600), default=20, show_default=True, help="Of each sequence.")
@click.option("--fps", type=click.FloatRange(1, 240), default=15, show_default=True, help="Frames a second.")
@seed_option
@json_option
@plot_option
@click.pass_obj
def smoothing(
    arguments: tuple[str, ...], *, data: Path, split: str, model: Path | None, settings_file: Path | None,
    minutes: float, fps: float, seed: int, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Weigh wrong switches against delay, at several settings of the smoothing.

    \b
    fer-bench smoothing --data fer2013.csv --json smoothing.json
    """
    from fer_bench import smoothing as benchmark

    (settings,) = runs_of(settings_file, model, [None])

    def measured() -> dict[str, Any]:
        loaded = load_data(data, [settings.model])
        with progress(len(loaded.split(split)), split, every=100) as bar:
            return benchmark.measure(
                loaded, split, settings, minutes=minutes, fps=fps, seed=seed, on_picture=bar.update
            )  # fmt: skip

    finish(benchmark, "smoothing", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.option("--clip", type=FILE, help="A video instead of the moving demo face.")
@detector_option
@model_option
@config_option
@click.option("--max-frames", type=click.IntRange(2, 10_000), default=120, show_default=True, help="At most.")
@repeat_option(9)
@json_option
@plot_option
@click.pass_obj
def predict(
    arguments: tuple[str, ...], *, clip: Path | None, detector: str | None, model: Path | None,
    settings_file: Path | None, max_frames: int, repeat: int, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Predict the loop's speed on Raspberry Pi 5, 4 and Zero 2 W from ratios here.

    \b
    fer-bench predict --json predict.json --plot predict.png
    """
    from fer_bench import predict as benchmark

    (settings,) = runs_of(settings_file, model, [detector])

    def measured() -> dict[str, Any]:
        with progress(repeat, "predict") as bar:
            return benchmark.measure(clip, settings, max_frames=max_frames, rounds=repeat, on_round=bar.update)

    finish(benchmark, "predict", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.argument("paths", metavar="[RESULT.json]...", type=FILE, nargs=-1)
@click.option("-o", "--output", type=FILE, default=PAGE, show_default=True, help="File to write, .html.")
@models_option
@click.option("--clip", type=FILE, help="A video instead of the moving demo face.")
@click.option("--max-frames", type=click.IntRange(2, 10_000), default=150, show_default=True, help="Of it, at most.")
@repeat_option(5)
@click.pass_obj
def report(
    arguments: tuple[str, ...], *, paths: tuple[Path, ...], output: Path, models: tuple[Path, ...],
    clip: Path | None, max_frames: int, repeat: int,
) -> None:  # fmt: skip
    """Measure this machine and write one HTML file about it, to keep or to send in.

    Given RESULT.json files it shows those instead of measuring.

    \b
    fer-bench report
    fer-bench report benchmarks/results/*.json -o results.html
    """
    from fer_bench import report as benchmark
    from fer_bench import results
    from fer_bench.environment import environment
    from fer_edge.contract.errors import UsageError

    if output.suffix != ".html":
        raise UsageError(f"-o {output} does not end in .html; give the page such a name")
    results.check_writable(output, option="-o")
    missing: list[str] = []
    if paths:
        found, health = [results.read(path) for path in paths], None
    else:
        if clip is not None and not clip.is_file():
            raise UsageError(f"{clip} is not a file; give a video with --clip")
        before = benchmark.health()
        found, missing = benchmark.measure(
            environment(arguments), or_shipped(models), clip, rounds=repeat, max_frames=max_frames,
            on_part=lambda part: click.echo(f"measuring: {part}", err=True),
        )  # fmt: skip
        health = {"before": before, "after": benchmark.health()}
    benchmark.write(output, found, missing=missing, health=health)
    for sentence in missing:
        click.echo(sentence, err=True)
    click.echo(f"written to {output}, and as JSON to {output.with_suffix('.json')}")


COMMANDS = (robustness, ablation, smoothing, predict, report)
