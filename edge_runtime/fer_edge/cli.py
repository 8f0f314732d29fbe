"""`fer-edge`: run, doctor, cameras, config, model."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from fer_edge import __version__
from fer_edge.completion_cli import completion
from fer_edge.contract.commands import Group
from fer_edge.contract.errors import UsageError
from fer_edge.crop_cli import crop
from fer_edge.service import config
from fer_edge.service.systemd_cli import service


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fer-edge")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens inside, too.")
def main(verbose: bool) -> None:
    """Facial expressions from a camera, on a Raspberry Pi.

    \b
    fer-edge run              the first camera, or the demo
    fer-edge run --source clip.mkv --publish file:events.jsonl
    fer-edge doctor           what works here and what does not

    Exit codes: 0 done (also when stopped by Ctrl-C), 1 failed, 2 usage, 78 bad settings.
    """
    # journald adds the time itself; a person sees it happen.
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s"
    )


main.add_command(completion)
main.add_command(crop)
main.add_command(service)


def _about(name: str) -> str:
    rules = config.FIELDS[name].metadata
    return str(rules["about"])


@main.command()
@click.option("--source", metavar="SOURCE", help=_about("source"))
@click.option("--detector", type=click.Choice(["auto", "haar", "yunet"]), help=_about("detector"))
@click.option("--model", metavar="NAME|FILE", help=_about("model"))
@click.option("--publish", metavar="SINK", multiple=True, help=_about("publish") + "; repeatable")
@click.option("--size", metavar="WxH", help=_about("size"))
@click.option("--fps", type=float, help=_about("fps"))
@click.option("--max-fps", type=float, help=_about("max_fps"))
@click.option("--idle-fps", type=float, help=_about("idle_fps"))
@click.option("--min-face", type=int, metavar="PX", help=_about("min_face"))
@click.option("--threads", type=int, metavar="N", help=_about("threads"))
@click.option("--rotate", type=int, metavar="DEGREES", help=_about("rotate"))
@click.option("--flip", metavar="h|v|hv", help=_about("flip"))
@click.option("--roi", metavar="X,Y,W,H", help=_about("roi"))
@click.option("--max-frames", type=int, metavar="N", help=_about("max_frames"))
@click.option("--every-frame", is_flag=True, default=None, help=_about("every_frame"))
@click.option("--preview", is_flag=False, flag_value=config.PREVIEW_ADDRESS, metavar="[ADDR:PORT]", help="live page")
@click.option("--metrics", is_flag=False, flag_value=config.METRICS_ADDRESS, metavar="[ADDR:PORT]", help="Prometheus")
@click.option("--open", "opens_page", is_flag=True, help="open the live page in the desktop's browser")
@click.option("--record", metavar="FILE.mkv", help=_about("record"))
@click.option("--record-style", type=click.Choice(["plain", "annotated"]), help=_about("record_style"))
@click.option("--config", "path", type=click.Path(path_type=Path), help="TOML file; see fer-edge config schema")
def run(path: Path | None, publish: tuple[str, ...], opens_page: bool, **flags: Any) -> None:
    """Watch a source and publish the expressions of the faces in it.

    \b
    fer-edge run --source 0 --publish mqtt://broker.local/fer/kitchen
    fer-edge run --source photos/ --detector haar --publish file:photos.jsonl
    """
    given = {name: value for name, value in {**flags, "publish": list(publish)}.items() if value not in (None, [])}
    settings = config.load(path, flags=given)
    from fer_edge.service.check import check

    check(settings, given)
    _require_page(settings, opens_page)
    from fer_edge.service.run import run as run_settings

    sys.exit(run_settings(settings, opens_page=opens_page))


def _require_page(settings: config.Settings, opens_page: bool) -> None:
    if opens_page and not settings.preview:
        raise UsageError("--open opens the live page, and none is served; give --preview too")


@main.command()
@click.argument("events", type=click.Path(path_type=Path))
@click.option("--video", type=click.Path(path_type=Path), help="the film they are about: a --record, or the source")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="times faster")
@click.option("--preview", is_flag=False, flag_value=config.PREVIEW_ADDRESS, metavar="[ADDR:PORT]", help="live page")
@click.option("--open", "opens_page", is_flag=True, help="open the live page in the desktop's browser")
@click.option("--config", "path", type=click.Path(path_type=Path), help="TOML file; see fer-edge config schema")
def replay(
    path: Path | None, *, events: Path, video: Path | None, speed: float, preview: str | None, opens_page: bool
) -> None:
    """Show the events of a file again, at the terminal and on the live page.

    \b
    fer-edge run --record clip.mkv --publish file:events.jsonl
    fer-edge replay events.jsonl --video clip.mkv --preview
    """
    settings = config.load(path, flags={"preview": preview})
    _require_page(settings, opens_page)
    from fer_edge.service.replay import replay as replay_events

    sys.exit(replay_events(events, video=video, settings=settings, speed=speed, opens_page=opens_page))


@main.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="settings to examine")
def doctor(path: Path | None) -> None:
    """Say what works on this machine, what does not, and what mends it; exit 1 if the job cannot run.

    \b
    fer-edge doctor --config /etc/fer-edge/config.toml
    """
    from fer_edge.service.doctor import examine

    marks = {"ok": click.style("ok  ", fg="green"), "note": click.style("note", fg="yellow")}
    stop = click.style("STOP", fg="red", bold=True)
    stopped = False
    for finding in examine(config.load(path), path=path):
        stopped = stopped or finding.state == "stop"
        click.echo(f"{marks.get(finding.state, stop)}  {finding.what:<24}{finding.found}")
        if finding.mend:
            click.echo(f"      {'':<24}-> {finding.mend}")
    sys.exit(1 if stopped else 0)


@main.command()
def cameras() -> None:
    """List the cameras that --source can name.

    \b
    fer-edge cameras
    """
    from fer_edge.frames import list_cameras

    found = list_cameras()
    for spec, description in found:
        click.echo(f"{spec:<16}{description}")
    if not found:
        click.echo("no camera found; fer-edge run --source demo needs none", err=True)
        sys.exit(1)


@main.group("config", cls=Group)
def config_group() -> None:
    """Show, check or describe the settings.

    \b
    fer-edge config check /etc/fer-edge/config.toml
    """


@config_group.command("show")
@click.option("--config", "path", type=click.Path(path_type=Path), help="a TOML file")
def config_show(path: Path | None) -> None:
    """Print the settings in force, as JSON, with passwords removed.

    \b
    fer-edge config show --config config.toml
    """
    click.echo(json.dumps(config.shown(config.load(path)), indent=2))


@config_group.command("check")
@click.argument("path", type=click.Path(path_type=Path))
def config_check(path: Path) -> None:
    """Check a settings file; exit 78 where it cannot be used. Of a service's do it as root, who sees what it sees.

    \b
    fer-edge config check config.toml
    """
    from fer_edge.service.check import check

    check(config.load(path), tokens=False)
    click.echo(f"{path}: fine")


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of the settings file.

    \b
    fer-edge config schema > settings.schema.json
    """
    click.echo(json.dumps(config.schema(), indent=2))


