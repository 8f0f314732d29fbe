"""Which events go to a sink: the rule behind the last `#` of its spec.

    RULE   = OPTION {"," OPTION}
    OPTION = "expression=" LABEL {"+" LABEL}   these only; without it every one but "uncertain"
           | "confidence=" 0..1                their probability in the frame has to be at least this
           | "dwell=" SECONDS                  they have to hold for so long
           | "every=" SECONDS                  at most one event in so many seconds

as in `exec:/usr/bin/aplay /opt/hello.wav#expression=happy+surprise,confidence=0.7,dwell=2,every=30`.
Labels may be percent-encoded (RFC 3986), which a label that holds one of the signs above has to be.
"""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from fer_edge.contract.errors import UsageError
from fer_edge.contract.labels import UNCERTAIN
from fer_edge.records import Face, FrameResult

FORM = "#expression=happy+sad,confidence=0.7,dwell=2,every=10"

LONGEST_S = 86_400.0
"""Longest dwell and interval, seconds."""

Range = tuple[float, float, float]
"""An option's default, its smallest and its largest value."""

_NUMBERS: Mapping[str, Range] = {
    "confidence": (0.0, 0.0, 1.0),
    "dwell": (0.0, 0.0, LONGEST_S),
    "every": (0.0, 0.0, LONGEST_S),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What has to be seen for an event to go to a sink.

    Attributes:
        expressions: stable labels that count; empty is every one but `"uncertain"`.
        confidence: smallest probability of the label in the frame, 0..1.
        dwell_s: how long a face has to keep the label, seconds.
        every_s: least time between two events, seconds.
    """

    expressions: frozenset[str] = frozenset()
    confidence: float = 0.0
    dwell_s: float = 0.0
    every_s: float = 0.0

    def __str__(self) -> str:
        """As it is written behind the `#`; `parse_rule` reads it back."""
        labels = "+".join(quote(label, safe="") for label in sorted(self.expressions))
        numbers = {"confidence": self.confidence, "dwell": self.dwell_s, "every": self.every_s}
        parts = [f"expression={labels}"] if labels else []
        return ",".join(parts + [f"{name}={value!r}" for name, value in numbers.items() if value])


def split_rule(spec: str) -> tuple[str, str]:
    """A spec without its rule, and the text of the rule; `#` within a command needs one more at the end."""
    before, sign, after = spec.rpartition("#")
    return (before, after) if sign else (spec, "")


def parse_rule(
    text: str, labels: Collection[str], form: str, **options: Range
) -> tuple[Rule, dict[str, float]]:  # fmt: skip
    """Read a rule.

    Args:
        text: what stands behind the `#`; empty lets every stable change through.
        labels: the classifier's.
        form: how the sink's spec is written, for messages.
        options: further numbers that this sink takes in the same place.

    Returns:
        The rule, and the values of `options`.

    Raises:
        UsageError: an option is unknown, given twice, malformed or out of range, or a label does not exist.
    """
    ranges = {**_NUMBERS, **options}
    values = {name: default for name, (default, _, _) in ranges.items()}
    expressions: frozenset[str] = frozenset()
    given: set[str] = set()
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        if name in given:
            raise UsageError(f"option {name!r} of an output's rule is given twice; it is written {form}")
        given.add(name)
        if name == "expression":
            expressions = parse_labels(value, labels, form)
        elif name in ranges:
            values[name] = _number(name, value, ranges[name], form)
        else:
            close = difflib.get_close_matches(name, ["expression", *ranges], n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(f"unknown option {name!r} of an output's rule{hint}; it is written {form}")
    rule = Rule(
        expressions=expressions, confidence=values["confidence"], dwell_s=values["dwell"], every_s=values["every"]
    )
    return rule, {name: values[name] for name in options}


def parse_labels(text: str, labels: Collection[str], form: str) -> frozenset[str]:
    """Labels joined by `+`.

    Raises:
        UsageError: one of them does not exist.
    """
    named = [unquote(label) for label in text.split("+")]
    for label in named:
        if label not in labels and label != UNCERTAIN:
            known = ", ".join([*labels, UNCERTAIN])
            raise UsageError(
                f"expression {label!r} of an output does not exist; there are {known}; it is written {form}"
            )
    return frozenset(named)


def _number(name: str, text: str, allowed: Range, form: str) -> float:
    _, low, high = allowed
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(
            f"option {name}={text} of an output's rule is not a number from {low:g} to {high:g}; it is written {form}"
        )
    # "-0" is written "0" again.
    return value + 0.0


class Trigger:
    """Says of each frame whether it goes to a sink: once for each time a face takes up a label that counts.

    A change that comes too early for `every_s` is told when that time is over, if it still holds then.

    Args:
        rule: what counts.
        clock: monotonic seconds.

    Attributes:
        active: a face that was told of still shows its label.
    """

    def __init__(self, rule: Rule, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule, self._clock = rule, clock
        self._since: dict[tuple[int, str], float] = {}
        self._told: set[tuple[int, str]] = set()
        self._last = -math.inf
        self.active = False

    def fires(self, result: FrameResult) -> bool:
        """Take one frame, also one without faces; True where its event is to go to the sink."""
        now = self._clock()
        faces = {(face.id, face.stable): face for face in result.faces if self._counts(face.stable)}
        self._since = {key: self._since.get(key, now) for key in faces}
        self._told &= faces.keys()
        due = {
            key
            for key, face in faces.items()
            if now - self._since[key] >= self._rule.dwell_s
            and _probability(face, result.labels) >= self._rule.confidence
        }
        fires = bool(due - self._told) and now - self._last >= self._rule.every_s
        if fires:
            self._last = now
            self._told |= due
        self.active = bool(self._told)
        return fires

    def _counts(self, label: str) -> bool:
        return label in self._rule.expressions if self._rule.expressions else label != UNCERTAIN


def _probability(face: Face, labels: tuple[str, ...]) -> float:
    """Of the stable label; of the best one where none is stable."""
    return float(face.probabilities[labels.index(face.stable)]) if face.stable in labels else face.confidence
