"""Fixtures for every test: real data where it is, made data where it is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no bug; where a result decides about a change, the examples are the same every time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell that starts a test run in the background lets it ignore SIGINT, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path | None:
    """The folder with fer2013/, faces/ and models/: `FER_DATA`, or ../shared/data beside the checkout."""
    for candidate in (os.environ.get("FER_DATA"), ROOT.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def fer_data() -> Path:
    """The real data; the test skips where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no FER2013 data: set FER_DATA to the folder that holds fer2013/, faces/ and models/")
    return folder
