"""What fer-edge promises to survive, broken on purpose and seen healed.

A scenario takes a scale from 0 to 1, the share of its full number of attempts (at least one is made), and
returns what it saw: JSON values by name. What it needs and does not find here it says with a UsageError, and is then
skipped; any other FerError is a promise that was not kept. `PROMISES` says what has to be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from fer_edge.contract.errors import UsageError

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
        broken: what is done to it, in words.
        target: what is promised, in words.
        seen: the figures in words, as a format string.
        attempts: the figure that says how often it was tried.
        kept: whether the figures keep it.
    """

    broken: str
    target: str
    seen: str
    attempts: str
    kept: Callable[[dict[str, Any]], bool]


NOTICED_WITHIN_S = 5.0
GROWTH_MB = 2.0

PROMISES: dict[str, Promise] = {
    "broker-stops": Promise(
        "broker stopped while {events:,} events at QoS 1 flow",
        "0 events lost, all in order; duplicates counted",
        "{lost} lost, {duplicates} came twice",
        "stops",
        lambda seen: seen["lost"] == seen["out_of_order"] == 0,
    ),
    "kills": Promise(
        "process killed (-9) during the same, every other time without a broker",
        "0 lost of those the spool had accepted, all in order",
        "{lost} of {accepted:,} lost, {duplicates} came twice",
        "kills",
        lambda seen: seen["lost"] == seen["out_of_order"] == 0,
    ),
    "camera-faults": Promise(
        "camera gone, hung, frozen, delivering garbage, resized",
        f"all noticed within {NOTICED_WITHIN_S:g} s, all recovered; a dark room is no fault",
        "{recovered} recovered, noticed after {slowest_noticed_s:.1f} s at the latest",
        "faults_made",
        lambda seen: (
            seen["slowest_noticed_s"] <= NOTICED_WITHIN_S
            and seen["recovered"] == seen["faults_made"]
            and seen["dark_room_alarms"] == 0
        ),
    ),
    "model-swaps": Promise(
        "model installed and rolled back while the process is killed (-9)",
        "0 unusable states",
        "{unusable} unusable, {killed_while_writing} killed while a file was written",
        "kills",
        lambda seen: seen["unusable"] == 0 and seen["kills"] > 0,
    ),
    "model-mutations": Promise(
        "model file damaged",
        "0 crashes, 0 accepted",
        "{crashed} crashes, {accepted} accepted",
        "files",
        lambda seen: seen["refused"] == seen["files"],
    ),
    "config-mutations": Promise(
        "settings file damaged",
        "0 crashes; what is accepted passes the schema; no password is shown",
        "{crashed} crashes, {accepted_against_schema} accepted against the schema, {passwords_shown} passwords shown",
        "files",
        lambda seen: seen["crashed"] == seen["accepted_against_schema"] == seen["passwords_shown"] == 0,
    ),
    "payload-mutations": Promise(
        "MQTT payload damaged",
        "0 crashes; nothing but Home Assistant's birth is believed",
        "{crashed} crashes, {accepted_wrongly} believed",
        "payloads",
        lambda seen: seen["crashed"] == seen["accepted_wrongly"] == 0,
    ),
    "live-hour": Promise(
        "an hour's frames of a simulated camera in minutes, at 300 frames/s, unplugged {unplugged} times; frames",
        f"memory grows by less than {GROWTH_MB:g} MB, threads and file handles not at all",
        "{anonymous_growth_mb:.2f} MB, {thread_growth} threads, {handle_growth} file handles",
        "captured",
        lambda seen: (
            seen["anonymous_growth_mb"] < GROWTH_MB and seen["thread_growth"] <= 0 and seen["handle_growth"] <= 0
        ),
    ),
    "arm": Promise(
        "64-bit Arm under emulation, installed from wheels; frames of clips",
        "labels identical to x86-64",
        "{labels_different} labels different on {faces} faces",
        "frames",
        lambda seen: seen["labels_different"] == 0 and seen["faces"] > 0,
    ),
}


def attempts(full: int, scale: float) -> int:
    """The share `scale` of `full`, at least one."""
    return max(1, round(full * scale))


def row(name: str, scale: float) -> dict[str, Any]:
    """Run one scenario: its name, what was promised, how often it was tried, what was seen, whether it was kept.

    Raises:
        UsageError: it cannot run here.
    """
    promise = PROMISES[name]
    row: dict[str, Any] = {"name": name, "target": promise.target}
    try:
        seen = SCENARIOS[name](scale)
    except UsageError:
        raise
    except Exception as error:  # a wait in vain, a process that ended: what was promised did not come
        return {**row, "attempts": 1, "kept": False, "figures": {"broke_off": str(error) or repr(error)}}
    return {**row, "attempts": seen[promise.attempts], "kept": promise.kept(seen), "figures": seen}
