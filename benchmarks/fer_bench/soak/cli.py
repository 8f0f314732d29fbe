"""`fer-bench soak`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from fer_bench.commands import finish, json_option, plot_option
from fer_bench.soak import PROMISES, SCENARIOS, row
from fer_edge.contract.commands import Command
from fer_edge.contract.errors import QualityError, UsageError


@click.command(cls=Command)
@click.option("--scale", type=click.FloatRange(0.001, 1.0), default=1.0, show_default=True, help="Share of attempts.")
@click.option(
    "--only", type=click.Choice(tuple(SCENARIOS)), metavar="NAME", multiple=True,
    help=f"Repeatable: {', '.join(SCENARIOS)}.  [all]",
)  # fmt: skip
@json_option
@plot_option
@click.pass_obj
def soak(
    arguments: tuple[str, ...], *, scale: float, only: tuple[str, ...], output: Path | None, drawing: Path | None
) -> None:
    """Break what may break, and see whether it heals; exit 1 where a promise was not kept.

    \b
    fer-bench soak --json reliability.json --plot reliability.png
    fer-bench soak --only camera-faults --scale 0.05
    """
    from fer_bench.soak import report

    def measured() -> dict[str, Any]:
        return report.content([_row(name, scale) for name in only or SCENARIOS], scale=scale)

    result = finish(report, "reliability", arguments, measured, output, drawing)
    broken = [each["name"] for each in result["scenarios"] if each.get("kept") is False]
    if broken:
        raise QualityError(f"not all promises were kept: {', '.join(broken)}; the table shows what was seen")


def _row(name: str, scale: float) -> dict[str, Any]:
    click.echo(f"{name} …", err=True)
    began = time.monotonic()
    try:
        found = row(name, scale)
    except UsageError as error:
        found = {"name": name, "target": PROMISES[name].target, "skipped": str(error)}
    return {**found, "seconds": round(time.monotonic() - began, 1)}
