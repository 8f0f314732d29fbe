"""`fer-bench soak`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from fer_bench.soak import PROMISES, SCENARIOS, row
from fer_edge.contract.commands import Command
from fer_edge.contract.errors import FerError, QualityError

FILE = click.Path(path_type=Path)


@click.command(cls=Command)
@click.option("--scale", type=click.FloatRange(0.001, 1.0), default=1.0, show_default=True, help="Share of attempts.")
@click.option(
    "--only", type=click.Choice(tuple(SCENARIOS)), metavar="NAME", multiple=True,
    help=f"Repeatable: {', '.join(SCENARIOS)}.  [all]",
)  # fmt: skip
@click.option("--json", "output", type=FILE, help="Write the result there, too.")
@click.option("--plot", "drawing", type=FILE, help="Draw it into this PNG.")
@click.pass_obj
def soak(
    arguments: tuple[str, ...], *, scale: float, only: tuple[str, ...], output: Path | None, drawing: Path | None
) -> None:
    """Break what may break, and see whether it heals; exit 1 where a promise was not kept.

    \b
    fer-bench soak --json reliability.json --plot reliability.png
    fer-bench soak --only camera-faults --scale 0.05
    """
    from fer_bench import results
    from fer_bench.environment import environment
    from fer_bench.soak import report

    results.check_writable(output)
    results.check_writable(drawing, option="--plot")
    before = environment(arguments)
    rows = [_row(name, scale) for name in only or SCENARIOS]
    result = results.result("reliability", before, **report.content(rows, scale=scale))
    click.echo(report.table(result))
    if output is not None:
        results.write(output, result)
        click.echo(f"written to {output}", err=True)
    if drawing is not None:
        report.plot(drawing, result)
        click.echo(f"drawn into {drawing}", err=True)
    broken = [each["name"] for each in rows if each.get("kept") is False]
    if broken:
        raise QualityError(f"not all promises were kept: {', '.join(broken)}; the table shows what was seen")


def _row(name: str, scale: float) -> dict[str, Any]:
    click.echo(f"{name} …", err=True)
    began = time.monotonic()
    try:
        found = row(name, scale)
    except FerError as error:
        found = {"name": name, "target": PROMISES[name].target, "skipped": str(error)}
    return {**found, "seconds": round(time.monotonic() - began, 1)}
