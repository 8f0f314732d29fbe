"""What a sink is opened with: the context all of them share and the options behind its `?`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

from fer_edge.contract.errors import UsageError


class Board(Protocol):
    """What is known of the machine's state.

    Attributes:
        temperature_c: degrees Celsius, or None.
        throttled: the firmware's bit mask, or None.
        slowed: the processor runs slower than it could, right now.
        under_voltage: the supply was too weak at some time since boot.
    """

    @property
    def temperature_c(self) -> float | None: ...
    @property
    def throttled(self) -> int | None: ...
    @property
    def slowed(self) -> bool: ...
    @property
    def under_voltage(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What every sink may know.

    Attributes:
        device: name of this machine, for people and topics.
        run: name of this start of the program, unique.
        every_frame: events are also wanted of frames without faces.
        labels: the classifier's, in order.
        state: folder for what must outlive the process; None keeps it in memory.
        facts: says what runs: version, model, detector.
        board: reads the machine's state; None where nobody looks at it.
    """

    device: str
    run: str
    every_frame: bool
    labels: tuple[str, ...]
    state: Path | None = None
    facts: Callable[[], Mapping[str, str]] = dict
    board: Callable[[], Board] | None = None


def spec_options(query: str, form: str, **known: tuple[int, range] | tuple[str, str]) -> dict[str, str]:
    """The options behind a spec's `?`.

    Args:
        query: `key=value&key=value`, may be empty.
        form: how the spec is written, for messages.
        known: of each option its default, and the range of a whole number or the pattern of a text.

    Returns:
        The text of each option; that of a number is decimal digits.

    Raises:
        UsageError: an option is unknown, given twice or without a value, not a number, or out of range.
    """
    values = {name: str(default) for name, (default, _) in known.items()}
    given: set[str] = set()
    for name, text in parse_qsl(query, keep_blank_values=True, separator="&"):
        if name not in known:
            raise UsageError(f"unknown option {name!r} of an output; it is written {form}")
        if name in given:
            raise UsageError(f"option {name!r} of an output is given twice; it is written {form}")
        given.add(name)
        allowed = known[name][1]
        if isinstance(allowed, str):
            if re.fullmatch(allowed, text) is None:
                raise UsageError(f"option {name}={text} of an output cannot be used; it is written {form}")
        # int() would also take "1_0" and other digits than these.
        elif not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in allowed):
            raise UsageError(
                f"option {name}={text} of an output is not a whole number from {allowed[0]} to {allowed[-1]}; "
                f"it is written {form}"
            )
        values[name] = text
    return values
