"""Pins of the board, through gpiozero's own mock of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker import until

from fer_edge.contract.errors import MissingExtraError, PublishError, UsageError
from fer_edge.publish import Event, SinkContext, gpio, open_sink
from results import face, result

gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed (the gpio extra)")

Make = Callable[..., Event]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


def test_a_pin_is_on_while_somebody_shows_it(board: Any, context: SinkContext, event: Make) -> None:
    sink = open_sink("gpio:17=happy+surprise", context)
    states = []
    for stable in (["uncertain"], ["happy"], ["happy", "sad"], ["sad", "surprise"], ["sad"], []):
        sink.publish(event(result(*(face(id, stable=label) for id, label in enumerate(stable, 1)))))
        states.append(board.pin(17).state)
    assert states == [0, 1, 1, 1, 0, 0]
    assert sink.health().delivered == 2


def test_it_is_off_at_the_end_and_free_again(board: Any, context: SinkContext, event: Make) -> None:
    sink = open_sink("gpio:17=happy", context)
    with pytest.raises(UsageError, match="pin 17 of a gpio output cannot be used"):
        open_sink("gpio:17=sad", context)
    sink.publish(event())
    assert board.pin(17).state == 1
    sink.close()
    sink.close()
    assert board.pin(17).function == "input"
    open_sink("gpio:GPIO17=sad", context).close()


def test_it_goes_off_where_no_frame_comes_any_more(
    board: Any, context: SinkContext, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio, "QUIET_S", 0.2)
    monkeypatch.setattr(gpio, "_TICK_S", 0.02)
    sink = open_sink("gpio:17=happy", context)
    sink.publish(event())
    assert board.pin(17).state == 1
    until(lambda: board.pin(17).state == 0, "the camera is away")
    sink.publish(event())
    assert board.pin(17).state == 1, "it is back"
    sink.close()


def test_the_rule_holds_for_pins_too(board: Any, context: SinkContext, event: Make) -> None:
    sink = open_sink("gpio:4=happy#confidence=0.9,dwell=0", context)
    sink.publish(event(result(face(probabilities=(0, 0, 0, 0.88, 0, 0, 0.12)))))
    assert board.pin(4).state == 0
    sink.publish(event(result(face(probabilities=(0, 0, 0, 0.95, 0, 0, 0.05)))))
    assert board.pin(4).state == 1
    sink.close()


@pytest.mark.parametrize(
    "spec",
    ["gpio:", "gpio:17", "gpio:17=", "gpio:=happy", "gpio:17=hapy", "gpio:17=happy#expression=sad", "gpio:99=happy",
     "gpio:LED=happy", "gpio:17=happy#timeout=3"],
)  # fmt: skip
def test_nonsense_is_refused_with_the_form(spec: str, board: Any, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert gpio.FORM in str(raised.value)


def test_where_there_are_no_pins_it_says_what_to_install(context: SinkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(PublishError, match="python3-lgpio"):
        open_sink("gpio:17=happy", context)


def test_without_gpiozero_the_extra_is_named(context: SinkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(MissingExtraError, match=r"fer-edge\[gpio\]"):
        open_sink("gpio:17=happy", context)
