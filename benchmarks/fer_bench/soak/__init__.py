"""What fer-edge promises to survive, broken on purpose and seen healed.

A scenario takes a scale from 0 to 1, the share of its full number of attempts (at least one is made), and
returns what it saw: JSON values by name. What it needs and does not find it says with a FerError, and is then
skipped. `PROMISES` says what has to be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

Scenario = Callable[[float], dict[str, Any]]


def _in(module: str, name: str) -> Scenario:
    """A scenario whose module is loaded when it runs: each needs other extras."""

    def scenario(scale: float) -> dict[str, Any]:
        figures: dict[str, Any] = getattr(import_module(f"fer_bench.soak.{module}"), name)(scale)
        return figures

    return scenario


SCENARIOS: dict[str, Scenario] = {
    "broker-stops": _in("broker", "broker_stops"),
    "kills": _in("broker", "kills"),
    "camera-faults": _in("camera", "camera_faults"),
    "model-swaps": _in("swaps", "model_swaps"),
    "model-mutations": _in("mutations", "model_mutations"),
    "config-mutations": _in("mutations", "config_mutations"),
    "payload-mutations": _in("payloads", "payload_mutations"),
    "live-hour": _in("hour", "live_hour"),
    "arm": _in("arm", "arm"),
}


class Promise(NamedTuple):
    """What is promised of a scenario.

    Attributes:
        target: in words.
        attempts: the figure that says how often it was tried.
        kept: whether the figures keep it.
    """

    target: str
    attempts: str
    kept: Callable[[dict[str, Any]], bool]


NOTICED_WITHIN_S = 5.0
GROWTH_MB = 2.0

PROMISES: dict[str, Promise] = {
    "broker-stops": Promise("0 events lost; duplicates counted", "stops", lambda seen: seen["lost"] == 0),
    "kills": Promise("0 lost of those the spool had accepted", "kills", lambda seen: seen["lost"] == 0),
    "camera-faults": Promise(
        f"all noticed within {NOTICED_WITHIN_S:g} s, all recovered; a dark room is no fault",
        "faults_made",
        lambda seen: (
            seen["slowest_noticed_s"] <= NOTICED_WITHIN_S
            and seen["recovered"] == seen["faults_made"]
            and seen["dark_room_alarms"] == 0
        ),
    ),
    "model-swaps": Promise("0 unusable states", "kills", lambda seen: seen["unusable"] == 0),
    "model-mutations": Promise("0 crashes, 0 accepted", "files", lambda seen: seen["refused"] == seen["files"]),
    "config-mutations": Promise(
        "0 crashes; what is accepted passes the schema; no password is shown",
        "files",
        lambda seen: seen["crashed"] == seen["accepted_against_schema"] == seen["passwords_shown"] == 0,
    ),
    "payload-mutations": Promise(
        "0 crashes; nothing but Home Assistant's birth is believed",
        "payloads",
        lambda seen: seen["crashed"] == seen["accepted_wrongly"] == 0,
    ),
    "live-hour": Promise(
        f"memory grows by less than {GROWTH_MB:g} MB, threads and file handles not at all",
        "captured",
        lambda seen: (
            seen["anonymous_growth_mb"] < GROWTH_MB and seen["thread_growth"] <= 0 and seen["handle_growth"] <= 0
        ),
    ),
    "arm": Promise("labels identical to x86-64", "frames", lambda seen: seen["labels_different"] == 0),
}


def attempts(full: int, scale: float) -> int:
    """The share `scale` of `full`, at least one."""
    return max(1, round(full * scale))


def row(name: str, scale: float) -> dict[str, Any]:
    """Run one scenario: its name, what was promised, how often it was tried, what was seen, whether it was kept.

    Raises:
        FerError: it cannot run here.
    """
    seen, promise = SCENARIOS[name](scale), PROMISES[name]
    return {
        "name": name,
        "target": promise.target,
        "attempts": seen[promise.attempts],
        "kept": promise.kept(seen),
        "figures": seen,
    }
