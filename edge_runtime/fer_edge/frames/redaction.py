"""Addresses without their secrets."""

from __future__ import annotations

import re


def redact(url: str) -> str:
    """`url` without anything that may be a secret; text without `://` is returned as it is.

    Gone are user and password (up to the last `@`, since people write passwords with `/` and `@` in
    them), the query and fragment, and the values of `key=value` pairs in the path, where some cameras
    take their password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    rest = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://{re.sub('=[^&;/]*', '=…', rest)}"