@main.group(cls=Group)
def model() -> None:
    """Show, verify and install model files, fetch detector weights.

    \b
    fer-edge model verify model.int8.tflite
    """


@model.command("show")
@click.argument("path", type=click.Path(path_type=Path), required=False)
def model_show(path: Path | None) -> None:
    """Print what a model file says of itself (by default the one that serves).

    \b
    fer-edge model show model.int8.tflite
    """
    from fer_edge.contract import model_file
    from fer_edge.service.models import serving

    loaded = model_file.read(serving(str(path or "")))
    metadata = loaded.metadata()
    metadata["golden"] = f"{len(loaded.golden.inputs)} inputs with their outputs"
    click.echo(json.dumps(metadata, indent=2))


@model.command("verify")
@click.argument("path", type=click.Path(path_type=Path), required=False)
def model_verify(path: Path | None) -> None:
    """Check a model file as the runtime does: hash, shapes, types, labels, golden inputs.

    \b
    fer-edge model verify model.int8.tflite
    """
    from fer_edge.expressions import litert
    from fer_edge.service.models import serving

    classifier = litert.load(serving(str(path or "")))
    click.echo(
        f"{classifier.model.name}: fine on {classifier.runtime}; labels {', '.join(classifier.labels)}; "
        f"golden inputs within {classifier.golden_steps} of 256 steps; sha256 {classifier.model.sha256}"
    )


@model.command("install")
@click.argument("path", type=click.Path(path_type=Path))
def model_install(path: Path) -> None:
    """Verify a model file and let it serve from now on, in running processes too.

    What runs with a `model` setting of its own goes on with that.

    \b
    fer-edge model install model.int8.tflite
    """
    from fer_edge.service import models

    installed = models.install(path)
    click.echo(f"{installed.name}: serves from now on; sha256 {installed.sha256}")


@model.command("rollback")
def model_rollback() -> None:
    """Go back to the model that served before the last installation.

    \b
    fer-edge model rollback
    """
    from fer_edge.service import models

    path = models.rollback()
    click.echo(f"{'the shipped model' if path is None else path}: serves again")


@model.command("pull")
@click.argument("name", type=click.Choice(["yunet"]))
@click.option("--url", metavar="URL", help="another https:// or file:// address than OpenCV Zoo's")
@click.option("--timeout", "timeout_s", type=float, default=20.0, show_default=True, help="seconds")
@click.option("--force", is_flag=True, help="fetch it even where it is installed")
def model_pull(name: str, url: str | None, timeout_s: float, force: bool) -> None:
    """Fetch the weights of the YuNet face detector (MIT, 233 kB) and check them.

    \b
    fer-edge model pull yunet
    """
    from fer_edge.faces.weights import YUNET_URL, pull_yunet

    click.echo(f"{name}: {pull_yunet(url or YUNET_URL, timeout_s=timeout_s, force=force)}")
