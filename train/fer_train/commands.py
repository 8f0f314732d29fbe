"""What the commands of `fer-train` share: where runs go, reading data aloud, and Keras imported once and quietly."""

from __future__ import annotations

import itertools
import math
import os
from importlib.util import find_spec
from pathlib import Path

import click

from fer_edge.contract.errors import MissingExtraError, UsageError
from fer_train.datasets import Dataset, Reading, check_label_map, load
from fer_train.quiet import quiet
from fer_train.runs import RUNS, Run


def run_folder(folder: Path | None, name: str | None, default: str) -> Path:
    """`folder`, or runs/`name`, or runs/`default` with a number where that is taken.

    Raises:
        UsageError: `name` is no plain name.
    """
    if folder:
        return folder
    if name:
        if name in ("", ".", "..") or name != Path(name).name:
            raise UsageError(f"--name {name} is no plain name; --run takes a path")
        return RUNS / name
    return next(
        wanted
        for number in itertools.count(1)
        if not (wanted := RUNS / (default if number == 1 else f"{default}-{number}")).exists()
    )


def require_extra() -> None:
    """Refuse early where Keras is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    # Importing Keras takes seconds, finding it none: ask before the data is read.
    if find_spec("keras") is None:
        raise MissingExtraError("fer-train", "train")


def import_keras(threads: int | None) -> None:
    """Import Keras without its chatter, on so many CPU threads; None takes all.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    # TensorFlow reads both once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    try:
        with quiet(replay=True):
            import keras  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("fer-train", "train") from error


def load_data(sources: tuple[Path, ...], reading: Reading) -> Dataset:
    """`datasets.load`, said on stderr."""
    click.echo(f"reading {', '.join(map(str, sources))}", err=True)
    check_label_map(reading, *sources)
    # The run remembers where its data is, whatever folder it is resumed from.
    return load(*(source.resolve() for source in sources), reading=reading)


def load_of(run: Run, instead: tuple[Path, ...]) -> Dataset:
    """`Run.load`, said on stderr."""
    click.echo(f"reading {', '.join(map(str, instead or run.sources))}", err=True)
    return run.load(*(source.resolve() for source in instead))


def duration(seconds: float) -> str:
    """A time for people, to the minute."""
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
