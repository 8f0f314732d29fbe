"""`fer-edge crop`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fer_edge.contract.commands import Command

LISTED = 5
"""Names of pictures without a face that are said; all of them are in crop.json."""


@click.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--side", type=click.IntRange(16, 512), default=48, show_default=True, help="of the crops, pixels")
@click.option(
    "--grey", "kind", type=click.Choice(["bt601", "bt709"]), default="bt601", show_default=True,
    help="luma of ITU-R BT.601, as run computes it, or 0.213 R + 0.715 G + 0.072 B",
)  # fmt: skip
@click.option("--detector", type=click.Choice(["auto", "haar", "yunet"]), help="as of run")
@click.option("--config", "path", type=click.Path(path_type=Path), help="TOML file; see fer-edge config schema")
def crop(source: Path, target: Path, *, side: int, kind: str, detector: str | None, path: Path | None) -> None:
    """Make a data set to train on: the largest face of every picture in SOURCE, framed as run frames it.

    Folders stay as they are, so class folders stay class folders. Called again it goes on where it was stopped.

    \b
    fer-edge crop FERG_DB_256 ferg-84 --side 84 --detector haar
    fer-train --recipe vgg_alexnet --data ferg-84 --split stratified:0.2
    """
    from fer_edge.crop import FACTS, Cropping, crop_folder, pictures_under
    from fer_edge.service import config
    from fer_edge.service.run import make_detector

    count = len(pictures_under(source))
    cropping = Cropping(make_detector(config.load(path, flags={"detector": detector})), side, kind)
    with click.progressbar(length=count, label="Cropping faces", file=sys.stderr) as bar:
        outcome = crop_folder(source, target, cropping, on_picture=bar.update)
    click.echo(f"{target}: {len(outcome.cropped):,} faces, {side}x{side}, {cropping.detector.name}, {kind}")
    for what, names in (("without a face", outcome.no_face), ("that cannot be read", outcome.unreadable)):
        if names:
            more = f", … (all in {target / FACTS})" if len(names) > LISTED else ""
            click.echo(f"skipped {len(names):,} pictures {what}: {', '.join(names[:LISTED])}{more}")
