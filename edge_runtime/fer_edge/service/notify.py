"""Tell systemd how the service is doing: sd_notify(3), a datagram to `$NOTIFY_SOCKET`."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

_SEND_TIMEOUT_S = 0.5


class Notifier:
    """Notifications to systemd; does nothing where systemd did not ask for them, and never raises.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked up.
        clock: monotonic seconds.

    Attributes:
        watchdog_s: systemd kills the service when it hears nothing for so many seconds; None where no
            watchdog runs for this process.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL byte of Linux' abstract socket names.
        self._address = b"\0" + os.fsencode(address[1:]) if address.startswith("@") else os.fsencode(address)
        self.watchdog_s = _watchdog_s(environment) if address else None
        self._clock = clock
        self._next_watchdog = clock()

    def ready(self) -> None:
        """The service is up: systemd starts what waits for it."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; control characters and line ends become spaces."""
        # A line end would begin another assignment.
        self._send("STATUS=" + " ".join("".join(c if c.isprintable() else " " for c in text).split()))

    def watchdog(self) -> None:
        """The loop is alive. Call it as often as you like: it sends four times an interval at most."""
        if self.watchdog_s is None or self._clock() < self._next_watchdog:
            return
        self._next_watchdog = self._clock() + self.watchdog_s / 4
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service is on its way out, as asked."""
        self._send("STOPPING=1")

    def _send(self, assignment: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # A systemd that does not read must not hold up the loop.
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.sendto(assignment.encode(errors="replace"), self._address)
        except OSError:
            return


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
        # Children inherit the variables, the duty stays with the process that systemd started.
        mine = int(environment.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except ValueError:
        return None
    return microseconds / 1e6 if mine and microseconds > 0 else None
