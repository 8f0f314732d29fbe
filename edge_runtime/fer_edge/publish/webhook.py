"""Events to a web server: an HTTP POST of the event as JSON."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fer_edge import __version__
from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.contract.secret import read_secret
from fer_edge.publish import rule
from fer_edge.publish.background import BackgroundSink, UndeliveredError
from fer_edge.publish.event import Event
from fer_edge.publish.spec import SinkContext
from fer_edge.publish.triggered import TriggeredSink

FORM = "https://HOST[:PORT]/PATH[#expression=happy,dwell=2,every=10,timeout=5,retries=3]"
FORM_PLAIN = FORM.replace("https:", "http:")

_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""HTTP answers that may be others next time (RFC 9110, 15; RFC 6585, 4; RFC 8470)."""


def open_webhook(spec: str, context: SinkContext) -> TriggeredSink:
    """Open `https://` or `http://`; what follows `#` is the rule, with `timeout` (0.1 to 60 s) and `retries` (0 to 10).

    The secret `webhook_token` is sent as a bearer token (RFC 6750), never over an unencrypted connection to
    another machine. `https` trusts the system's certificates, or those that SSL_CERT_FILE names.

    Raises:
        UsageError: the address or the rule is malformed, or holds a password.
        ConfigError: the token cannot be read, or would be sent unencrypted.
    """
    address, text = rule.split_rule(spec)
    form = FORM if address.startswith("https:") else FORM_PLAIN
    which, options = rule.parse_rule(
        text, context.labels, form, timeout=(5.0, 0.1, 60.0), retries=(3.0, 0.0, 10.0)
    )  # fmt: skip
    try:
        url = urlsplit(address)
        usable = bool(url.hostname) and url.port != 0 and address.isascii() and address.isprintable()
        str(url.hostname).encode("idna")  # as connecting does
    except ValueError:
        usable = False
    if not usable or " " in address:
        raise UsageError(f"a webhook names no usable host and port; it is written {form}")
    if url.password is not None or url.username is not None:
        raise UsageError(
            "a webhook's address holds a user or password, which everybody on this machine could read; "
            "put a token into a file and name that in FER_EDGE_WEBHOOK_TOKEN_FILE"
        )
    token = read_secret("webhook_token")
    if token and not (token.isascii() and token.isprintable()):
        raise ConfigError("the webhook token is not one line of letters, digits and signs; write it so (RFC 6750)")
    if token and url.scheme == "http" and not _is_loopback(str(url.hostname)):
        raise ConfigError(
            f"the webhook token would go to {url.hostname} unencrypted; use https:// or take the token away"
        )
    sink = WebhookSink(address, token=token, timeout_s=options["timeout"])
    return TriggeredSink(
        BackgroundSink(sink, lossy=True, retries=int(options["retries"]), limit_s=options["timeout"] + 1.0), which
    )


class WebhookSink:
    """Posts events one by one and waits for the answer; its content is not looked at.

    `Idempotency-Key` is `run` and `seq`, so that a server can tell an event that arrives twice. Redirects are
    not followed: a POST would become a GET, and the token would go elsewhere.

    Args:
        url: where to; only its host is ever shown, since many services take a secret in the path.
        token: for `Authorization: Bearer`, or None.
        timeout_s: longest wait for the connection and for each part of the answer, seconds.
    """

    every_frame = False

    def __init__(self, url: str, *, token: str | None, timeout_s: float) -> None:
        self.name = f"webhook {urlsplit(url).hostname}"
        self._url, self._timeout_s = url, timeout_s
        self._headers = {"Content-Type": "application/json", "User-Agent": f"fer-edge/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        # TLS and HTTP cost 6 MB, which only those who use them pay.
        from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

        class NoRedirects(HTTPRedirectHandler):
            def redirect_request(self, *arguments: object) -> None:
                return None

        # What stays on this machine goes through no proxy elsewhere.
        direct = [ProxyHandler({})] if _is_loopback(str(urlsplit(url).hostname)) else []
        self._opener = build_opener(NoRedirects, *direct)

    def publish(self, event: Event) -> None:
        """Post one event.

        Raises:
            UndeliveredError: no connection, no answer in time, or one that is no success.
        """
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request

        headers = {**self._headers, "Idempotency-Key": f"{event.run}-{event.result.seq}"}
        request = Request(self._url, data=event.json, headers=headers, method="POST")
        try:
            self._opener.open(request, timeout=self._timeout_s).close()
        except HTTPError as error:
            error.close()
            raise UndeliveredError(f"answers {error.code} {error.reason}", again=error.code in _TRY_AGAIN) from error
        except (URLError, OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise UndeliveredError(f"cannot be reached ({reason})", again=True) from error

    def close(self) -> None:
        """Nothing is kept open between two events."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
