"""`fer-edge service`: install, uninstall, status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.contract.commands import Group
from fer_edge.contract.errors import ConfigError, ServiceError
from fer_edge.service import config

if TYPE_CHECKING:  # only what a command needs is loaded
    from fer_edge.service.steps import Step


@click.group(cls=Group)
def service() -> None:
    """Start fer-edge at boot, with systemd.

    \b
    sudo .venv/bin/fer-edge service install
    sudo .venv/bin/fer-edge service install --instance door    one of several
    fer-edge service status
    """


_instance = click.option(
    "--instance", metavar="NAME", help="one of several cameras: fer-edge@NAME.service, /etc/fer-edge/NAME.toml"
)
_dry_run = click.option("--dry-run", is_flag=True, help="say what would be written and run, and change nothing")


@service.command()
@_instance
@click.option("--config", "path", type=click.Path(path_type=Path), help="settings that replace the unit's own")
@click.option("--start/--no-start", default=True, help="start it now, too")
@_dry_run
def install(instance: str | None, path: Path | None, start: bool, dry_run: bool) -> None:
    """Write unit and settings, make its virtual environment, start it now and at every boot.

    Doing it again brings it up to date with the fer-edge that does it; settings stay as they are.

    \b
    sudo .venv/bin/fer-edge service install
    """
    from fer_edge.contract.redaction import redact
    from fer_edge.frames import list_cameras
    from fer_edge.service import systemd

    if not dry_run:
        systemd.require_root("service install", _program())
        systemd.require_systemd()
    camera = systemd.free_camera([spec for spec, _ in list_cameras()], instance)
    _take(systemd.plan_install(instance=instance, settings_file=path, camera=camera, start=start), dry_run=dry_run)
    unit, settings = systemd.unit_of(instance), systemd.settings_path(instance)
    if dry_run:
        return
    source = config.load(settings, environment={}).source
    if redact(source) != source:
        click.echo(
            f"note: {settings} holds a password and everybody on this machine may read it; move the line to "
            "/etc/fer-edge/environment (mode 0600) as FER_EDGE_SOURCE=…",
            err=True,
        )
    click.echo(f"{unit}: installed; change {settings}, then: sudo systemctl restart {unit.removesuffix('.service')}")


@service.command()
@click.option("--forget", is_flag=True, help="remove settings, secrets, state and Home Assistant's device, too")
@_dry_run
def uninstall(forget: bool, dry_run: bool) -> None:
    """Stop all fer-edge services and remove them; settings and state stay unless --forget is given.

    \b
    sudo .venv/bin/fer-edge service uninstall
    """
    from fer_edge.service import systemd

    if not dry_run:
        systemd.require_root("service uninstall", _program())
        systemd.require_systemd()
    steps = systemd.plan_uninstall(forget=forget)
    _take(steps, dry_run=dry_run)
    if not steps:
        click.echo("no service is installed")


@service.command()
@_instance
def status(instance: str | None) -> None:
    """Say how the services are doing; exit 1 where one of them is not running.

    \b
    fer-edge service status
    """
    from fer_edge.service import systemd

    systemd.require_systemd()
    units = [systemd.unit_of(instance)] if instance else systemd.installed_units()
    if not units:
        raise ServiceError(f"no service is installed; run: sudo {_program()} service install")
    running = True
    for unit in units:
        found = systemd.status(unit)
        running = running and found.active == "active"
        memory = "" if found.memory_mb is None else f", {found.memory_mb:.0f} MB"
        since = f" since {found.since}" if found.since else ""
        click.echo(f"{unit}: {found.active} ({found.sub}){since}, {found.restarts} restarts{memory}")
        if found.text:
            click.echo(f"    {found.text}")
        if found.active == "active":
            continue
        click.echo(f"    last end: {found.result}, exit code {found.exit_code}")
        for line in systemd.journal(unit):
            click.echo(f"    | {line}")
        if found.exit_code == ConfigError.exit_code:
            settings = systemd.settings_path(systemd.instance_of(unit))
            click.echo(f"    -> sudo {_program()} config check {settings}, then: sudo systemctl restart {unit}")
        else:
            click.echo(f"    -> journalctl -u {unit}; fer-edge doctor")
    sys.exit(0 if running else 1)


def _program() -> str:
    return str(Path(sys.argv[0]).absolute())


def _take(steps: list[Step], *, dry_run: bool) -> None:
    for step in steps:
        lines = list(step.shown())
        if dry_run:
            click.echo("\n".join(lines))
        else:
            click.echo(lines[0])
            step.take()
