"""Who may see the live page: where it listens, under which names it answers, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass

from fer_edge.contract.errors import ConfigError, PublishError
from fer_edge.preview.http import Request

MIN_TOKEN_CHARACTERS = 16

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served.

    Attributes:
        host: a name or an IP address, without brackets; empty is every interface.
        port: 0 lets the system choose.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`ADDR:PORT`, `:PORT` or `[IPV6]:PORT`.

        Raises:
            ConfigError: it is none of these.
        """
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        try:
            host.encode("idna")  # as connecting does
        except UnicodeError:
            colon = ""
        if not colon or not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
            raise ConfigError(f"preview address {text!r} is not ADDR:PORT, such as 127.0.0.1:8808 or :8808")
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """Only programs of this machine can reach it."""
        return _is_loopback(self.host)

    def listen(self) -> socket.socket:
        """A listening socket.

        Raises:
            PublishError: the port is taken or may not be used, or the address is not this machine's.
        """
        try:
            if not self.host:
                return socket.create_server(
                    ("", self.port),
                    family=socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET,
                    dualstack_ipv6=socket.has_dualstack_ipv6(),
                )
            family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            reason = str(error.strerror).partition(" (while ")[0]
            raise PublishError(
                f"the live page cannot listen on {self.host or '*'}:{self.port} ({reason}); "
                "give --preview another ADDR:PORT, port 0 for any that is free"
            ) from error


class Access:
    """Decides about each request.

    On loopback everybody on this machine is let in. Beyond it a token is needed: in the address the first
    time, then in a cookie, since neither pictures nor event streams can send headers of their own. The
    `Host` header has to be an IP address or one of this machine's names, so that no other site's name can
    be made to point here (DNS rebinding).

    Args:
        loopback: whether the page listens on loopback alone.
        name: one more host name under which the page is reached, or empty.
        token: the secret, at least 16 letters, digits or `._~-`; None makes one at each start.

    Raises:
        ConfigError: the token is too short or cannot stand in an address.
    """

    def __init__(self, *, loopback: bool, name: str = "", token: str | None = None) -> None:
        if token is not None and (len(token) < MIN_TOKEN_CHARACTERS or not _TOKEN.fullmatch(token)):
            raise ConfigError(
                f"the live page's token (FER_EDGE_PREVIEW_TOKEN) needs at least {MIN_TOKEN_CHARACTERS} letters, digits "
                "or any of . _ ~ -; make one with: openssl rand -hex 16"
            )
        self.token = None if loopback else token or secrets.token_urlsafe(MIN_TOKEN_CHARACTERS)
        self._loopback = loopback
        self._names = {"localhost", *_own_names(), *([name.lower()] if name else [])}

    def knows_host(self, request: Request) -> bool:
        """The request was meant for this machine."""
        host = request.host
        if host is None:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return address.is_loopback or not self._loopback

    def admits(self, request: Request, cookie_name: str) -> bool:
        """The request brought the token, in its address or as a cookie."""
        if self.token is None:
            return True
        return self.is_token(request.query.get("token", "")) or self.is_token(_cookie(request, cookie_name))

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token; takes the same time however much of it is right."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    @staticmethod
    def same_site(request: Request) -> bool:
        """No other site had the browser send it (Fetch Metadata, w3.org/TR/fetch-metadata)."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        return origin is None or origin.partition("://")[2] == request.headers.get("host")


def own_ip(family: socket.AddressFamily = socket.AF_INET) -> str | None:
    """This machine's address on the network that leads outwards; None where there is none."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket sends nothing; it only has the system choose a route (RFC 5737, RFC 3849).
            probe.connect(("192.0.2.1" if family == socket.AF_INET else "2001:db8::1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            return None
    address = ipaddress.ip_address(found.partition("%")[0])
    return None if address.is_loopback or address.is_unspecified else found


def _cookie(request: Request, name: str) -> str:
    # http.cookies gives up at the first that is not clean, and those of all ports of a host come together.
    pairs = (part.strip().partition("=") for part in request.headers.get("cookie", "").split(";"))
    return next((value for key, _, value in pairs if key == name), "")


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
