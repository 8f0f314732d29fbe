"""What recipes there are, where each comes from, and how well it does: the source's figure and ours apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import DataError
from fer_train import recipe as recipes
from fer_train.recipe import Recipe

OURS = ("float32", "int8")
"""Kinds of model files that a result may hold figures of."""


def table(measured: Sequence[Path] = ()) -> str:
    """The shipped recipes as aligned columns, for a terminal.

    Args:
        measured: results of `fer-bench accuracy --json`; without any there are no columns of ours.

    Raises:
        DataError: one is no such result, or two are of different pictures.
    """
    lines = _rows(_figures(measured))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    sources = [f"{one.name.ljust(widths[0])}  {one.title}. {one.source}." for one in _shipped()]
    note = "published: what the source says of its own network, not measured by this project"
    return "\n".join([*rows, "", *sources, "", note])


def markdown(measured: Sequence[Path] = ()) -> str:
    """The same as a table in Markdown, with the sources and what was measured below it.

    Args:
        measured: as for `table`.

    Raises:
        DataError: as `table`.
    """
    figures = _figures(measured)
    head, *rows = _rows(figures)
    right = {"input", "epochs", *(column for column in head if "%" in column)}
    lines = [_line(head), _line(["--:" if column in right else "---" for column in head]), *map(_line, rows)]
    notes = [
        "*Published* is what the source says of its own network on its own split; nobody here has measured it. "
        "*Ours* is what this project measured of its own training. They share no column because they are not of "
        "the same pictures."
    ]
    if figures:
        data = figures[0]["data"]
        machines = dict.fromkeys(f"{one['date'][:10]}, {one['machine']['cpu']}" for one in figures)
        notes.append(
            f"Ours: {data['split']} of `{data['file']}`, {data['pictures']:,} pictures; {'; '.join(machines)}. Where "
            "the best epoch was chosen on these pictures, that flatters its figure. A dash: no result file has it yet."
        )
    sources = [f"- `{one.name}`: {one.title}. {one.source}." for one in _shipped()]
    return "\n".join([*lines, "", *(f"{note}\n" for note in notes), *sources])


def _shipped() -> list[Recipe]:
    return [recipes.load(name) for name in recipes.shipped()]


def _rows(figures: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    ours = (*(f"ours {kind}, %" for kind in OURS), "lowest recall, %") if figures else ()
    head = ("recipe", "architecture", "input", "epochs", "published, %", "published on", *ours)
    lines: list[tuple[str, ...]] = [head]
    for one in _shipped():
        published = one.published_accuracy
        lines.append(
            (
                one.name,
                one.model["architecture"],
                f"{one.side}x{one.side}",
                str(one.training.epochs),
                "-" if published is None else f"{published:g}",
                "-" if published is None else one.published_on,
                *(_ours(figures, one.name) if figures else ()),
            )
        )
    return lines


def _ours(figures: Sequence[dict[str, Any]], name: str) -> list[str]:
    """Accuracy of each kind, and of the last one the recall of the class that it finds the least."""
    found = {}
    for result in figures:
        for entry in result["results"]:
            model = result["models"][entry["model"]]
            if model["name"] == name:
                found[model["quantization"]] = entry["evaluation"]
    shares = [found[kind]["accuracy"] if kind in found else None for kind in OURS]
    classes = found.get(OURS[-1], {}).get("classes", {})
    shares.append(min((one["recall"] for one in classes.values() if one["support"]), default=None))
    return ["-" if share is None else f"{100 * share:.2f}" for share in shares]


def _figures(measured: Sequence[Path]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in measured:
        figures = _result(path)
        # Accuracies on different pictures say nothing beside each other.
        if found and _pictures(figures) != _pictures(found[0]):
            raise DataError(f"{path} was measured on other pictures than {measured[0]}; list them one by one")
        found.append(figures)
    return found


def _pictures(figures: dict[str, Any]) -> tuple[str, str, int]:
    data = figures["data"]
    return data["sha256"], data["split"], data["pictures"]


def _result(path: Path) -> dict[str, Any]:
    try:
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if figures["kind"] == "accuracy" and _pictures(figures):
            return figures
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{path} is no result of fer-bench accuracy; make one with fer-bench accuracy --json FILE")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
