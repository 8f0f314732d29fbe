"""A pin of the board that is on while somebody shows an expression."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING

from fer_edge.contract.errors import MissingExtraError, PublishError, UsageError
from fer_edge.publish import rule
from fer_edge.publish.event import Event
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.rule import Rule, Trigger
from fer_edge.publish.spec import SinkContext

if TYPE_CHECKING:
    from gpiozero import DigitalOutputDevice

QUIET_S = 15.0
"""So long without a frame, as while a camera is away, nobody is known to show anything; a slow loop takes 10 s."""

_TICK_S = 1.0

FORM = "gpio:PIN=LABEL[+LABEL…][#confidence=0.7,dwell=2,every=10]"


def open_gpio(spec: str, context: SinkContext) -> GpioSink:
    """Open `gpio:17=happy`: PIN as gpiozero names it (17, GPIO17, BOARD11, J8:11); what follows `#` is the rule.

    Raises:
        UsageError: the pin or the label does not exist, or the rule is malformed.
        MissingExtraError: gpiozero is not installed.
        PublishError: the board's pins cannot be used.
    """
    return GpioSink(*parse_gpio(spec, context.labels))


def parse_gpio(spec: str, labels: Collection[str]) -> tuple[str, Rule]:
    """Pin and rule of `gpio:PIN=LABEL`.

    Raises:
        UsageError: pin or label are missing, the label does not exist, or the rule is malformed.
    """
    body, text = rule.split_rule(spec.removeprefix("gpio:"))
    pin, _, named = body.partition("=")
    if not (pin and named):
        raise UsageError(f"a gpio output lacks its pin or its label; it is written {FORM}")
    which, _ = rule.parse_rule(text, labels, FORM)
    if which.expressions:
        raise UsageError(f"a gpio output names its labels before the #, not in its rule; it is written {FORM}")
    which = Rule(
        expressions=rule.parse_labels(named, labels, FORM),
        confidence=which.confidence,
        dwell_s=which.dwell_s,
        every_s=which.every_s,
    )
    return pin, which


class GpioSink:
    """Switches one output through gpiozero, whose back end GPIOZERO_PIN_FACTORY chooses; off at the end.

    With `every_s` it is switched on at most once in so many seconds.

    Args:
        pin: as gpiozero names it.
        rule: what has to be seen for it to be on.

    Raises:
        UsageError: there is no such pin, or it is in use already.
        MissingExtraError: gpiozero is not installed.
        PublishError: the board's pins cannot be used.
    """

    every_frame = True  # that nobody is there any more switches it off

    def __init__(self, pin: str, rule: Rule) -> None:
        try:
            from gpiozero import DigitalOutputDevice
            from gpiozero.exc import BadPinFactory, GPIOZeroError, PinFactoryFallback
        except ImportError as error:
            raise MissingExtraError("a gpio output", "gpio") from error
        self.name = f"pin {pin}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PinFactoryFallback)  # the last back end's failure is an error
                self._pin: DigitalOutputDevice = DigitalOutputDevice(int(pin) if pin.isdecimal() else pin)
        except BadPinFactory as error:
            raise PublishError(
                f"{self.name} cannot be used ({error}); on a Raspberry Pi: sudo apt install python3-lgpio, and be in "
                "the group gpio"
            ) from error
        except (GPIOZeroError, OSError) as error:
            raise UsageError(f"{self.name} of a gpio output cannot be used ({error}); it is written {FORM}") from error
        self._trigger = Trigger(rule)
        self._switched = 0
        self._fed = time.monotonic()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name=self.name, daemon=True).start()

    def publish(self, event: Event) -> None:
        """Take one frame, also one without faces.

        Raises:
            PublishError: the pin is gone.
        """
        self._trigger.fires(event.result)
        self._fed = time.monotonic()
        try:
            self._switch(self._trigger.active)
        except OSError as error:
            raise PublishError(f"{self.name} cannot be switched ({error.strerror}); check the board") from error

    def health(self) -> SinkHealth:
        """How often the pin was switched; nothing ever waits."""
        return SinkHealth(name=self.name, delivered=self._switched, last_progress=time.monotonic())

    def close(self) -> None:
        """Switch it off and let the pin go."""
        self._closed.set()
        with self._guard:
            self._pin.close()

    def _switch(self, on: bool) -> None:
        with self._guard:
            if self._closed.is_set() or on == bool(self._pin.value):
                return
            self._pin.value = on
            self._switched += 1

    def _watch(self) -> None:
        while not self._closed.wait(_TICK_S):
            if time.monotonic() - self._fed > QUIET_S:
                with contextlib.suppress(OSError):  # the next frame tells
                    self._switch(False)
