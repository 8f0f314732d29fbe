"""Those who look on while the loop runs: the live page and the recording."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fer_edge import __version__
from fer_edge.contract.secret import read_secret
from fer_edge.health import read_health
from fer_edge.publish import SinkContext, Sinks
from fer_edge.publish.event import to_event
from fer_edge.records import Frame, FrameResult
from fer_edge.seams import FrameSource
from fer_edge.service.config import Settings

if TYPE_CHECKING:
    from fer_edge.loop import Loop
    from fer_edge.preview import Preview

_log = logging.getLogger(__name__)

Watch = Callable[[Frame, FrameResult], None]
"""Takes each result and its frame, without keeping either."""


@contextlib.contextmanager
def watching(
    settings: Settings, context: SinkContext, source: FrameSource, loop: Loop, sinks: Sinks, *,
    facts: Callable[[], Mapping[str, str]], opens: bool = False,
) -> Iterator[Watch | None]:  # fmt: skip
    """Start what the settings ask for, and end it.

    Args:
        settings: `preview` and `record` and what begins with them.
        context: device, run and labels.
        source, loop, sinks: whose counters the page shows.
        facts: what the page says about the run, and may change in it: detector, model.
        opens: open the page in a browser where there is a desktop.

    Yields:
        What takes each result, or None where nobody looks on.

    Raises:
        PublishError: the page's port is taken, the recording cannot be written or, at the end, broke off.
        ConfigError: a setting cannot be used.
    """
    with contextlib.ExitStack() as stack:
        watchers: list[Watch] = []
        recorder = None
        if settings.record:
            from fer_edge.recording import Recorder

            recorder = stack.enter_context(
                Recorder(
                    Path(settings.record).expanduser(),
                    is_annotated=settings.record_style == "annotated",
                    labels=context.labels,
                )
            )
            watchers.append(recorder.take)

        def status() -> dict[str, Any]:
            return {
                **facts(),
                **board(),
                "failures": loop.failures,
                "trouble": getattr(source, "trouble", None),
                "sinks": [
                    {
                        "name": sink.name,
                        "queued": sink.queued + sink.spooled,
                        "delivered": sink.delivered,
                        "dropped": sink.dropped,
                        "refused": sink.refused,
                        "connected": sink.connected,
                    }
                    for sink in sinks.health()
                ],
                "recording": recorder and recorder.state(),
            }

        if settings.preview:
            page = open_preview(settings, context, status=status, opens=opens)
            stack.callback(page.close)
            watchers.append(page.show)

        def watch(frame: Frame, result: FrameResult) -> None:
            for watcher in watchers:
                watcher(frame, result)

        yield watch if watchers else None


def open_preview(
    settings: Settings, context: SinkContext, *, status: Callable[[], Mapping[str, Any]], opens: bool,
    facts: Mapping[str, str] = MappingProxyType({}),
) -> Preview:  # fmt: skip
    """Serve the live page as the settings say, and say where.

    Raises:
        PublishError: it cannot listen there.
        ConfigError: the address or the token cannot be used, or the token's file cannot be read.
    """
    from fer_edge.preview import Address, Preview, PreviewOptions

    token = read_secret("preview_token")
    options = PreviewOptions(
        address=Address.parse(settings.preview),
        most=settings.preview_picture,
        name=settings.preview_name,
        token=token,
    )
    page = Preview(
        options,
        labels=context.labels,
        about={"device": context.device, "run": context.run, "version": __version__, **facts},
        describe=functools.partial(to_event, device=context.device, run=context.run),
        status=status,
    )
    # A token of the user's own is no business of the log's readers.
    shown = " or ".join(page.urls)
    shown = shown if token is None else shown.replace(token, "…")
    _log.info("live page: %s", shown)
    if opens and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        import webbrowser

        webbrowser.open(page.url)
    return page


def board() -> dict[str, Any]:
    """Temperature and throttling, for the page."""
    health = read_health()
    return {
        "temperature_c": health.temperature_c,
        "slowed": None if health.throttled is None else health.slowed,
        "under_voltage": None if health.throttled is None else health.under_voltage,
    }
