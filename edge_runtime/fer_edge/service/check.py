"""Whether settings can be used on this machine, without opening a camera, a broker or a pin."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from fer_edge.contract import model_file, shipped
from fer_edge.contract.errors import FerError, UsageError
from fer_edge.contract.secret import read_secret
from fer_edge.frames import check_source
from fer_edge.publish import SinkContext, open_sink, require_different
from fer_edge.publish.broker import parse_broker
from fer_edge.publish.file import parse_file
from fer_edge.publish.gpio import parse_gpio
from fer_edge.service import models
from fer_edge.service.config import Settings, together


def check(settings: Settings, flags: Collection[str] = (), *, tokens: bool = True) -> None:
    """Refuse settings that name what does not exist, or outputs that are written wrongly.

    Args:
        settings: their values are in range already.
        flags: names of the settings that came from the command line.
        tokens: look for those of page and metrics, too. A service's are not seen from elsewhere.

    Raises:
        UsageError: a flag cannot be used.
        ConfigError: settings of the file or of a variable cannot be used; the message has a line for each.
    """
    wrong: list[str] = []
    checks = {**_CHECKS, **({"preview": _preview_token, "metrics": _metrics_token} if tokens else {})}
    for name, examine in checks.items():
        try:
            examine(settings)
        except (FerError, ValueError) as error:
            if name in flags:
                raise UsageError(str(error)) from error
            wrong.append(str(error))
    if wrong:
        raise together(wrong)


def _source(settings: Settings) -> None:
    check_source(settings.source)


def _model(settings: Settings) -> None:
    if settings.model and not shipped.model_path(settings.model).is_file():
        raise UsageError(
            f"model {settings.model} does not exist; give a file that fer-convert made, or {', '.join(shipped.SHIPPED)}"
        )


def _publish(settings: Settings) -> None:
    labels = model_file.read(models.serving(settings.model)).labels if _has_rules(settings) else ()
    context = SinkContext(device=settings.device_name, run="0" * 6, every_frame=False, labels=labels)
    require_different(settings.publish)
    for spec in settings.publish:
        scheme = spec.partition(":")[0]
        if scheme in ("mqtt", "mqtts"):
            parse_broker(spec)
        elif scheme == "file":
            _file(parse_file(spec)[0])
        elif scheme == "gpio":
            parse_gpio(spec, labels)
        elif spec != "-":
            # Nothing is sent and nothing is run before the first event.
            open_sink(spec, context).close()


def _has_rules(settings: Settings) -> bool:
    return any(spec.partition(":")[0] in ("http", "https", "exec", "gpio") for spec in settings.publish)


def _file(path: Path) -> None:
    folder = path.absolute().parent
    try:
        if path.is_dir():
            raise UsageError(f"output file {path} is a folder; give a file in it")
        if not folder.is_dir():
            raise UsageError(f"output file {path} cannot be written; give a file in a folder that exists")
        writable = os.access(path if path.exists() else folder, os.W_OK)
    except PermissionError:  # a service's state directory shows nothing to others
        writable = False
    if not writable:
        raise UsageError(
            f"output file {path} may not be written by this user; choose another folder, or check a service's as root"
        )


def _record(settings: Settings) -> None:
    if not settings.record:
        return
    path = Path(settings.record).expanduser()
    if path.suffix.lower() != ".mkv":
        raise UsageError(f"recording {path} does not end in .mkv; give it such a name, since it is a Matroska file")
    _file(path)


def _preview(settings: Settings) -> None:
    if settings.preview:
        from fer_edge.preview.access import Address

        Address.parse(settings.preview)


def _preview_token(settings: Settings) -> None:
    if settings.preview:
        from fer_edge.preview.access import Access, Address

        loopback = Address.parse(settings.preview).loopback
        Access(loopback=loopback, name=settings.preview_name, token=read_secret("preview_token"))


def _metrics(settings: Settings) -> None:
    if settings.metrics:
        from fer_edge.service.metrics import check_address

        check_address(settings.metrics, token="a service's")


def _metrics_token(settings: Settings) -> None:
    if settings.metrics:
        from fer_edge.service.metrics import check_address

        check_address(settings.metrics, token=read_secret("metrics_token"))


_CHECKS: dict[str, Callable[[Settings], None]] = {
    "source": _source,
    "model": _model,
    "publish": _publish,
    "record": _record,
    "preview": _preview,
    "metrics": _metrics,
}
"""By the setting they look at."""
