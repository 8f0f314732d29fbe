from __future__ import annotations

import os
import signal

import pytest

from fer_train.interruption import SIGNALS, interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_sets_the_event_wherever_it_arrives(number: signal.Signals) -> None:
    class Destroyed:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)

    with interruption() as interrupted:
        assert not interrupted.is_set()
        Destroyed()
        assert interrupted.is_set()


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_raises(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruption():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)


def test_the_handlers_before_come_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruption():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
