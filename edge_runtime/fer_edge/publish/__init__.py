"""Where events go: terminal, files, brokers, web servers, pins, commands. A new one is a file and a line in `SINKS`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fer_edge.contract.errors import UsageError
from fer_edge.publish import command, file, gpio, mqtt, stdout, webhook
from fer_edge.publish.event import Event
from fer_edge.publish.file import parse_file
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.homeassistant import forget
from fer_edge.publish.sinks import Sinks
from fer_edge.publish.spec import SinkContext
from fer_edge.seams import EventSink

__all__ = [
    "SINKS",
    "Event",
    "Kind",
    "SinkContext",
    "SinkHealth",
    "Sinks",
    "forget",
    "open_sink",
    "open_sinks",
    "require_different",
]


class Kind(NamedTuple):
    """A kind of sink: how its spec is written and what opens it."""

    form: str
    open: Callable[[str, SinkContext], EventSink]


SINKS: dict[str, Kind] = {
    "-": Kind(stdout.FORM, stdout.open_stdout),
    "file": Kind(file.FORM, file.open_file),
    "mqtt": Kind(mqtt.FORM, mqtt.open_mqtt),
    "mqtts": Kind(mqtt.FORM_TLS, mqtt.open_mqtt),
    "https": Kind(webhook.FORM, webhook.open_webhook),
    "http": Kind(webhook.FORM_PLAIN, webhook.open_webhook),
    "gpio": Kind(gpio.FORM, gpio.open_gpio),
    "exec": Kind(command.FORM, command.open_command),
}
"""The kinds of sinks by scheme: what stands before the colon of a spec."""


def open_sink(spec: str, context: SinkContext) -> EventSink:
    """Open one sink.

    Args:
        spec: `-`, `file:PATH`, `mqtt://HOST/TOPIC` and so on, as `SINKS` lists them.
        context: what the sink may know about the run.

    Raises:
        UsageError: the spec is of no known kind or malformed.
        MissingExtraError: its extra is not installed.
        PublishError: it cannot be opened (missing folder, full disk).
    """
    scheme = spec.partition(":")[0]
    if scheme in SINKS:
        return SINKS[scheme].open(spec, context)
    forms = ", ".join(kind.form for kind in SINKS.values())
    # Only what stands before a colon is shown: a password may stand behind it.
    if ":" not in spec and "@" not in spec:
        raise UsageError(f"output {spec!r} is of no known kind (for a file write file:{spec}); there are {forms}")
    close = difflib.get_close_matches(scheme, SINKS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UsageError(f"output {scheme + ':'!r} is of no known kind{hint}; there are {forms}")


def require_different(specs: Sequence[str]) -> None:
    """Refuse two outputs to the same place, however the path of a file is written.

    Raises:
        UsageError: there are such.
    """
    places = [os.path.realpath(parse_file(spec)[0]) if spec.startswith("file:") else spec for spec in specs]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UsageError(f"output number {number + 1} is the same as an earlier one; give each once")


def open_sinks(specs: Sequence[str], context: SinkContext) -> Sinks:
    """Open several sinks as one; when one cannot be opened, those before it are closed again.

    Raises:
        UsageError, MissingExtraError, PublishError: as `open_sink`; UsageError also for a spec given twice.
    """
    require_different(specs)
    opened: list[EventSink] = []
    try:
        for spec in specs:
            opened.append(open_sink(spec, context))
    except BaseException:
        Sinks(opened, context).close()
        raise
    return Sinks(opened, context)
