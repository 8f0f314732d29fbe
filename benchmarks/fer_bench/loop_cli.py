"""The commands that measure the loop: scene, framing, peers, scaling, growth, recall, preview."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from fer_bench.commands import (
    DETECTORS,
    FILE,
    config_option,
    data_option,
    detector_option,
    finish,
    json_option,
    load_data,
    model_option,
    plot_option,
    progress,
    repeat_option,
    runs_of,
    seed_option,
    split_option,
)
from fer_edge.contract.commands import Command

_detectors = click.option(
    "--detector", "detectors", type=click.Choice(DETECTORS), multiple=True, default=DETECTORS, show_default=True,
    help="Repeatable.",
)  # fmt: skip
_limit = click.option("--limit", type=click.IntRange(1), help="Only a sample of so many, each class with its share.")
_max_frames = click.option(
    "--max-frames", type=click.IntRange(2, 10_000), default=120, show_default=True, help="Of each clip, at most."
)


def _of_pictures(split: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of what shows the pictures of a data set's `split` in scenes."""
    options = (
        data_option, split_option(split), _detectors, model_option, config_option, _limit, seed_option, json_option,
        plot_option, click.pass_obj,
    )  # fmt: skip

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


@click.command(cls=Command)
@_of_pictures("PublicTest")
def scene(arguments: tuple[str, ...], **options: Any) -> None:
    """Say how often the loop is right about faces it has to find in a 640x480 scene.

    \b
    fer-bench scene --data fer2013.csv.gz --json scene.json --plot scene.png
    """
    from fer_bench import scene as benchmark

    _measure_pictures(benchmark, "scene", arguments, passes=lambda detectors: detectors + 1, **options)


@click.command(cls=Command)
@_of_pictures("Training")
def framing(arguments: tuple[str, ...], **options: Any) -> None:
    """Derive the detectors' framing constants from where their boxes fall on FER2013.

    \b
    fer-bench framing --data fer2013.csv.gz --limit 3000 --plot framing.png
    """
    from fer_bench import framing as benchmark

    _measure_pictures(benchmark, "framing", arguments, passes=lambda detectors: 2 * detectors, **options)


