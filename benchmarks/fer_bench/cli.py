"""`fer-bench`: accuracy, latency, pipeline, environment, readme, and the commands of `loop_cli` and `report_cli`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from fer_bench import loop_cli, report_cli
from fer_bench.soak.cli import soak
from fer_edge import __version__
from fer_edge.contract.commands import Group
from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import write_text
from fer_train.data_options import reading_of, reading_options

FILE = click.Path(path_type=Path)


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


_models = click.option("--model", "models", type=FILE, multiple=True, help="Model file; repeatable.  [the shipped one]")
_json = click.option("--json", "output", type=FILE, help="Write the result there, too.")


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
@_models
@_json
@click.pass_obj
def accuracy(
    arguments: tuple[str, ...], *, data: tuple[Path, ...], split: str, seed: int, asked: dict[str, Any],
    models: tuple[Path, ...], output: Path | None,
) -> None:  # fmt: skip
    """Say how often model files are right, and compare them with the first.

    \b
    fer-bench accuracy --data fer2013.csv.gz --model float32.tflite --model int8.tflite
    """
    from fer_bench import accuracy as benchmark
    from fer_bench import results
    from fer_bench.environment import environment
    from fer_edge.contract import model_file
    from fer_train import datasets

    results.check_writable(output)
    before = environment(arguments)
    models = models or _shipped()
    # Pictures of a folder are read in the size of the network, for a smaller one would lose what it looks at.
    side = min(model_file.read(path).side for path in models)
    loaded = datasets.load(*data, reading=reading_of(asked, side))
    if ":" in split:
        loaded, _, split = datasets.divide(loaded, split, seed)
    length = len(loaded.split(split)) * len(models)
    with click.progressbar(length=length, label=split, file=sys.stderr, update_min_steps=100) as bar:
        content = benchmark.measure(loaded, split, models, on_picture=bar.update)
    click.echo(benchmark.table(content, models))
    _write(output, results.result("accuracy", before, **content))


@main.command()
@_models
@click.option("--threads", default="1", show_default=True, metavar="N,N…", help="Numbers of threads to try.")
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Turns of each.")
@click.option("--invokes", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Invokes a turn.")
@_json
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
    from fer_bench import results
    from fer_bench.environment import environment

    results.check_writable(output)
    before = environment(arguments)
    models = models or _shipped()
    counts = _thread_counts(threads)
    with click.progressbar(length=rounds, label="latency", file=sys.stderr) as bar:
        content = benchmark.measure(models, counts, rounds=rounds, invokes=invokes, on_round=bar.update)
    click.echo(benchmark.table(content, models))
    _write(output, results.result("latency", before, **content))


@main.command()
@click.argument("clip", type=FILE)
@click.option("--detector", type=click.Choice(["auto", "haar", "yunet"]), help="As of fer-edge run.")
@click.option("--model", type=FILE, help="An int8 model file.  [the shipped one]")
@click.option("--config", "settings_file", type=FILE, help="Settings of fer-edge, in TOML.")
@click.option("--max-frames", type=click.IntRange(1, 10_000), default=300, show_default=True, help="Use at most.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rounds; medians are shown.")
@_json
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
    from fer_bench import results
    from fer_bench.environment import environment

    results.check_writable(output)
    before = environment(arguments)
    with click.progressbar(length=2 * repeat, label=clip.name, file=sys.stderr) as bar:
        content = benchmark.measure(
            clip, detector=detector, model=model, settings_file=settings_file,
            max_frames=max_frames, rounds=repeat, on_round=bar.update,
        )  # fmt: skip
    click.echo(benchmark.table(content))
    _write(output, results.result("pipeline", before, **content))


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


def _shipped() -> tuple[Path]:
    from fer_edge.expressions.litert import shipped_model

    return (shipped_model(),)


def _thread_counts(text: str) -> list[int]:
    counts = [int(part) if part.isdecimal() and len(part) < 3 else 0 for part in text.split(",")]
    if not all(1 <= count <= 64 for count in counts) or len(set(counts)) != len(counts):
        raise UsageError(f"--threads {text} is not a list of different numbers from 1 to 64, such as 1,2")
    return counts


def _write(output: Path | None, result: dict[str, Any]) -> None:
    from fer_bench import results

    if output is not None:
        results.write(output, result)
        click.echo(f"written to {output}", err=True)
