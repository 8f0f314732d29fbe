"""Hashing without OpenSSL."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.digest import sha256


@given(st.binary(max_size=300))
def test_it_is_sha_256(data: bytes) -> None:
    assert sha256(data).hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_run_loads_no_library_that_it_does_not_use() -> None:
    """Each of these is megabytes of a run that asked for none of them."""
    code = (
        "import sys, fer_edge.cli, fer_edge.service.run, fer_edge.faces.yunet, fer_edge.expressions.litert;"
        "print(*{'_hashlib', '_ssl', 'asyncio', 'http.server', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
