"""Notifications reach a real datagram socket as sd_notify(3) describes them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.service.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The service manager's end of the socket, and the address as NOTIFY_SOCKET names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(1.0)
        if request.param == "path":
            address = str(tmp_path / "notify")
            receiver.bind(address)
        else:
            address = f"@fer-edge-test-{os.getpid()}"
            receiver.bind("\0" + address[1:])
        yield receiver, address


def test_life_of_a_service(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("2 faces\nMAINPID=1\x1b[2J")
    notifier.stopping()
    assert [receiver.recv(4096) for _ in range(3)] == [b"READY=1", b"STATUS=2 faces MAINPID=1 [2J", b"STOPPING=1"]


def test_watchdog_is_sent_in_time_and_not_for_every_frame(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    now = 100.0
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environment, clock=lambda: now)
    assert notifier.watchdog_s == 8.0
    sent_at = []
    receiver.setblocking(False)
    for tick in range(100):
        now = 100.0 + tick / 10
        notifier.watchdog()
        try:
            assert receiver.recv(4096) == b"WATCHDOG=1"
            sent_at.append(now)
        except BlockingIOError:
            continue
    assert sent_at == [100.0, 102.0, 104.0, 106.0, 108.0]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "me"},
    ],
)
def test_no_watchdog_where_none_was_asked_of_this_process(
    environment: dict[str, str], manager: tuple[socket.socket, str]
) -> None:
    receiver, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, **environment})
    assert notifier.watchdog_s is None
    notifier.watchdog()
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(4096)


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@fer-edge-nobody", "/" + "x" * 300, "vsock:2:1234"])
def test_without_systemd_nothing_happens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"} if address else {})
    notifier.ready()
    notifier.status("up")
    notifier.watchdog()
    notifier.stopping()


def test_a_manager_that_does_not_read_does_not_stop_the_loop(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.service.notify._SEND_TIMEOUT_S", 0.01)
    receiver, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    queued = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for number in range(queued + 5):
        notifier.status(f"frame {number}")
    received = [receiver.recv(4096) for _ in range(queued)]
    assert received == [f"STATUS=frame {number}".encode() for number in range(queued)]


@given(st.text(max_size=200))
def test_status_is_always_one_assignment(text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        address = f"@fer-edge-status-{os.getpid()}"
        receiver.bind("\0" + address[1:])
        receiver.settimeout(1.0)
        Notifier({"NOTIFY_SOCKET": address}).status(text)
        datagram = receiver.recv(4096).decode()
    assert datagram.startswith("STATUS=")
    assert datagram.isprintable()
