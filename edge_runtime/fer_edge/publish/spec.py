"""What a sink is opened with: the context all of them share and the options behind its `?`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from fer_edge.contract.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What every sink may know.

    Attributes:
        device: name of this machine, for people and topics.
        run: name of this start of the program, unique.
        every_frame: events are also wanted of frames without faces.
        labels: the classifier's, in order.
    """

    device: str
    run: str
    every_frame: bool
    labels: tuple[str, ...]


def whole_number_options(query: str, form: str, **known: tuple[int, range]) -> dict[str, int]:
    """The options behind a spec's `?`, each a whole number.

    Args:
        query: `key=value&key=value`, may be empty.
        form: how the spec is written, for messages.
        known: of each option its default and the values it may have.

    Raises:
        UsageError: an option is unknown, given twice or without a value, not a number, or out of range.
    """
    values = {name: default for name, (default, _) in known.items()}
    given: set[str] = set()
    for name, text in parse_qsl(query, keep_blank_values=True, separator="&"):
        if name not in known:
            raise UsageError(f"unknown option {name!r} of an output; it is written {form}")
        if name in given:
            raise UsageError(f"option {name!r} of an output is given twice; it is written {form}")
        given.add(name)
        allowed = known[name][1]
        # int() would also take "1_0" and other digits than these.
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in allowed):
            raise UsageError(
                f"option {name}={text} of an output is not a whole number from {allowed[0]} to {allowed[-1]}; "
                f"it is written {form}"
            )
        values[name] = int(text)
    return values
