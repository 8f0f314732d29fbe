"""SHA-256 (FIPS 180-4) by Python's own code: `hashlib` loads OpenSSL, 3.4 MB of a running loop, for a few kilobytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["sha256"]

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256
    except ImportError:
        try:  # before Python 3.12
            from _sha256 import sha256
        except ImportError:  # a Python built without its own hashes
            from hashlib import sha256
