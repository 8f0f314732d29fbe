"""`fer-bench`: accuracy, latency, pipeline, environment, readme, and the commands of `loop_cli` and `report_cli`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from fer_bench import loop_cli, report_cli
from fer_bench.commands import (
    FILE,
    config_option,
    detector_option,
    finish,
    json_option,
    model_option,
    models_option,
    or_shipped,
    progress,
    repeat_option,
    smallest_side,
)
from fer_bench.soak.cli import soak
from fer_edge import __version__
from fer_edge.contract.commands import Group
from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import write_text
from fer_train.data_options import reading_of, reading_options


class _Recorded(Group):
    """Keeps the command as it was given, for the result file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)


@click.group(cls=_Recorded, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fer-bench")
def main() -> None:
    """Measure what recognition costs and how often it is right.

    \b
    fer-bench accuracy --data fer2013.csv.gz
    fer-bench pipeline clip.mkv --json benchmarks/results/pipeline-clip-yunet.json
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s")


@main.command()
@click.option("--data", type=FILE, multiple=True, required=True, help="As of fer-train; repeatable.")
@click.option(
    "--split",
    default="PublicTest",
    show_default=True,
    help="Or what fer-train --split KIND:F validates on.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of such a division.")
@reading_options
@models_option
@json_option
@click.pass_obj
def accuracy(
    arguments: tuple[str, ...], *, data: tuple[Path, ...], split: str, seed: int, asked: dict[str, Any],
    models: tuple[Path, ...], output: Path | None,
) -> None:  # fmt: skip
    """Say how often model files are right, and compare them with the first.

    \b
    fer-bench accuracy --data fer2013.csv --model a.tflite --model b.tflite
    """
    from fer_bench import accuracy as benchmark
    from fer_train import datasets

    chosen = or_shipped(models)

    def measured() -> dict[str, Any]:
        reading = reading_of(asked, smallest_side(chosen))
        datasets.check_label_map(reading, *data)
        loaded, name = datasets.load(*data, reading=reading), split
        if ":" in split:
            loaded, _, name = datasets.divide(loaded, split, seed)
        with progress(len(loaded.split(name)) * len(chosen), name, every=100) as bar:
            return benchmark.measure(loaded, name, chosen, on_picture=bar.update)

    finish(benchmark, "accuracy", arguments, measured, output, paths=chosen)


@main.command()
@models_option
@click.option("--threads", default="1", show_default=True, metavar="N,N…", help="Numbers of threads to try.")
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Turns of each.")
@click.option("--invokes", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Invokes a turn.")
@json_option
@click.pass_obj
def latency(
    arguments: tuple[str, ...], *, models: tuple[Path, ...], threads: str, rounds: int, invokes: int,
    output: Path | None,
) -> None:  # fmt: skip
    """Time the classifier alone, on its golden inputs and on noise.

    \b
    fer-bench latency --model float32.tflite --model int8.tflite --threads 1,2
    """
    from fer_bench import latency as benchmark

    chosen, counts = or_shipped(models), _thread_counts(threads)

    def measured() -> dict[str, Any]:
        with progress(rounds, "latency") as bar:
            return benchmark.measure(chosen, counts, rounds=rounds, invokes=invokes, on_round=bar.update)

    finish(benchmark, "latency", arguments, measured, output, paths=chosen)


@main.command()
@click.argument("clip", type=FILE)
@detector_option
@model_option
@config_option
@click.option("--max-frames", type=click.IntRange(1, 10_000), default=300, show_default=True, help="Use at most.")
@repeat_option(5)
@json_option
@click.pass_obj
def pipeline(
    arguments: tuple[str, ...], *, clip: Path, detector: str | None, model: Path | None, settings_file: Path | None,
    max_frames: int, repeat: int, output: Path | None,
) -> None:  # fmt: skip
    """Time the whole loop on CLIP, stage by stage and as a fresh process.

    \b
    fer-bench pipeline clip.mkv --detector yunet --json pipeline-clip-yunet.json
    """
    from fer_bench import pipeline as benchmark

    def measured() -> dict[str, Any]:
        with progress(2 * repeat, clip.name) as bar:
            return benchmark.measure(
                clip, detector=detector, model=model, settings_file=settings_file,
                max_frames=max_frames, rounds=repeat, on_round=bar.update,
            )  # fmt: skip

    finish(benchmark, "pipeline", arguments, measured, output)


@main.command("environment")
@click.pass_obj
def show_environment(arguments: tuple[str, ...]) -> None:
    """Print what results say about this machine, as JSON.

    \b
    fer-bench environment
    """
    from fer_bench.environment import environment

    click.echo(json.dumps(environment(arguments), indent=2))


@main.command()
@click.argument("paths", metavar="[FILE]...", type=FILE, nargs=-1)
@click.option(
    "--results", "folder", type=FILE, default=Path("benchmarks/results"), show_default=True, help="Where results lie."
)
@click.option("--check", is_flag=True, help="Rewrite nothing; exit 1 where a figure is stale.")
def readme(paths: tuple[Path, ...], folder: Path, check: bool) -> None:
    """Rewrite the figures in README.md and the model card from the result files.

    \b
    fer-bench readme --check
    """
    from fer_bench import readme as figures

    stale = []
    for path in paths or figures.PAGES:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read ({error}); run this in the checkout or name a file") from error
        try:
            old = figures.stale(text, folder)
            if old and not check:
                write_text(path, figures.render(text, folder))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        if old:
            stale.append(f"{path}: {', '.join(old)}")
        click.echo(f"{path}: {'stale' if check else 'rewrote'} {', '.join(old)}" if old else f"{path}: up to date")
    if check and stale:
        raise DataError(f"figures are stale ({'; '.join(stale)}); run: fer-bench readme")


for _command in (*loop_cli.COMMANDS, *report_cli.COMMANDS, soak):
    main.add_command(_command)


def _thread_counts(text: str) -> list[int]:
    counts = [int(part) if part.isdecimal() and len(part) < 3 else 0 for part in text.split(",")]
    if not all(1 <= count <= 64 for count in counts) or len(set(counts)) != len(counts):
        raise UsageError(f"--threads {text} is not a list of different numbers from 1 to 64, such as 1,2")
    return counts
