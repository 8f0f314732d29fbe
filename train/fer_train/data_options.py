"""The options by which the commands say what to read, and how."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fer_train.datasets import Reading

FILE = click.Path(path_type=Path)

_OPTIONS = (
    click.option(
        "--labels", metavar="KIND",
        help="fer2013, ferplus (FER+ majority, 8 classes), ferplus-soft (their distribution), blend:W (both).",
    ),
    click.option("--votes", metavar="FILE", type=FILE, help="FER+'s fer2013new.csv.  [beside the data]"),
    click.option(
        "--label-map", metavar="FILE", type=FILE, help='TOML lines class = "label"; "" leaves it out.'
    ),
    click.option(
        "--clean", metavar="PART,PART…",
        help="Leave out copies, leaks (copies of other splits), no-face (as FER+ says).",
    ),
    click.option("--grey", metavar="KIND", help="Colour to grey by bt601, as cameras do, or bt709."),
)  # fmt: skip


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--labels`, `--votes`, `--label-map`, `--clean` and `--grey`; the command gets those given as `asked`."""

    @functools.wraps(command)
    def collected(*args: Any, **given: Any) -> Any:
        names = ("labels", "votes", "label_map", "clean", "grey")
        asked = {name: value for name in names if (value := given.pop(name)) is not None}
        return command(*args, asked=asked, **given)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def reading_of(asked: dict[str, Any], side: int) -> Reading:
    """What the options asked for, with pictures of `side` pixels.

    Raises:
        UsageError: a value is none of those that there are, or the label map cannot be read.
    """
    from fer_train.datasets.reading import Reading, read_label_map

    values: dict[str, Any] = {**asked, "side": side}
    if "votes" in asked:
        # A run remembers where its votes are, whatever folder it is resumed from.
        values["votes"] = str(asked["votes"].resolve())
    if "label_map" in asked:
        values["label_map"] = read_label_map(asked["label_map"])
    if "clean" in asked:
        values["clean"] = tuple(part.strip() for part in asked["clean"].split(","))
    return Reading(**values)
