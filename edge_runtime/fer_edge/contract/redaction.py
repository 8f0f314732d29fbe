"""Addresses without their secrets."""

from __future__ import annotations

import re

_USER_AND_PASSWORD = re.compile(r"(?<![^\s/])[^\s/:@]+:\S*@")


def redact(url: str) -> str:
    """`url` without anything that may be a secret; a path is returned as it is.

    Gone are user and password (up to the last `@`, since people write passwords with `/` and `@` in
    them, also where the address is mistyped), what stands for a port and is none, the query and
    fragment, and the values of `key=value` pairs in the path, where some cameras take their password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _USER_AND_PASSWORD.sub("…@", url)
    rest = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    name, colon, port = host.rpartition(":")
    if colon and not port.isdecimal() and not port.endswith("]"):
        host = f"{name}:…"
    return f"{scheme}://{host}{slash}{re.sub('=[^&;/]*', '=…', path)}"
