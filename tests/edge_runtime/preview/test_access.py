"""Who is let in."""

from __future__ import annotations

import errno
import socket

import pytest

from fer_edge.contract.errors import ConfigError, PublishError
from fer_edge.preview.access import Access, Address, own_ip
from fer_edge.preview.http import Request

TOKEN = "0123456789abcdef"


def request(path: str = "/", query: dict[str, str] | None = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="GET", path=path, query=query or {}, headers=named)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8808", "127.0.0.1", 8808, True), ("[::1]:0", "::1", 0, True),
        ("localhost:80", "localhost", 80, True),
        (":8808", "", 8808, False), ("0.0.0.0:1", "0.0.0.0", 1, False), ("pi.lan:65535", "pi.lan", 65535, False),
    ],
)  # fmt: skip
def test_addresses(text: str, host: str, port: int, loopback: bool) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["8808", "", "pi:", "pi:65536", "pi:²", "pi:-1", "pi:1x"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="ADDR:PORT") as refused:
        Address.parse(text)
    assert repr(text) in str(refused.value)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with (
        Address("127.0.0.1", 0).listen() as taken,
        pytest.raises(PublishError, match=r"\(Address already in use\); give --preview"),
    ):
        Address("127.0.0.1", taken.getsockname()[1]).listen()


def test_every_interface_takes_both_kinds_of_addresses() -> None:
    with Address("", 0).listen() as listening:
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        if socket.has_dualstack_ipv6():
            socket.create_connection(("::1", port), timeout=2).close()


def test_loopback_needs_no_token_and_answers_to_its_own_names_alone() -> None:
    access = Access(loopback=True)
    assert access.token is None
    assert access.admits(request(), "c")
    assert not access.is_token(""), "no token is no token that could be guessed"
    assert all(access.knows_host(request(host=host)) for host in ("localhost:1", "127.0.0.1", "[::1]:80"))
    assert not any(
        access.knows_host(request(host=host)) for host in ("evil.example", "192.168.1.4", "127.0.0.1.evil.example")
    )
    assert not access.knows_host(request())


def test_beyond_loopback_a_token_is_needed_in_the_address_or_in_the_cookie() -> None:
    access = Access(loopback=False, token=TOKEN)
    assert not access.admits(request(), "c")
    assert access.admits(request(query={"token": TOKEN}), "c")
    assert access.admits(request(cookie=f"other=1; c={TOKEN}"), "c")
    for others in ('prefs={"a":1}', "n=J\xf6rg", "flag", "="):
        assert access.admits(request(cookie=f"{others}; c={TOKEN}"), "c"), "of another program on another port"
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é" * 16):
        assert not access.admits(request(query={"token": wrong}), "c")
        assert not access.admits(request(cookie=f"c={wrong}"), "c")
    assert not access.admits(request(cookie=f"d={TOKEN}"), "c")


def test_each_start_makes_its_own_token() -> None:
    made = {Access(loopback=False).token for _ in range(20)}
    assert len(made) == 20
    assert all(token and len(token) >= 20 for token in made)


@pytest.mark.parametrize("token", ["short", "x" * 15, "with space and more", "a;b=1234567890123", ""])
def test_a_token_that_protects_nothing_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        Access(loopback=False, token=token)


def test_the_address_on_the_network_is_one_that_is_answered_to() -> None:
    found = own_ip()
    assert found is None or Access(loopback=False, token=TOKEN).knows_host(request(host=f"{found}:8808"))


def test_a_machine_without_a_network_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: socket.socket, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert own_ip() is None
    assert own_ip(socket.AF_INET6) is None


def test_names_beyond_loopback() -> None:
    access = Access(loopback=False, name="Camera.example", token=TOKEN)
    own = socket.gethostname().lower()
    for host in ("192.168.1.4:8808", "[fe80::1]", own, "camera.example"):
        assert access.knows_host(request(host=host)), host
    assert not access.knows_host(request(host="rebound.example"))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True), ({"sec_fetch_site": "same-origin"}, True), ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "cross-site"}, False), ({"sec_fetch_site": "same-site"}, False),
        ({"origin": "http://pi:1", "host": "pi:1"}, True), ({"origin": "http://pi:2", "host": "pi:1"}, False),
        ({"origin": "null", "host": "pi:1"}, False),
    ],
)  # fmt: skip
def test_other_sites_may_use_nothing(headers: dict[str, str], allowed: bool) -> None:
    assert Access.same_site(request(**headers)) is allowed
