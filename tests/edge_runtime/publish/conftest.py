"""What every sink's output is held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from fer_edge.publish import Event, SinkContext
from fer_edge.publish.event import schema
from fer_edge.records import FrameResult
from results import face, result

CONTEXT = SinkContext(device="pi-kitchen", run="9f3c2a", every_frame=False, labels=result().labels)


@pytest.fixture(scope="session")
def context() -> SinkContext:
    """Of a run that publishes only frames with faces."""
    return CONTEXT


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    """Makes the event of a result, or of frame number `seq` with one happy face."""

    def make(seen: FrameResult | None = None, *, seq: int = 0) -> Event:
        return Event(result=seen or result(face(), seq=seq), device=CONTEXT.device, run=CONTEXT.run)

    return make


@pytest.fixture(scope="session")
def checked() -> Callable[[bytes], dict[str, Any]]:
    """Parses one line as strict JSON and validates it against the shipped schema."""
    validator = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())

    def check(line: bytes) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        values: dict[str, Any] = json.loads(line, parse_constant=refuse)
        validator.validate(values)
        return values

    return check