@click.command(cls=Command)
@click.option("--clip", "clips", type=FILE, multiple=True, help="A video to compare on; repeatable.")
@click.option("--demo/--no-demo", default=True, show_default=True, help="Compare on the moving demo face.")
@_detectors
@model_option
@_max_frames
@repeat_option(5)
@click.option("--venv", type=FILE, help="Environment of the peer.  [in the user's cache]")
@json_option
@plot_option
@click.pass_obj
def peers(
    arguments: tuple[str, ...], *, clips: tuple[Path, ...], demo: bool, detectors: tuple[str, ...],
    model: Path | None, max_frames: int, repeat: int, venv: Path | None, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Compare the loop with the package `fer`, on the same frames, in turn.

    \b
    fer-bench peers --clip book.mkv --json peers.json --plot peers.png
    """
    from fer_bench import peer_venv
    from fer_bench import peers as benchmark
    from fer_edge.contract.errors import UsageError

    shown = [*([None] if demo else []), *clips]
    if not shown:
        raise UsageError("there is nothing to compare on; give --clip FILE or leave --no-demo away")
    runs = runs_of(None, model, detectors)
    folder = venv or peer_venv.default_folder(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))

    def measured() -> dict[str, Any]:
        python = peer_venv.python_in(folder, say=lambda sentence: click.echo(sentence, err=True))
        with progress(len(shown) * repeat, "peers") as bar:
            return benchmark.measure(
                shown, runs, python, max_frames=max_frames, rounds=repeat, on_round=bar.update
            )  # fmt: skip

    finish(benchmark, "peers", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.option("--data", type=FILE, help="Show FER2013's faces instead of the demo's.")
@split_option("PublicTest")
@detector_option
@model_option
@config_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=15, show_default=True, help="Rounds.")
@json_option
@plot_option
@click.pass_obj
def scaling(
    arguments: tuple[str, ...], *, data: Path | None, split: str, detector: str | None, model: Path | None,
    settings_file: Path | None, repeat: int, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Time the loop with 1, 2, 4, 8 and 16 faces in the frame.

    \b
    fer-bench scaling --json scaling.json --plot scaling.png
    """
    from fer_bench import scaling as benchmark

    (settings,) = runs_of(settings_file, model, [detector])

    def measured() -> dict[str, Any]:
        faces = None if data is None else load_data(data, [settings.model]).split(split)
        with progress(repeat, "scaling") as bar:
            return benchmark.measure(settings, faces, rounds=repeat, on_round=bar.update)

    finish(benchmark, "scaling", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.option("--frames", type=click.IntRange(100), default=100_000, show_default=True, help="How many.")
@detector_option
@model_option
@config_option
@json_option
@plot_option
@click.pass_obj
def growth(
    arguments: tuple[str, ...], *, frames: int, detector: str | None, model: Path | None,
    settings_file: Path | None, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Watch memory over a long run in which a face comes and goes.

    \b
    fer-bench growth --frames 100000 --json growth.json --plot growth.png
    """
    from fer_bench import growth as benchmark

    (settings,) = runs_of(settings_file, model, [detector])

    def measured() -> dict[str, Any]:
        with progress(frames, "growth") as bar:
            return benchmark.measure(settings, frames=frames, on_frames=bar.update)

    finish(benchmark, "growth", arguments, measured, output, drawing)


@click.command(cls=Command)
@click.argument("clips", metavar="CLIP...", type=FILE, nargs=-1, required=True)
@detector_option
@model_option
@config_option
@_max_frames
@json_option
@click.pass_obj
def recall(
    arguments: tuple[str, ...], *, clips: tuple[Path, ...], detector: str | None, model: Path | None,
    settings_file: Path | None, max_frames: int, output: Path | None,
) -> None:  # fmt: skip
    """Compare the loop's faces with YuNet's on every full-resolution frame.

    \b
    fer-bench recall one.mkv four.mkv --json recall.json
    """
    from fer_bench import recall as benchmark

    (settings,) = runs_of(settings_file, model, [detector])

    def measured() -> dict[str, Any]:
        with progress(len(clips), "recall") as bar:
            return benchmark.measure(clips, settings, max_frames=max_frames, on_clip=bar.update)

    finish(benchmark, "recall", arguments, measured, output)


@click.command(cls=Command)
@click.option(
    "--window", "window_s", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds of a window."
)
@detector_option
@model_option
@config_option
@click.option(
    "--repeat", type=click.IntRange(1, 1000), default=40, show_default=True, help="Rounds, of six windows each."
)
@json_option
@plot_option
@click.pass_obj
def preview(
    arguments: tuple[str, ...], *, window_s: float, detector: str | None, model: Path | None,
    settings_file: Path | None, repeat: int, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Say by how much the live page slows the loop, unwatched and with two viewers.

    \b
    fer-bench preview --detector yunet --json preview.json
    """
    from fer_bench import preview as benchmark

    (settings,) = runs_of(settings_file, model, [detector])

    def measured() -> dict[str, Any]:
        with progress(repeat + 1, "preview") as bar:
            return benchmark.measure(settings, window_s=window_s, rounds=repeat, on_round=bar.update)

    finish(benchmark, "preview", arguments, measured, output, drawing)


COMMANDS = (scene, framing, peers, scaling, growth, recall, preview)


def _measure_pictures(
    benchmark: ModuleType, kind: str, arguments: tuple[str, ...], *, passes: Callable[[int], int], data: Path,
    split: str, detectors: tuple[str, ...], model: Path | None, settings_file: Path | None, limit: int | None,
    seed: int, output: Path | None, drawing: Path | None,
) -> None:  # fmt: skip
    """Measure on a data set's pictures, each of which is looked at `passes(detectors)` times."""
    runs = runs_of(settings_file, model, detectors)

    def measured() -> dict[str, Any]:
        loaded = load_data(data, [settings.model for settings in runs])
        pictures = len(loaded.split(split))
        length = min(limit or pictures, pictures) * passes(len(runs))
        with progress(length, split, every=10) as bar:
            return benchmark.measure(loaded, split, runs, limit=limit, seed=seed, on_picture=bar.update)

    finish(benchmark, kind, arguments, measured, output, drawing)
